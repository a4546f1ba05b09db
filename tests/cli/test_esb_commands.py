"""Every command of `esb`: its help, its exit codes, what it loads."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from esb_cli.catalogue import COMMANDS, GROUPS
from esb_cli.command import Command
from esb_cli.main import command_line, main

ROOT = Path(__file__).parents[2]


def _all() -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in COMMANDS)
    yield from ((group, name) for group, (_, names) in GROUPS.items() for name in names)


def _find(words: Sequence[str]) -> click.Command:
    found: click.Command = command_line()
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    return found


def esb(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run `esb` without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "esb_cli", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [*_all()], ids=" ".join)
def test_every_command_has_help_with_an_example_that_it_accepts(words: tuple[str, ...]) -> None:
    """The example calls the command itself, and its arguments are understood."""
    shown = CliRunner().invoke(command_line(), [*words, "--help"])
    command = _find(words)
    assert isinstance(command, Command)
    assert shown.exit_code == 0
    for line in command.example.splitlines():
        assert f"  {line}\n" in shown.output
    calls = [line for line in command.example.splitlines() if f"esb {' '.join(words)}" in line]
    assert calls
    for call in calls:
        alone = call.partition(f"esb {' '.join(words)}")[2].partition(" > ")[0].partition(')"')[0]
        given = shlex.split(alone)
        command.make_context(" ".join(words), given, resilient_parsing=False)


@pytest.mark.parametrize("words", [*_all()], ids=" ".join)
def test_every_command_can_answer_programs(words: tuple[str, ...]) -> None:
    """Each takes --json."""
    assert "--json" in {option for parameter in _find(words).params for option in parameter.opts}


def test_an_unknown_command_is_the_users_mistake() -> None:
    """Exit code 2, and no traceback."""
    done = esb("frobnicate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'frobnicate'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_is_one_line_and_for_programs_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """What, and the nearest name; on stdout only where programs read."""
    assert main(["schema", "test_matrixx"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("esb schema: there is no schema 'test_matrixx'; known: artifact, ")
    assert told.err.endswith("(did you mean 'test_matrix'?)\n")
    assert main(["schema", "test_matrixx", "--json"]) == 2
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert (answer["ok"], answer["error"]["remedy"]) == (False, "did you mean 'test_matrix'?")


def test_a_wrong_artifact_fails_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, with what `artifactctl apply` says."""
    assert main(["artifact", "apply", "--artifact", str(tmp_path / "none.yml"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"esb artifact apply: {tmp_path / 'none.yml'}: file not found\n"


def test_every_schema_of_the_package_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of what a user writes and of what a program may read."""
    assert main(["schema", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)["schemas"]
    assert {"artifact", "events", "functions", "resources", "routing", "test_matrix"} <= set(names)
    for name in names:
        assert main(["schema", name]) == 0
        assert json.loads(capsys.readouterr().out)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("arguments", [["--help"], ["version"]], ids=" ".join)
def test_starting_loads_nothing_heavy(arguments: list[str]) -> None:
    """Help and version pay neither for pytest nor for what only environments need."""
    code = (
        "import sys\nfrom esb_cli.main import main\n"
        f"main({arguments!r})\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"boto3", "cryptography", "docker", "filelock", "pydantic", "pytest", "requests", "yaml"}
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert loaded.isdisjoint(heavy), loaded & heavy
