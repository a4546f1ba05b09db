"""Reports: what is made of events and of pytest's reports, and what is made of that."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report import files, github, html_file, json_file, junit, limits
from esb_e2e_plugin.reporting.report.history import History, history
from esb_e2e_plugin.reporting.report.merge import merge
from esb_e2e_plugin.reporting.report.outcomes import Outcomes
from esb_e2e_plugin.reporting.report.records import (
    OUTCOMES,
    EnvironmentRecord,
    FailureRecord,
    Outcome,
    Phase,
    Report,
    RunRecord,
    Section,
    Span,
    TestRecord,
    node_id,
    scenario_of,
)

NODE = "test_a.py::test_one[shop]"
SHOP = EnvironmentRecord(name="shop", profile="shop", mode="process", ok=True)


def run_of(
    *tests: TestRecord, environments: tuple[EnvironmentRecord, ...] = (SHOP,), name: str = "r1"
) -> RunRecord:
    return RunRecord(
        id=name,
        started=100.0,
        finished=110.0,
        exit_code=1,
        interrupted=False,
        command=("pytest",),
        root="/project",
        python="3.13.0",
        pytest="9.0.0",
        plugin="1.0.0",
        environments=environments,
        tests=tests,
    )


def case(name: str = "test_one", outcome: Outcome = "passed", **more: Any) -> TestRecord:
    facts = {"environment": "shop", "file": "test_a.py", **more}
    return TestRecord(id=f"test_a.py::{name}[shop]", scenario=f"test_a.py::{name}", outcome=outcome, **facts)


def told(*events: dict[str, Any]) -> History:
    return history(
        ({"run": "r1", "env": "shop", "t": float(at), **event} for at, event in enumerate(events)), "r1"
    )


def phase_report(when: str = "call", outcome: str = "passed", **more: Any) -> pytest.TestReport:
    facts = {"longrepr": None, "duration": 1.0, "start": 10.0, "stop": 11.0, **more}
    return pytest.TestReport(NODE, ("test_a.py", 4, "test_one"), {}, outcome, when=when, **facts)  # type: ignore[arg-type]


def folded(*reports: pytest.TestReport) -> TestRecord:
    tests = Outcomes()
    tests.collected([NODE])
    for report in reports:
        tests.take(report, lambda text: text.replace("secret", "***"))
    (record,) = tests.records(lambda _: "shop", str)
    return record


def test_the_schema_that_ships_is_that_of_the_records() -> None:
    """The published schema is generated, and describes every field."""
    shipped = resources.files("esb_e2e_plugin.reporting.report").joinpath("report.schema.json").read_text()
    assert json.loads(shipped) == json_file.json_schema()


def test_json_keeps_everything() -> None:
    """What is read is what was written, and fits the schema."""
    environment = EnvironmentRecord(
        name="shop",
        profile="shop",
        mode="process",
        ok=False,
        phases=(Phase(name="reset", started=1.0, finished=2.0, ok=True),),
        waits=(Span(name="waits for room", started=0.5),),
        failures=(
            FailureRecord(
                phase="deploy", kind="deploy step", component="hook", cause="no", service_lines=("a", "b")
            ),
        ),
    )
    report = Report(
        runs=(run_of(case(sections=(Section(title="esb logs", text="ä\n"),)), environments=(environment,)),)
    )
    text = json_file.dump(report)
    jsonschema.validate(json.loads(text), json_file.json_schema())
    assert json_file.load(text, "here") == report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.json: Expecting value"),
        ("[]", "r.json: this is no report"),
        ('{"version": 2, "runs": []}', "r.json: version: 2; expected 1"),
        ('{"version": 1, "runs": [{}]}', "r.json: runs.0.id: Field required"),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        files.read(path)
    assert message in str(caught.value)


def test_scenarios_lose_their_environment_and_nothing_else() -> None:
    """The same test has one name in all environments."""
    for nodeid, scenario in (
        ("a.py::test[shop]", "a.py::test"),
        ("a.py::test[shop-x-y]", "a.py::test[x-y]"),
        ("a.py::test[shopping-x]", "a.py::test[shopping-x]"),
    ):
        assert scenario_of(nodeid, "shop") == scenario
    for scenario in ("a.py::test", "a.py::test[x-y]", "a.py::Class::test[[]"):
        assert scenario_of(node_id(scenario, "shop"), "shop") == scenario


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([], "not_run"),
        ([phase_report("setup")], "not_run"),
        ([phase_report("setup"), phase_report(), phase_report("teardown")], "passed"),
        ([phase_report("setup"), phase_report(outcome="failed", longrepr="no")], "failed"),
        ([phase_report("setup", "failed", longrepr="no")], "error"),
        ([phase_report("setup"), phase_report(), phase_report("teardown", "failed", longrepr="no")], "error"),
        ([phase_report("setup"), phase_report("???", "failed", longrepr="gone")], "crashed"),
        ([phase_report("setup", "skipped", longrepr=("test_a.py", 1, "Skipped: why"))], "skipped"),
        ([phase_report("setup"), phase_report(outcome="skipped", wasxfail="reason: why")], "xfailed"),
        ([phase_report("setup"), phase_report(wasxfail="why")], "xpassed"),
    ],
)
def test_phases_of_a_test_become_one_outcome(reports: list[pytest.TestReport], outcome: Outcome) -> None:
    """The worst phase counts, and a test that never began is not run."""
    assert folded(*reports).outcome == outcome


def test_a_test_that_is_run_again_counts_as_its_last_attempt() -> None:
    """Plugins that repeat failed tests report the setup again."""
    first = (phase_report("setup"), phase_report(outcome="failed", longrepr="no"), phase_report("teardown"))
    record = folded(*first, phase_report("setup"), phase_report(), phase_report("teardown"))
    assert (record.outcome, record.attempts, record.message, record.sections) == ("passed", 2, "", ())


def test_a_skip_says_why() -> None:
    """The reason is the message, without the words that pytest puts before it."""
    assert (
        folded(phase_report("setup", "skipped", longrepr=("f", 1, "Skipped: tomorrow"))).message == "tomorrow"
    )


def test_texts_of_a_failed_test_are_plain_and_hide_secrets() -> None:
    """Colours and secrets of what was captured do not reach a report; teardown adds what it captured."""
    record = folded(
        phase_report("setup"),
        phase_report(
            outcome="failed",
            longrepr="a secret",
            sections=[("Captured stdout call", "\x1b[31msecret\x1b[0m")],
        ),
        phase_report("teardown", sections=[("Captured stdout teardown", "later"), ("esb logs", "log")]),
    )
    assert [(section.title, section.text) for section in record.sections] == [
        ("esb logs", "log"),
        ("Traceback", "a ***"),
        ("Captured stdout call", "***"),
        ("Captured stdout teardown", "later"),
    ]
    assert record.message == "a ***"


def test_long_texts_lose_their_middle() -> None:
    """Beginning and end stay as whole lines, and the text says what is left out."""
    lines = [f"line {number:05}" for number in range(20_000)]
    text = limits.shortened("\n".join(lines), 12_000)
    kept = text.splitlines()
    assert len(text) < 12_100
    assert kept[0] == lines[0]
    assert kept[-1] == lines[-1]
    assert [line for line in kept if line not in lines and "left out" not in line] == []


def test_a_report_holds_no_more_than_its_budget() -> None:
    """When many tests fail, the last ones keep only a little; a text that repeats costs once."""
    budget = limits.Budget(50_000)
    texts = [budget.spend([Section(title="Traceback", text=f"{number}" * 40_000)]) for number in range(9)]
    sizes = [len(section.text) for (section,) in texts]
    assert sizes[:2] == [40_000, 40_000]
    assert max(sizes[2:]) < 1_600
    same = limits.Budget(50_000)
    assert {len(same.spend([Section(title="t", text="x" * 40_000)])[0].text) for _ in range(9)} == {40_000}


def test_steps_end_with_the_next_one_or_with_their_phase() -> None:
    """Progress has no end of its own."""
    found = told(
        {"kind": "phase.started", "phase": "deploy"},
        {"kind": "phase.progress", "phase": "deploy", "step": "apply"},
        {"kind": "phase.progress", "phase": "deploy", "step": "provisioner"},
        {"kind": "command.started", "service": "provisioner", "command": ["prog", "--x"]},
        {"kind": "command.finished", "service": "provisioner", "exit": 1},
        {"kind": "phase.finished", "phase": "deploy", "ok": False, "cause": "provisioner failed"},
    )
    assert [(span.name, span.started, span.finished, span.ok) for span in found.steps] == [
        ("deploy: apply", 1.0, 2.0, True),
        ("deploy: provisioner", 2.0, 5.0, False),
        ("provisioner", 3.0, 4.0, False),
    ]
    assert found.steps[2].detail == "prog --x (exit 1)"
    assert found.phases == (
        Phase(name="deploy", started=0.0, finished=5.0, ok=False, cause="provisioner failed"),
    )


def test_services_come_up_and_end() -> None:
    """A service is shown from its start to its readiness, and from there to its end."""
    found = told(
        {"kind": "phase.started", "phase": "compose"},
        {"kind": "command.started", "service": "gateway", "command": ["gateway"]},
        {"kind": "service.state", "service": "gateway", "state": "healthy"},
        {"kind": "phase.finished", "phase": "compose", "ok": True},
        {"kind": "phase.started", "phase": "test"},
        {"kind": "service.state", "service": "gateway", "state": "exited", "exit": 137},
        {"kind": "command.finished", "service": "gateway", "exit": -9},
    )
    assert [(span.started, span.finished, span.ok) for span in found.services] == [
        (1.0, 2.0, True),
        (2.0, 5.0, False),
    ]
    assert [(event.at, event.text, event.bad) for event in found.events] == [
        (2.0, "healthy", False),
        (5.0, "exited: exit 137", True),
    ]


def test_what_was_not_over_stays_open_and_strange_events_are_passed_over() -> None:
    """A run that was interrupted, or another run's events, break nothing."""
    found = told(
        {"kind": "phase.started", "phase": "compose"},
        {"kind": "tea.served", "cup": 1},
        {"kind": "lease.moved", "base": 18000, "reason": "port 18000 is taken"},
        {"kind": "command.started", "service": "compose-create", "command": ["docker"]},
        {"kind": "cleanup.left", "things": ["a volume"], "run": "r0"},
    )
    assert found.phases == (Phase(name="compose", started=0.0),)
    assert found.steps == (Span(name="compose-create", started=3.0, detail="docker"),)
    assert [event.kind for event in found.events] == ["lease"]


def test_merging_keeps_every_run_once(tmp_path: Path) -> None:
    """Shards become one report, in the order of their start; a run that comes twice counts as it was last."""
    early = replace(run_of(case("test_a"), name="early"), started=1.0)
    late = run_of(case("test_b"), name="late")
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    files.write(Report(runs=(late, early)), old)
    again = replace(early, exit_code=0)
    files.write(Report(runs=(again,)), new)
    out = tmp_path / "out" / "all.json"
    assert merge([old, new], out).runs == (again, late)
    assert files.read(out).runs == (again, late)


def test_merging_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Each mistake is one error, and nothing is written."""
    report = tmp_path / "one.json"
    files.write(Report(runs=(run_of(),)), report)
    for paths, out, message in (
        ([], tmp_path / "out.json", "no report is given"),
        ([report], tmp_path / "out.txt", "unknown suffix '.txt'"),
        ([tmp_path / "absent.json"], tmp_path / "out.json", "absent.json"),
        ([report], report / "out.json", "is no folder"),
    ):
        with pytest.raises(UserError) as caught:
            merge(paths, out)
        assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_junit_properties_join_those_that_are_there() -> None:
    """Properties of the project stay, with pytest's own file and without its outer element."""
    environment = EnvironmentRecord(
        name="shop",
        profile="shop",
        mode="docker",
        ok=False,
        failures=(FailureRecord(phase="deploy", kind="deploy step", component="hook", cause="<no> & ä"),),
    )
    inner = '<testsuite name="pytest"><properties><property name="own" value="1"/></properties></testsuite>'
    for xml in (inner, f"<testsuites>{inner}</testsuites>"):
        root = ET.fromstring(junit.with_properties(xml, run_of(environments=(environment,))))  # noqa: S314
        suite = next(root.iter("testsuite"))
        found = {node.attrib["name"]: node.attrib["value"] for node in suite.iterfind("properties/property")}
        assert found["own"] == "1"
        assert found["esb.shop.cause"] == "<no> & ä"
        assert found["esb.shop.result"] == "failed"


def test_workflow_commands_escape_what_github_would_take_for_their_own() -> None:
    """Percent signs, ends of lines, commas and colons reach GitHub as they were."""
    bad = case("test_a,b:c", "failed", line=3, failed_line=7, message="100%\r\nno::way", file="a,b/test_a.py")
    (line,) = github.workflow_commands(run_of(bad), {}, Path("/work/project"), Path("/work"))
    assert line == (
        "::error file=project/a%2Cb/test_a.py,line=7,title=failed%3A test_a%2Cb%3Ac[shop]"
        "::test_a.py::test_a,b:c[shop]%0A100%25%0D%0Ano::way"
    )


def test_workflow_commands_end_where_github_shows_no_more() -> None:
    """Many failed tests become one last command that counts them."""
    tests = (case(f"test_{number}", "failed") for number in range(73))
    lines = list(github.workflow_commands(run_of(*tests), {}, Path("/p"), Path("/p")))
    assert len(lines) == 51
    assert lines[-1] == "::error title=23 more::23 more tests failed; the log and the report name them"


_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_seconds = st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000)
_tests = st.builds(
    TestRecord,
    id=_names,
    scenario=_names,
    environment=st.sampled_from(["shop", "till", None]),
    outcome=st.sampled_from(OUTCOMES),
    file=_names,
    line=st.none() | st.integers(1, 9),
    failed_line=st.none() | st.integers(1, 9),
    worker=st.none() | st.sampled_from(["gw0", "gw1"]),
    started=st.none() | _seconds.map(lambda seconds: round(100 + seconds, 3)),
    setup=_seconds,
    call=_seconds,
    teardown=_seconds,
    attempts=st.integers(1, 3),
    message=_names,
    sections=st.lists(st.builds(Section, title=_names, text=_names), max_size=2).map(tuple),
)


@given(st.lists(_tests, max_size=5))
def test_a_page_keeps_everything(tests: list[TestRecord]) -> None:
    """Reports of one format become the other without a loss, so that they merge."""
    environments = tuple(
        EnvironmentRecord(name=name, profile="shop", mode="docker", ok=None) for name in ("shop", "till")
    )
    report = Report(runs=(run_of(*tests, environments=environments),))
    assert html_file.load(html_file.dump(report), "here") == report


def test_no_text_ends_the_data_of_a_page() -> None:
    """Whatever a log says, the page has the elements that its template has."""
    text = "</script><script>alert(1)</script><!--\u2028"
    page = html_file.dump(Report(runs=(run_of(case(sections=(Section(title="esb logs", text=text),))),)))
    assert page.count("<script") == 2
    assert "alert(1)" in page
    assert "<!--" not in page
    assert "\u2028" not in page


def test_the_policy_of_a_page_knows_its_own_script_and_style() -> None:
    """Nothing else runs, and nothing is loaded."""
    page = html_file.dump(Report(runs=(run_of(),)))
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    style = page.partition("<style>")[2].partition("</style>")[0]
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    for text in (script, style):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html></html>", "this is no report"),
        (
            '<script type="application/json" id="data">{"version":9,"runs":[]}</script>',
            "version: 9; expected 1",
        ),
        ('<script type="application/json" id="data">{"version":1,"runs":[{}]}</script>', "are broken"),
        ('<script type="application/json" id="data">{</script>', "r.html: "),
    ],
)
def test_a_page_that_is_no_report_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and what is wrong in it."""
    path = tmp_path / "r.html"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        files.read(path)
    assert message in str(caught.value)


def test_pages_and_json_merge_into_one(tmp_path: Path) -> None:
    """A shard may write what it likes."""
    first, second = run_of(case("test_a"), name="a"), replace(run_of(case("test_b"), name="b"), started=200.0)
    files.write(Report(runs=(first,)), tmp_path / "a.html")
    files.write(Report(runs=(second,)), tmp_path / "b.json")
    merge([tmp_path / "a.html", tmp_path / "b.json"], tmp_path / "all.html")
    assert files.read(tmp_path / "all.html").runs == (first, second)


def test_the_examples_of_the_guide_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/report.md says in Python is what works."""
    files.write(Report(runs=(run_of(case("test_a"), name="a"),)), tmp_path / "shard-1.json")
    files.write(Report(runs=(run_of(case("test_b"), name="b"),)), tmp_path / "shard-2.html")
    monkeypatch.chdir(tmp_path)
    guide = Path(__file__).parents[2] / "docs" / "report.md"
    examples = guide.read_text(encoding="utf-8").split("```python\n")[1:]
    names: dict[str, Any] = {}
    for example in examples:
        exec(example.partition("```")[0], names)  # noqa: S102  our own documentation
    assert json.loads(names["schema"]) == json_file.json_schema()
    assert [run.id for run in files.read(tmp_path / "all.html").runs] == ["a", "b"]
