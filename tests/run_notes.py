"""Tests of a project under test that note when and where they ran."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONFTEST = """
import json, os, time, pytest
from pathlib import Path

NOTES = Path(__file__).parents[2] / "notes"

@pytest.fixture(autouse=True)
def note(request):
    began = time.monotonic()
    yield
    record = {"test": request.node.nodeid, "worker": os.environ.get("PYTEST_XDIST_WORKER"), "began": began}
    NOTES.mkdir(exist_ok=True)
    with (NOTES / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps({**record, "ended": time.monotonic()}) + "\\n")
"""
"""Text of the project's `e2e/scenarios/conftest.py`."""

ALL_COLLECT_FIRST = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent

def pytest_collection_finish(session):
    (HERE / f"collected-{os.environ.get('PYTEST_XDIST_WORKER')}").touch()

def pytest_esb_deploy(environment, log):
    deadline = time.monotonic() + 120
    while len(list(HERE.glob("collected-gw*"))) < WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""
"""Text of a root conftest, which sets WORKERS: one of them that collected late might run nothing."""


@dataclass(frozen=True)
class Note:
    """A run of a test, as the test itself has seen it."""

    test: str
    worker: str | None
    began: float
    ended: float


def take_notes(project: Path) -> list[Note]:
    """Return which tests ran since the last time, in the order in which they began."""
    found = []
    for path in (project / "notes").glob("*.jsonl"):
        found += [Note(**json.loads(line)) for line in path.read_text().splitlines()]
        path.unlink()
    return sorted(found, key=lambda note: note.began)


def run_beside(alone: Sequence[Note], others: Sequence[Note]) -> list[tuple[str, str]]:
    """Return the tests that ran, at least in part, while one of `alone` did, each with that one."""
    return [
        (one.test, other.test)
        for one in alone
        for other in others
        if one is not other and one.began < other.ended and other.began < one.ended
    ]
