"""What a real run writes: JSON, JUnit properties, annotations."""

import json
import signal
import stat
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from esb_e2e_plugin.reporting.report import files
from tests.faults.project import Project
from tests.ports import own_ports
from tests.report.report_project import BAD, BROKEN, GOOD, ReportedRun


def test_a_report_is_written_whatever_fails_and_the_summary_says_where(reported: ReportedRun) -> None:
    """The run fails for its own reasons, its report is a file that others can read."""
    assert reported.code == 1, reported.output
    assert f"esb: report: {reported.json}" in reported.output
    assert stat.S_IMODE(reported.json.stat().st_mode) == 0o644
    assert [path.name for path in reported.json.parent.iterdir() if path.name.startswith(".")] == []


def test_the_json_report_fits_the_schema_that_ships(reported: ReportedRun) -> None:
    """Whoever reads a report can rely on the published schema."""
    schema = json.loads(
        resources.files("esb_e2e_plugin.reporting.report").joinpath("report.schema.json").read_text()
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(reported.json.read_text()), schema)


def test_every_outcome_is_told_for_every_environment(reported: ReportedRun) -> None:
    """Passed, failed, error, crashed, skipped and expected failures are told apart."""
    outcomes = {
        name: {
            test.scenario.partition("::")[2]: test.outcome
            for test in reported.run.tests
            if test.environment == name
        }
        for name in (GOOD, BAD, BROKEN, None)
    }
    good = {
        "test_order": "passed",
        "test_till[first]": "passed",
        "test_till[second]": "passed",
        "test_stock": "error",
        "test_crash": "passed",
        "test_later": "skipped",
        "test_wished": "xfailed",
        "test_early": "xpassed",
    }
    assert outcomes[GOOD] == good
    assert outcomes[BAD] == good | {"test_till[second]": "failed", "test_crash": "crashed"}
    assert outcomes[BROKEN] == dict.fromkeys(good, "error")
    assert outcomes[None] == {"test_arithmetic": "passed"}


def test_a_failed_test_carries_what_is_known_of_it(reported: ReportedRun) -> None:
    """The sections of this plugin come first, then the traceback, then what was captured."""
    test = reported.test(f"test_till[{BAD}-second]")
    titles = [section.title for section in test.sections]
    assert titles == ["esb requests", "esb logs", "esb containers", "Traceback", "Captured stdout call"]
    assert (test.line, test.failed_line, test.message) == (8, 14, "AssertionError: the till does not open")
    assert test.worker in ("gw0", "gw1")
    assert test.started is not None


def test_tests_that_passed_carry_no_text(reported: ReportedRun) -> None:
    """A green test costs a report next to nothing."""
    assert reported.test(f"test_till[{GOOD}-second]").sections == ()


def test_no_credential_of_an_environment_is_in_a_report(reported: ReportedRun) -> None:
    """What a failed test has printed and compared is hidden."""
    test = reported.test(f"test_till[{BAD}-second]")
    texts = {section.title: section.text for section in test.sections}
    assert texts["Captured stdout call"].strip() == "the password is ***"
    assert "+ ***" in texts["Traceback"]


def test_an_environment_tells_its_phases_services_and_failure(reported: ReportedRun) -> None:
    """The time line has what happened, in its order, until the environment was removed."""
    good, bad, broken = reported.run.environments
    assert [phase.name for phase in good.phases] == ["reset", "compose", "deploy", "test", "cleanup"]
    assert all(phase.finished for phase in good.phases)
    assert {span.name for span in good.services} == {"gateway", "agent", "database", "s3-storage"}
    assert "deploy: apply" in [span.name for span in good.steps]
    assert (bad.ok, broken.ok) == (False, False)
    assert [(failure.phase, failure.test) for failure in broken.failures] == [("deploy", None)]
    assert broken.failures[0].kind == "deploy step"
    assert f"[{BAD}" in (bad.failures[0].test or "")
    assert "the stock cannot be loaded" in broken.failures[0].cause
    assert broken.log_lines[-1].endswith("the stock cannot be loaded")
    assert [(phase.name, phase.ok) for phase in broken.phases][2:] == [("deploy", False), ("cleanup", True)]


def test_junit_has_properties_of_each_environment(reported: ReportedRun) -> None:
    """Whoever reads only the JUnit file learns which environment failed, where and why."""
    suite = reported.junit.find("testsuite")
    assert suite is not None
    found = {node.attrib["name"]: node.attrib["value"] for node in suite.iterfind("properties/property")}
    assert found[f"esb.{BROKEN}.result"] == "failed"
    assert found[f"esb.{BROKEN}.failed_in"] == "deploy"
    assert "the stock cannot be loaded" in found[f"esb.{BROKEN}.cause"]
    assert float(found[f"esb.{GOOD}.compose.seconds"]) > 0
    assert found["esb.run"] == reported.run.id
    assert len(list(suite.iterfind("testcase"))) == len(reported.run.tests)


def test_github_shows_each_failed_environment_once_and_failed_tests(reported: ReportedRun) -> None:
    """The tests of an environment that did not come up are told by its own annotation."""
    lines = [line for line in reported.output.splitlines() if line.startswith("::error")]
    assert lines[0].startswith("::error file=e2e/environments/test_matrix.yaml,line=")
    assert f"title={BROKEN} failed in deploy::a pytest_esb_deploy hook failed" in lines[0]
    assert [line for line in lines if f"[{BROKEN}]" in line] == []
    failed = next(line for line in lines if f"test_till[{BAD}-second]" in line)
    assert failed.startswith("::error file=e2e/scenarios/test_shop.py,line=14,title=failed%3A test_till")
    assert failed.endswith("%0AAssertionError: the till does not open")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupted_run_leaves_a_report_of_what_it_has_done(tmp_path: Path, workers: str) -> None:
    """Ctrl-C under a test: what is told until then is there, and what was not run is not run."""
    with own_ports() as base:
        project = Project(tmp_path / "tiny", base)
        project.hold.touch()
        path = project.root / "run.html"
        try:
            run = project.start("--esb-report", str(path), "-n", workers)
            run.reach("test")
            run.signal_group(signal.SIGINT)
            result = run.wait()
        finally:
            project.end()
    assert result.code == pytest.ExitCode.INTERRUPTED, result.output
    (told,) = files.read(path).runs
    assert told.interrupted
    (environment,) = told.environments
    assert [phase.name for phase in environment.phases] == ["reset", "compose", "deploy", "test", "cleanup"]
    outcomes = {test.id.partition("::test_")[2].partition("[")[0]: test.outcome for test in told.tests}
    assert outcomes["hold"] == "not_run"
    assert outcomes.keys() == {"hello", "hold"}
