"""The parts of the project know only what lies below them, and the repository names no place but its own."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "esb_e2e_plugin"
LOWER = tuple(
    f"{PLUGIN}.{name}" for name in ("lifecycle", "matrix", "planner", "context", "ports", "locks", "store")
)
PYTEST_MODULES = tuple(
    f"{PLUGIN}.{name}"
    for name in (
        "plugin",
        "pytest_options",
        "startup",
        "session",
        "worker_session",
        "project_hooks",
        "session_interrupts",
        "distribution",
        "late_start",
        "scheduling",
        "pausing",
        "keys",
        "selection",
        "fixtures",
        "reporting",
    )
)
COMMAND = "esb_cli"
PRODUCER = "esb_producer"
REPORTING = f"{PLUGIN}.reporting"
HEAVY = ("boto3", "click", "cryptography", "docker", "filelock", "grpc", "pydantic", "requests", "yaml")
DOCUMENTATION_HOSTS = {"docs.aws.amazon.com", "json-schema.org", "pkg.go.dev"}
RESERVED_DOMAINS = ("example", "test")


def _sources() -> dict[str, Path]:
    """Return every module of both distributions, by name."""
    found = {}
    for folder, package in (
        ("src", PLUGIN),
        ("src", "artifactctl"),
        ("src", PRODUCER),
        ("src", COMMAND),
        ("services", "esb_services"),
    ):
        for path in (ROOT / folder / package).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, at any depth of its code, for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _breaches(importers: tuple[str, ...], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{module} imports {name}"
        for module, path in _sources().items()
        if _within(module, importers)
        for name in _imports(path)
        if _within(name, forbidden)
    ]


@pytest.mark.parametrize(
    ("importers", "forbidden"),
    [
        pytest.param(("artifactctl",), (PLUGIN, COMMAND, "esb_services"), id="artifactctl"),
        pytest.param(("esb_services",), (PLUGIN, COMMAND, PRODUCER, "artifactctl"), id="services"),
        pytest.param(
            (PLUGIN, "artifactctl", COMMAND, PRODUCER), ("esb_services",), id="no services in tests' tools"
        ),
        pytest.param((PLUGIN, PRODUCER), (COMMAND,), id="no command in plugin and producer"),
        pytest.param((PLUGIN, "artifactctl"), (PRODUCER,), id="nothing generates at test time"),
        pytest.param((PRODUCER,), (PLUGIN,), id="producer"),
        pytest.param(LOWER, PYTEST_MODULES, id="lifecycle below the session"),
        pytest.param(
            (COMMAND,),
            # Reports are merged by a command; what writes them during a session is no business of one.
            (*(name for name in PYTEST_MODULES if name != REPORTING), f"{REPORTING}.report.plugin"),
            id="command beside the session",
        ),
    ],
)
def test_imports_point_down_only(importers: tuple[str, ...], forbidden: tuple[str, ...]) -> None:
    """Plugin, lifecycle, artifactctl: each knows those after it, and services know nothing of tests."""
    assert _breaches(importers, forbidden) == []


def test_only_the_edge_to_pytest_imports_pytest() -> None:
    """What plans, starts, applies and cleans up does not depend on the test runner."""
    edge = {
        module
        for module, path in _sources().items()
        if any(_within(name, ("pytest", "_pytest", "xdist")) for name in _imports(path))
    }
    assert {module for module in edge if not _within(module, PYTEST_MODULES)} == set()


def test_the_plugin_loads_nothing_heavy() -> None:
    """A session without environments pays for none of the libraries that environments need."""
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}.plugin\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert PLUGIN in loaded
    assert loaded.isdisjoint({*HEAVY, "artifactctl"}), loaded


def test_the_stubs_are_what_the_protocol_describes() -> None:
    """The committed gRPC code is generated from the committed agent.proto."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/proto.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _tracked_texts() -> dict[str, str]:
    """Return the text files under version control, by path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            texts[name] = path.read_text(errors="replace")
    assert "Makefile" in texts
    return texts


def test_tracked_files_name_no_host_of_the_outside_world() -> None:
    """Where packages and images come from is configured where the project runs, never in it."""
    url = re.compile(r"\bhttps?://[^\s/\"'`)>|]+")
    found = []
    for name, text in _tracked_texts().items():
        for match in url.findall(text):
            host = match.split("://", 1)[1]
            if re.search(r"[{$\[\\]", host):
                continue  # filled in at run time
            host = urlsplit(match).hostname or ""
            local = "." not in host or re.fullmatch(r"[\d.]+", host)
            if not (local or host in DOCUMENTATION_HOSTS or host.endswith(RESERVED_DOMAINS)):
                found.append(f"{name}: {match}")
    assert found == []


def test_images_and_pins_name_no_registry() -> None:
    """Base images are short names, and pins come without index options."""
    image = re.compile(r"^FROM\s+([^\s/]+[.:][^\s/]*)/", re.MULTILINE)
    option = re.compile(r"^\s*--?(?:index-url|extra-index-url|find-links|trusted-host|i|f)\b", re.MULTILINE)
    texts = _tracked_texts()
    dockerfiles = {name: text for name, text in texts.items() if Path(name).name == "Dockerfile"}
    pins = {name: text for name, text in texts.items() if name.startswith("requirements/")}
    assert dockerfiles
    assert pins
    assert [name for name, text in dockerfiles.items() if image.search(text)] == []
    assert [name for name, text in pins.items() if option.search(text)] == []


def test_tracked_files_name_no_folder_of_one_machine() -> None:
    """Nothing depends on where a checkout or somebody's home happens to lie."""
    home = re.compile(r"(?<![\w./-])/(?:root|home/[a-z]\w*|work/main)(?![\w-])")
    assert [name for name, text in _tracked_texts().items() if home.search(text)] == []
