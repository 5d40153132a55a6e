"""The modules beside the tests are imported by their bare names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "acceptance")]


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of a Valkey server; each test has a prefix of its own."""
    from stage import valkey_server

    with valkey_server() as url:
        yield url


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads in hundredths of a second and answers nonsense."""
    from localagent_testing import tiny_gguf

    return tiny_gguf(tmp_path_factory.mktemp("model"))
