"""What a person sees of a run: on terminals, in pipes and in CI, with and without xdist, beside others."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.distribution import fitting
from tests.lean import LEAN
from tests.plugin.esb_project import Project, entries, output
from tests.plugin.pseudo_terminal import Seen, run

BROKEN = "functions:\n  echo: {image: [not, text]}\n"
SCENARIOS = """
import os, time

import pytest

def test_echo(esb_gateway):
    assert esb_gateway.post("/api/echo", json={}).status_code == 200

@pytest.mark.parametrize("number", range(3))
def test_number(esb_environment, number):
    assert number != 2

def test_slow(esb_environment):
    time.sleep(float(os.environ.get("SLOW", 0)))
"""


@pytest.fixture
def pair(project: Project) -> Project:
    """Two environments that run the same tests, of which one fails, and one that cannot be deployed."""
    project.matrix(entries("one-local", "two-local", "bad-local"))
    for name in ("one-local", "two-local"):
        project.artifact(name)
    project.artifact("bad-local", BROKEN)
    project.write("e2e/scenarios/test_all.py", SCENARIOS)
    return project


def terminal(project: Project, *arguments: str, lean: Sequence[str] = LEAN, **how: object) -> Seen:
    seen = run(project.path, [*lean, *fitting(arguments), "--tb=no", "--esb-log-lines=2"], **how)  # type: ignore[arg-type]
    assert seen.broken == []
    assert not seen.cursor_hidden
    return seen


def rows(seen: Seen, pattern: str) -> list[str]:
    """Return the lines of any screen that were rows of the display, each one once."""
    return sorted({line for screen in seen.screens for line in screen if re.match(pattern, line)})


def test_the_live_display_leaves_lines_and_no_row(pair: Project) -> None:
    """Rows tell what goes on while it does; at the end there is what pytest and environments have said."""
    seen = terminal(pair, "-n", "0", "--esb-profile", "all", variables={"SLOW": "2"})
    assert seen.code == pytest.ExitCode.TESTS_FAILED
    assert rows(seen, r"one-local compose +\d+ s waiting for .*(database|gateway)")
    assert rows(seen, r"two-local test +\d+ s \d/5 passed.*; test_slow \(\d s\)")
    assert rows(seen, r"bad-local failed +apply failed: .*…$")
    text = "\n".join(seen.lines)
    assert not re.search(
        r"^(one|two|bad)-local (compose|deploy|reset|cleanup|done|test) ", text, re.MULTILINE
    )
    for name in ("one-local", "two-local"):
        said = re.findall(rf"^\[{name}\] (\w+: done|removed) in ", text, re.MULTILINE)
        assert said == ["reset: done", "compose: done", "deploy: done", "removed"]
    assert text.count("[bad-local] deploy: FAILED: apply failed: ") == 1
    assert len(re.findall(r"\[100%\]$", text, re.MULTILINE)) == 1
    assert re.search(r"^bad-local +failed in deploy .* 0 +0 +5$", text, re.MULTILINE)
    assert re.search(r"^one-local +failed .* 4 +1 +0$", text, re.MULTILINE)


def test_the_live_display_with_workers_on_a_narrow_terminal(pair: Project) -> None:
    """40 columns: no row is wider, none is left, and all counts are right."""
    seen = terminal(pair, "-n", "2", "--esb-profile", "one-local,two-local", columns=40)
    assert seen.code == pytest.ExitCode.TESTS_FAILED
    assert rows(seen, r"one-local +(compose|deploy|test) +\d+ s ")
    text = "\n".join(seen.lines)
    assert not re.search(r"^(one|two)-local +(compose|deploy|reset|cleanup|done|test) ", text, re.MULTILINE)
    assert re.findall(r"^(?:one|two)-local +failed +(\d+) +(\d+)$", text, re.MULTILINE) == [("4", "1")] * 2


def test_ctrl_c_leaves_a_clean_screen(pair: Project) -> None:
    """The rows go, the lines stay, also of the clean-up."""
    seen = terminal(pair, "-n", "0", "--esb-profile", "one-local,two-local", interrupt_at="one-local compose")
    assert seen.code == pytest.ExitCode.INTERRUPTED
    text = "\n".join(seen.lines)
    assert not re.search(r"^(one|two)-local (compose|deploy|reset|cleanup|done|test) ", text, re.MULTILINE)
    assert "[one-local] removed in" in text
    assert re.search(r"^one-local +cut short", text, re.MULTILINE)


def test_pytest_sugar_draws_its_bar_and_lines_are_plain(pair: Project) -> None:
    """Two that redraw would spoil each other's rows: its own come first."""
    lean = LEAN[:-2]
    assert LEAN[-1] == "no:sugar"
    seen = terminal(pair, "-n", "2", "--esb-profile", "one-local,two-local", lean=lean)
    assert seen.code == pytest.ExitCode.TESTS_FAILED
    text = "\n".join(seen.lines)
    assert "pytest-sugar" in text
    assert rows(seen, r".*test_all.py .*100%") != []
    assert not rows(seen, r"one-local compose +\d+ s ")
    for name in ("one-local", "two-local"):
        said = re.findall(rf"^\[{name}\] (\w+: done|removed) in ", text, re.MULTILINE)
        assert said == ["reset: done", "compose: done", "deploy: done", "removed"]
        assert re.search(rf"^{name} +failed .* 4 +1$", text, re.MULTILINE)


def test_in_ci_there_are_plain_lines_and_no_silence(pair: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets no escape sequence, and a line about the test that is all that goes on."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("SLOW", "4")  # longer than anything may be silent
    result = pair.run("-n", "0", "--esb-profile", "one-local", "--esb-output", "live")
    assert "\x1b" not in output(result)
    said = re.findall(r"^\[one-local\] test: (.*) \(\d s\)$", output(result), re.MULTILINE)
    assert {line for line in said if "test_slow" in line} == {"3/5 passed, 1 failed; test_slow"}


def test_without_pytests_reporter_lines_and_summary_are_there(pair: Project) -> None:
    """With `-p no:terminal` nobody else tells why a run failed."""
    result = pair.run("-n", "0", "-p", "no:terminal", "--esb-profile", "bad-local")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert re.search(r"^\[bad-local\] compose: done in ", output(result), re.MULTILINE)
    assert " Failed: bad-local > deploy =" in output(result)
    assert "component: " in output(result)
    assert re.search(r"^bad-local +failed in deploy ", output(result), re.MULTILINE)


def test_quiet_tells_only_of_failures_and_stream_of_every_line(pair: Project) -> None:
    """`-q` has one line for what failed; `-v` has what services write, with the environment in front."""
    quiet = output(pair.run("-n", "0", "-q", "--tb=no", "--esb-profile", "bad-local"))
    assert [line.partition(":")[0] for line in quiet.splitlines() if line.startswith("[")] == [
        "[bad-local] failed in deploy"
    ]
    assert "= Failed: bad-local > deploy =" in quiet
    assert "= environments =" not in quiet
    stream = output(pair.run("-n", "2", "-v", "--tb=no", "--esb-profile", "one-local"))
    for said in ("deploy: apply", "gateway: {", "compose: done in "):
        assert re.search(rf"^\[one-local\] {re.escape(said)}", stream, re.MULTILINE), said
