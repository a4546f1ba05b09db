"""Log and events: complete, in order, and without secrets or control codes."""

from __future__ import annotations

import base64
import json
import threading
from importlib import resources
from pathlib import Path
from urllib.parse import quote, quote_plus

import jsonschema
import pytest

from esb_e2e_plugin.events import KINDS, Journal, plain_text, tail
from esb_e2e_plugin.redaction import Redactor

SECRETS = ["p+ss w/rd?&%", 'quo"ted\\back', "ünïcode-secret", "plain-secret"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_hidden_in_every_form_that_it_is_written_in(secret: str) -> None:
    """Plain, base64 with both alphabets and without padding, URL-encoded both ways, and inside JSON."""
    redact = Redactor()
    redact.add([secret])
    forms = [
        secret,
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
    ]
    for form in forms:
        assert form not in redact(f"before {form} after"), form
        assert redact(f"before {form} after").startswith("before ***")


@pytest.mark.parametrize("user", ["u", "us", "use"])
def test_a_secret_is_hidden_inside_of_something_longer_in_base64(user: str) -> None:
    """Basic authentication encodes `user:secret`: wherever it begins, hardly a character is left."""
    redact = Redactor()
    redact.add(["correct-horse-battery"])
    encoded = base64.b64encode(f"{user}:correct-horse-battery:end".encode()).decode()
    shown = redact(f"Authorization: Basic {encoded}")
    before, hidden, after = shown.partition("***")
    assert hidden
    assert b"correct-horse"[3:] not in base64.b64decode(before.rpartition(" ")[2] + "====")
    assert len(before.rpartition(" ")[2]) <= len(base64.b64encode(f"{user}:".encode())) + 1
    assert len(after) <= len(base64.b64encode(b"y:end")) + 1


def test_the_longest_secret_wins_where_one_holds_another() -> None:
    """No rest of a longer secret is shown because a shorter one is a part of it."""
    redact = Redactor()
    redact.add(["secret"])
    redact.add(["secret-and-more"])
    assert redact("a secret-and-more b secret c") == "a *** b *** c"


def test_short_values_and_no_values_hide_nothing() -> None:
    """A value of less than four characters would blacken ordinary words."""
    redact = Redactor()
    assert redact("text") == "text"
    redact.add(["", "abc"])
    assert redact("abc") == "abc"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2Kerased", "erased"),
        ("a\rb\x07\x00", "ab"),
        ("\x1b]0;", "0;"),
        ("tab\tstays", "tab\tstays"),
        ("plain ünïcode", "plain ünïcode"),
    ],
)
def test_control_codes_are_taken_out(given: str, shown: str) -> None:
    """What would garble a terminal is gone, text stays."""
    assert plain_text(given) == shown


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    shown: list[tuple[str, str]] = []
    made = Journal(
        "one",
        "run-1",
        tmp_path / "logs" / "one.log",
        tmp_path / "state" / "events.jsonl",
        lambda *line: shown.append(line),
    )
    made.shown = shown  # type: ignore[attr-defined]
    return made


def test_each_event_is_one_json_line_with_the_common_fields(journal: Journal) -> None:
    """Version, time, run, environment, kind, and the fields of the kind; secrets are hidden."""
    journal.redact.add(["top-secret"])
    journal.event("command.started", command=["tool", "--key=top-secret"], path=Path("/x"))
    journal.close()
    (line,) = journal.events_path.read_text().splitlines()
    record = json.loads(line)
    assert isinstance(record.pop("t"), float)
    assert record == {
        "v": 1,
        "run": "run-1",
        "env": "one",
        "kind": "command.started",
        "command": ["tool", "--key=***"],
        "path": "/x",
    }


def test_what_is_said_is_in_the_log_and_on_the_terminal(journal: Journal) -> None:
    """Both show the line, neither shows a secret; ordinary output is only in the log."""
    journal.redact.add(["top-secret"])
    journal.say("uses top-secret")
    journal.line("gateway", "\x1b[31mtop-secret\x1b[0m is set")
    journal.close()
    assert journal.shown == [("one", "uses ***")]  # type: ignore[attr-defined]
    lines = [line.split(" ", 1)[1] for line in journal.log_path.read_text().splitlines()]
    assert lines == ["[esb] uses ***", "[gateway] *** is set"]


def test_lines_of_many_threads_are_all_there_and_whole(journal: Journal) -> None:
    """Threads that write at the same time never tear a line."""

    def write(name: str) -> None:
        for number in range(100):
            journal.line(name, f"{name}-{number}")
            journal.event("phase.progress", step=f"{name}-{number}")

    threads = [threading.Thread(target=write, args=(f"t{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    expected = {f"t{index}-{number}" for index in range(4) for number in range(100)}
    assert {line.rpartition(" ")[2] for line in journal.log_path.read_text().splitlines()} == expected
    assert {json.loads(line)["step"] for line in journal.events_path.read_text().splitlines()} == expected


def test_a_new_run_starts_both_files_anew_and_a_closed_journal_drops_lines(journal: Journal) -> None:
    """The log holds one run; a straggler after the end harms nothing."""
    journal.say("first")
    journal.close()
    journal.close()
    journal.say("late")
    again = Journal("one", "run-2", journal.log_path, journal.events_path, lambda *_: None)
    again.say("second")
    assert [line.split("] ")[1] for line in again.tail(5)] == ["second"]
    again.close()


def test_who_goes_on_with_a_journal_drops_what_a_kill_has_torn(journal: Journal) -> None:
    """What was whole stays, and what is written next is a line of its own."""
    journal.say("first")
    journal.event("run.started", profile="one")
    journal.close()
    for path in (journal.log_path, journal.events_path):
        with path.open("a") as file:
            file.write('{"torn')
    after = Journal("one", "run-1", journal.log_path, journal.events_path, lambda *_: None, anew=False)
    after.say("second")
    after.event("run.finished")
    after.close()
    assert [line.split("] ")[1] for line in after.tail(5)] == ["first", "second"]
    kinds = [json.loads(line)["kind"] for line in journal.events_path.read_text().splitlines()]
    assert kinds == ["run.started", "run.finished"]


def test_the_schema_describes_known_kinds_and_refuses_a_broken_record() -> None:
    """Readers rely on it: every kind that it describes exists, and a phase without a name is none."""
    schema = json.loads(resources.files("esb_e2e_plugin").joinpath("events.schema.json").read_text())
    described = {rule["if"]["properties"]["kind"]["const"] for rule in schema["allOf"]}
    assert described <= KINDS
    common = {"v": 1, "t": 1.5, "run": "r", "env": "e"}
    jsonschema.validate({**common, "kind": "phase.started", "phase": "reset"}, schema)
    jsonschema.validate({**common, "kind": "from.the.future"}, schema)
    with pytest.raises(jsonschema.ValidationError, match="'phase' is a required property"):
        jsonschema.validate({**common, "kind": "phase.started"}, schema)


def test_tail_gives_the_last_lines_or_none(tmp_path: Path) -> None:
    """The last lines, without control codes; nothing for no lines or no file."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo \xff\n\x1b[2Kthree\n")
    assert tail(path, 2) == ["two \N{REPLACEMENT CHARACTER}", "three"]
    assert tail(path, 9) == ["one", "two \N{REPLACEMENT CHARACTER}", "three"]
    assert tail(path, 0) == []
    assert tail(tmp_path / "absent", 3) == []
