"""Both wheels, as a user gets them: what is in them, and that they drive an environment from anywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from esb_e2e_plugin.options import OPTIONS

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 120
RUN_SECONDS = 180
OWN = (
    "pytest_esb_e2e-",
    "esb_services-",
    "_editable_impl_",
    "_pytest_esb_e2e",
    "_esb_services",
    "__pycache__",
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels, built from copies of the sources, by name of the distribution."""
    sources = tmp_path_factory.mktemp("sources")
    target = tmp_path_factory.mktemp("wheels")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("src", "services"):
        shutil.copytree(ROOT / name, sources / name, ignore=ignored)
    for folder in (sources, sources / "services"):
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, folder],
            check=True,
            capture_output=True,
            timeout=BUILD_SECONDS,
        )
    return {path.name.partition("-")[0]: path for path in target.iterdir()}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheels; what they depend on is linked from this one's, not fetched."""
    folder = tmp_path_factory.mktemp("user") / "venv"
    venv.create(folder, symlinks=True)
    ours = Path(sysconfig.get_path("purelib"))
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for entry in ours.iterdir():
        if not entry.name.startswith(OWN):
            (theirs / entry.name).symlink_to(entry)
    links = next(iter(wheels.values())).parent
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"),
            *("--no-index", "--find-links", links, "pytest-esb-e2e[local]"),
        ],
        check=True,
        timeout=BUILD_SECONDS,
    )
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """`run(command, *arguments)`: run a script of the virtual environment in an empty folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    # What a run keeps on its host for the next: without it, Maven would fetch everything anew.
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    own = {"HOME": str(tmp_path), "ESB_HOST_DIR": str(tmp_path / "host"), "XDG_CACHE_HOME": cache}
    environment = {**inherited, **own}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed / "bin" / command[0]), *command[1:]],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    return run


def test_the_wheels_hold_the_packages_and_nothing_else(wheels: dict[str, Path]) -> None:
    """Code, type marker, schema and licence are in; tests, caches and sources of other parts are not."""
    assert wheels.keys() == {"pytest_esb_e2e", "esb_services"}
    packages = {
        "pytest_esb_e2e": {"esb_e2e_plugin", "artifactctl", "esb_cli", "esb_producer"},
        "esb_services": {"esb_services"},
    }
    for name, wheel in wheels.items():
        with zipfile.ZipFile(wheel) as archive:
            files = archive.namelist()
        top = {file.split("/")[0] for file in files}
        assert {part for part in top if not part.endswith(".dist-info")} == packages[name]
        for package in packages[name]:
            assert f"{package}/py.typed" in files
        assert [file for file in files if re.search(r"(^|/)test_[^/]*\.py$", file)] == []
        assert [file for file in files if "__pycache__" in file] == []
        assert any(re.fullmatch(r"[^/]+\.dist-info/licenses/LICENSE", file) for file in files)
    with zipfile.ZipFile(wheels["pytest_esb_e2e"]) as archive:
        path_of = {name.rpartition("/")[2]: name for name in archive.namelist()}
        schema = json.loads(archive.read(path_of["test_matrix.schema.json"]))
        assert archive.read(path_of["entry_points.txt"]).decode().split("\n\n") == [
            "[console_scripts]\nartifactctl = artifactctl.cli:main\nesb = esb_cli.main:main",
            "[pytest11]\nesb_e2e = esb_e2e_plugin.plugin\n",
        ]
        hooks = {name for name in archive.namelist() if name.startswith("esb_producer/runtime-hooks/")}
    assert schema["properties"].keys() >= {"matrix", "suites"}
    sources = ROOT / "src/esb_producer/runtime-hooks"
    kept = [path for path in sources.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert hooks == {f"esb_producer/runtime-hooks/{path.relative_to(sources)}" for path in kept}


def test_what_is_imported_is_the_wheels_own_code(run: Run, installed: Path) -> None:
    """The packages come from the virtual environment, not from the checkout."""
    done = run(
        "python",
        "-c",
        "import artifactctl, esb_e2e_plugin, esb_services as s\n"
        "print(*(p.__spec__.submodule_search_locations[0] for p in (artifactctl, esb_e2e_plugin, s)))",
    )
    assert done.returncode == 0, done.stderr
    assert all(Path(place).is_relative_to(installed) for place in done.stdout.split())


def test_the_applier_is_a_command(run: Run) -> None:
    """`artifactctl` is on the PATH of who installs the plugin."""
    done = run("artifactctl", "--help")
    assert done.returncode == 0, done.stderr
    assert "apply" in done.stdout


def test_help_shows_every_option_in_one_group(run: Run) -> None:
    """`pytest --help` has one group "esb" with each option and where its value comes from."""
    done = run("python", "-m", "pytest", "--help")
    assert done.returncode == 0, done.stderr
    groups = re.split(r"^(\S.*):$", done.stdout, flags=re.MULTILINE)
    with_ours = {
        title: text for title, text in zip(groups[1::2], groups[2::2], strict=True) if "\n  --esb-" in text
    }
    assert list(with_ours) == ["esb"]
    assert sorted(re.findall(r"^  (--esb-[a-z-]+)", with_ours["esb"], re.MULTILINE)) == sorted(
        option.flag for option in OPTIONS
    )
    assert all(f"[{option.variable}]" in re.sub(r"\s+", " ", with_ours["esb"]) for option in OPTIONS)


def test_the_wheels_drive_an_environment_from_another_folder(run: Run, tmp_path: Path) -> None:
    """Bring-up, apply, scenarios and clean-up need the matrix' path, and nothing of the checkout."""
    project = tmp_path / "project"
    shutil.copytree(
        ROOT / "e2e", project / "e2e", ignore=shutil.ignore_patterns("__pycache__", ".parallel-*.log")
    )
    (project / "pyproject.toml").write_text("")
    done = run(
        *("python", "-m", "pytest", "-n", "0", "-k", "test_smoke"),
        *("--esb-matrix", str(project / "e2e/environments/test_matrix.yaml"), "--esb-profile", "e2e-local"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed, \d+ deselected", done.stdout), done.stdout
    assert (project / "e2e/.parallel-e2e-local.log").is_file()
    left = [path.name for path in (project / ".esb/e2e/state/e2e-local").iterdir()]
    assert left == ["events.jsonl"]
