"""The reference in the repository is what the code says."""

from __future__ import annotations

from pathlib import Path

import front_page
import generate
import pytest
from reference import api_pages, errors_page, hooks_page, plugins_page, test_kit_page
from reference.docstrings import as_markdown
from reference.signatures import signature

from localagent import ChatResponse, Plugin
from localagent.errors import LocalAgentError
from localagent_gateway import hookspecs as gateway_hookspecs


def test_every_generated_page_is_fresh() -> None:
    """And no page is left of a module that is gone."""
    pages = generate.pages()
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text() != text]
    left = [path.name for path in (generate.REFERENCE / "api").glob("*.md") if path not in pages]
    assert (stale, left) == ([], []), f"run: {generate.COMMAND}"


def test_a_changed_docstring_makes_a_page_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a class that is new."""
    before = {path.name: text for path, text in generate.pages().items()}
    monkeypatch.setattr(Plugin, "__doc__", "Something else.")
    monkeypatch.setattr(LocalAgentError, "status", 418)
    after = {path.name: text for path, text in generate.pages().items()}
    assert {name for name in before if before[name] != after[name]} >= {"localagent.md", "errors.md"}


def test_every_hook_stands_on_the_page_with_its_contract() -> None:
    """Kind, signature and clauses; those of the gateway as well."""
    page = hooks_page.page()
    for spec in front_page.specs() + front_page.specs(gateway_hookspecs):
        section = page.partition(f"\n## {spec.name}\n")[2].partition("\n## ")[0]
        assert f"def {spec.name}(" in section
        assert f"| kind | {spec.kind.name}: " in section
        assert "- **When:**" in section


def test_every_public_name_has_a_section() -> None:
    """With its signature, and the docstring as Markdown: no reST is left."""
    for name, text in api_pages.pages().items():
        assert "``" not in text.replace("```", ""), name
        assert "**Args**\n\n-" in text or "Args:" not in text, name
    assert "## Client\n" in api_pages.pages()["api/localagent.md"]


def test_plugins_name_their_hooks_and_settings() -> None:
    """A hook links to its section; a setting has its default as people write it."""
    page = plugins_page.page()
    assert "[`cache_lookup`](hooks.md#cache_lookup)" in page
    assert "| `max_size` | " in page
    assert "`256 MiB`" in page


def test_contracts_list_their_promises() -> None:
    """Each test with its first sentence."""
    names = ("CacheContract", "ProviderContract", "TransportContract", "ConnectContract")
    assert all(f"\n## {name}\n" in test_kit_page.page() for name in names)
    assert "| `test_another_question_is_asked` | " in test_kit_page.page()


def test_errors_have_their_advice() -> None:
    """A row for each class, and the tree."""
    assert "| [RateLimited](api/localagent.errors.md#ratelimited) | 429 |" in errors_page.page()
    assert "└── InternalError" in errors_page.page()


@pytest.mark.parametrize(
    ("docstring", "markdown"),
    [
        ("Do ``it``.", "Do `it`."),
        ("Args:\n    a: The ``a``,\n        in two lines.", "**Args**\n\n- `a`: The `a`, in two lines."),
        ("Do::\n\n    a = 1\n\n    b = 2\n\nThen.", "Do:\n\n```py\na = 1\n\nb = 2\n```\n\nThen."),
        ("Do it.\n\nReturns:\n    The text,\n    whole.", "Do it.\n\n**Returns**\n\nThe text, whole."),
        ("Do it.\n\nExample:\n    import a\n", "Do it.\n\n**Example**\n\n```python\nimport a\n```"),
        ("Do it.\n\nExample:\n    ::\n\n        a = <1>\n", "Do it.\n\n**Example**\n\n```py\na = <1>\n```"),
        ("Take list[<x>] and ``<y>``.", "Take list[&lt;x>] and `<y>`."),
        ("Do it.\n\nSince: 0.1.", "Do it.\n\n**Since:** 0.1"),
    ],
)  # fmt: skip
def test_a_docstring_becomes_markdown(docstring: str, markdown: str) -> None:
    """Sections become lists, blocks become code, angle brackets are no tags."""
    assert as_markdown(docstring) == markdown


def test_a_signature_is_that_of_the_source() -> None:
    """Without modules, quotes and addresses; a default without a short form is an ellipsis."""

    def function(a: int, /, b: "str | None" = None, *rest: bytes, c: object = object(), **more: Path) -> list[Path]:  # noqa: UP037
        raise NotImplementedError

    assert (
        signature(function)
        == "(a: int, /, b: str | None = None, *rest: bytes, c: object = ..., **more: Path) -> list[Path]"
    )
    assert "facts: dict[str, Any] = ..." in signature(ChatResponse)
    assert signature(RuntimeError) == ""
