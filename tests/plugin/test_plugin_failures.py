"""Environments that fail: told by their cause, beside others that stay green, and removed."""

from __future__ import annotations

import re

import pytest

from tests.plugin.esb_project import Project, entries, output
from tests.plugin.shop import HOOKS, failure_block, hooks, phases, ran

BAD_FUNCTIONS = "functions:\n  echo: {image: [not, text]}\n"


def test_a_failing_deploy_hook_fails_the_deploy_phase_for_every_test_at_once(shop: Project) -> None:
    """The hook's exception is the cause; each test is an error of one line; the environment is removed."""
    shop.write(
        "conftest.py", HOOKS.replace('log("the project deploys")', 'raise RuntimeError("no seed data")')
    )
    shop.write("e2e/scenarios/test_more.py", "def test_more(esb_environment): pass\n")
    result = shop.run("-n", "2", "--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=2)
    cause = "a pytest_esb_deploy hook failed: RuntimeError: no seed data"
    assert f"cause:     {cause}" in failure_block(result, "one-local > deploy")
    assert "tests:     2 ended in this error" in failure_block(result, "one-local > deploy")
    assert len([line for line in result.outlines if line.startswith("ERROR e2e/scenarios/test_")]) == 2
    assert "= ERRORS =" not in output(result)
    assert "Traceback" not in output(result)
    assert [(note["hook"], note.get("phase")) for note in hooks(shop)] == [
        ("failed", "deploy"),
        ("results", None),
        ("stash", None),
    ]
    assert phases(shop, "one-local")[4:] == [
        ("started", "deploy", None),
        ("finished", "deploy", False),
        *ran("cleanup"),
    ]
    shop.assert_removed("one-local")


@pytest.mark.parametrize(
    ("hook", "cause"),
    [
        ("deploy(environment, log)", "a pytest_esb_deploy hook failed: Failed: no seed data"),
        (
            "environment_ready(environment)",
            "a pytest_esb_environment_ready hook failed: Failed: no seed data",
        ),
    ],
)
def test_a_hook_that_ends_like_a_test_fails_its_environment(shop: Project, hook: str, cause: str) -> None:
    """`pytest.fail` and `sys.exit` are no `Exception`: nobody must wait for ever, and nothing may stay."""
    shop.write(
        "conftest.py",
        f"import pytest\n\ndef pytest_esb_{hook}:\n    pytest.fail('no seed data')\n\n"
        "def pytest_esb_environment_failed(environment, failure):\n    raise SystemExit(3)\n",
    )
    result = shop.run("-n", "0", "--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    assert f"cause:     {cause}" in failure_block(result, "one-local > deploy")
    shop.assert_removed("one-local")


def test_two_environments_come_up_in_parallel_and_fail_independently(shop: Project) -> None:
    """A broken one fails with its cause while the other is green; both bring-ups overlap."""
    shop.matrix(entries("one-local", "bad-local"))
    shop.artifact("bad-local", BAD_FUNCTIONS)
    result = shop.run("-n", "2", "--esb-profile", "all", "--esb-log-lines", "3")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=1)
    block = failure_block(result, "bad-local > deploy")
    assert "functions.yml" in block
    assert "functions.echo.image" in block
    assert len(re.findall(r"\n  \d\d:\d\d:", block)) == 3
    assert "last 3 lines of " in block
    assert "reproduce: pytest --esb-profile bad-local" in block
    assert "Failed: one-local" not in output(result)
    noted = hooks(shop)
    assert noted[-1]["results"] == {"one-local": True, "bad-local": False}
    assert sorted(str(note["hook"]) for note in noted) == ["deploy", "failed", "ready", "results", "stash"]
    spans = {}
    for name in ("one-local", "bad-local"):
        times = {e["kind"] + e["phase"]: e["t"] for e in shop.events(name) if e["kind"].startswith("phase.f")}
        start = min(event["t"] for event in shop.events(name))
        spans[name] = (start, times["phase.finishedcompose"])
        shop.assert_removed(name)
    (first_start, first_end), (second_start, second_end) = spans.values()
    assert first_start < second_end
    assert second_start < first_end


def test_an_environment_that_no_test_uses_fails_a_build_only_run(shop: Project) -> None:
    """Built without a test, a broken environment gives exit code 1 and is removed; the other stays up."""
    shop.matrix(entries("one-local", "bad-local", artifacts=True))
    shop.artifact("bad-local", BAD_FUNCTIONS)
    result = shop.run("--esb-profile", "all", "--esb-build-only")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "functions.echo.image" in failure_block(result, "bad-local > deploy")
    assert hooks(shop)[-1]["results"] == {"one-local": True, "bad-local": False}
    assert len(shop.processes("one-local")) == 4
    shop.assert_removed("bad-local")


def test_a_crashed_worker_is_reported_and_the_environment_is_removed(shop: Project) -> None:
    """A test that ends its worker fails; the others run elsewhere, the run ends and cleans up."""
    shop.write(
        "e2e/scenarios/test_crash.py",
        "import os, pytest\n"
        "def test_crash(esb_environment): os._exit(7)\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_other(esb_gateway_url, number): pass\n",
    )
    result = shop.run("-n", "2", "-rA", "--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=5, failed=1)
    block = failure_block(result, "one-local > test")
    assert "e2e/scenarios/test_crash.py::test_crash[one-local]: worker 'gw" in block
    assert "crashed while running" in block
    assert hooks(shop)[-1]["results"] == {"one-local": False}
    shop.assert_removed("one-local")


def test_a_clean_up_that_leaves_something_fails_the_environment_and_names_it(shop: Project) -> None:
    """What stays is named with the command that removes it, in a phase of its own."""
    shop.write(
        "conftest.py",
        HOOKS
        + "def pytest_esb_environment_ready(environment):\n"
        + "    import types\n"
        + "    from esb_e2e_plugin.lifecycle import cleanup\n"
        + "    def refuse(path):\n"
        + "        raise PermissionError(1, 'Operation not permitted', str(path))\n"
        + "    cleanup.shutil = types.SimpleNamespace(rmtree=refuse)\n",
    )
    result = shop.run("--esb-profile", "one-local")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cause:     still there: " in failure_block(result, "one-local > cleanup")
    certificates = shop.state("one-local") / "certificates"
    shown = next(line for line in result.outlines if line.startswith("[one-local] cleanup: FAILED: "))
    assert f"{certificates}: Operation not permitted (rm -rf {certificates})" in shown
    left = [event for event in shop.events("one-local") if event["kind"] == "cleanup.left"]
    assert len(left) == 1
    assert shop.processes("one-local") == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_failure_that_cannot_be_recorded_ends_the_run_nevertheless(shop: Project, workers: str) -> None:
    """With the disk full from the compose phase on, each waiting test gets the cause and the run ends."""
    shop.write(
        "conftest.py",
        HOOKS
        + "def pytest_configure(config):\n"
        + "    from esb_e2e_plugin.events import Journal\n"
        + "    event = Journal.event\n"
        + "    def full(self, kind, **fields):\n"
        + "        if fields.get('phase') not in (None, 'reset'):\n"
        + "            raise OSError(28, 'No space left on device')\n"
        + "        event(self, kind, **fields)\n"
        + "    Journal.event = full\n",
    )
    result = shop.run("-n", workers, "--esb-profile", "one-local")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "No space left on device" in failure_block(result, "one-local > compose")
    assert hooks(shop)[-1]["results"] == {"one-local": False}
