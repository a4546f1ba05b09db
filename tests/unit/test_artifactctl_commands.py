"""Programs that are run: output, deadlines, and ends that leave nothing behind."""

import os
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from artifactctl.commands import CommandError, Commands, checked
from tests.waiting import eventually

_DEADLINE = 30.0
# Writes its pid and that of a child in the same session to a file, then waits for ever.
_FAMILY = """
import os, sys, time
child = os.fork()
if child:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(f"{os.getpid()} {child}")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def _all_ended(pids: Path) -> bool:
    return not any(_is_alive(int(pid)) for pid in pids.read_text().split())


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_reaches_the_log_line_by_line_and_the_last_lines_the_result() -> None:
    """Each line has its label; control codes are gone; stdout alone is the answer."""
    lines: list[str] = []
    commands = Commands({**os.environ, "NAME": "value"}, lines.append, _DEADLINE)
    code = "import os, sys; print('\\x1b[31mone\\x1b[0m'); sys.stderr.write(os.environ['NAME']); sys.exit(3)"
    done = commands.run(_python(code), label="pay")
    assert (done.code, done.stdout) == (3, "\x1b[31mone\x1b[0m\n")
    assert lines[0].startswith("[pay] $ ")
    assert set(lines[1:]) == {"[pay] one", "[pay] value"}
    assert set(done.tail) == {"one", "value"}


def test_the_reason_of_a_quiet_command_is_not_lost_in_its_answer() -> None:
    """However long the answer is, the last lines are those that tell why it failed."""
    code = (
        "import sys; print('No such image', file=sys.stderr, flush=True); print('x\\n' * 1000); sys.exit(1)"
    )
    done = Commands(os.environ, None, _DEADLINE).run(_python(code), quiet=True)
    assert done.tail == ("No such image",)
    assert done.stdout.count("x") == 1000


def test_a_quiet_command_is_not_in_the_log() -> None:
    """Questions to the engine would drown what it does."""
    lines: list[str] = []
    done = Commands(os.environ, lines.append, _DEADLINE).run(_python("print(1)"), quiet=True)
    assert (done.stdout, lines) == ("1\n", [])


def test_a_failure_names_the_line_that_says_most_and_carries_the_last_ones() -> None:
    """An error beats what a program says afterwards."""
    done = Commands(os.environ, None, _DEADLINE).run(
        _python("for i in range(30): print(i)\nprint('ERROR: disk full')\nprint('bye')\nraise SystemExit(1)")
    )
    with pytest.raises(CommandError, match="cannot build: ERROR: disk full; free some") as caught:
        checked(done, "cannot build", "free some")
    assert len(caught.value.output) == 20
    assert caught.value.output[-1] == "bye"


def test_a_program_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    """The error names it; neither it nor what it started lives on."""
    pids = tmp_path / "pids"
    commands = Commands(os.environ, None, _DEADLINE)
    for limit in (2, 8, 32):  # on a busy machine it may be ended before it has a child
        with pytest.raises(CommandError, match=f"did not end within {limit} s"):
            commands.run(_python(_FAMILY, str(pids)), limit=limit)
        if pids.exists():
            break
    eventually(partial(_all_ended, pids), "it and its child end")


def test_stopping_ends_every_program_and_starts_no_more(tmp_path: Path) -> None:
    """Every thread that waits for a program gets the same error."""
    commands = Commands(os.environ, None, 600)
    told: list[str] = []

    def run(name: str) -> None:
        with pytest.raises(CommandError) as caught:
            commands.run(_python(_FAMILY, str(tmp_path / name)))
        told.append(caught.value.rule)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    eventually(lambda: len([path for path in tmp_path.iterdir() if path.suffix != ".new"]) == 2, "both run")
    commands.stop()
    for thread in threads:
        thread.join(_DEADLINE)
    assert told == ["was stopped", "was stopped"]
    for path in tmp_path.iterdir():
        eventually(partial(_all_ended, path), "it and its child end")
    with pytest.raises(CommandError, match="was stopped"):
        commands.run(_python("pass"))


def test_a_child_that_keeps_the_output_open_does_not_hold_up_the_result() -> None:
    """The program's own end counts; what it left behind is ended."""
    code = "import os, time\nif os.fork() == 0: time.sleep(600)\nprint('done', flush=True)\nos._exit(0)"
    lines: list[str] = []
    commands = Commands(os.environ, lines.append, 600)
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(commands.run(_python(code)).code), daemon=True)
    thread.start()
    thread.join(_DEADLINE)
    assert ended == [0]
    assert "done" in lines


def test_a_program_that_is_not_there_is_told() -> None:
    """No traceback, but the program's name."""
    commands = Commands({"PATH": ""}, None, _DEADLINE)
    with pytest.raises(CommandError, match="the program no-such-program is not installed"):
        commands.run(["no-such-program"])
