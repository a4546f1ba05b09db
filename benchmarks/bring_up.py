"""From nothing to a deployed environment, and from pressing enter to the first test's result."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measuring import Row, own_host, project, pytest, table

RUNS = 5
PHASES = ("reset", "compose", "deploy")


def measure() -> Iterator[Row]:
    """Run one scenario in an environment of its own, with xdist as `make e2e` does."""
    ups: list[float] = []
    firsts: list[float] = []
    plains: list[float] = []
    phases: dict[str, list[float]] = {name: [] for name in PHASES}
    with project() as copy:
        plain = copy.parent / "test_plain.py"
        plain.write_text("def test_plain():\n    pass\n")
        for _ in range(RUNS):
            used = pytest(
                ["--esb-profile", "e2e-local", "-n", "auto", "-k", "test_smoke_health"], copy, own_host(copy)
            )
            times = moments(copy / ".esb/e2e/state/e2e-local/events.jsonl")
            for name in PHASES:
                phases[name].append(times[f"{name} finished"] - times[f"{name} started"])
            ups.append(times["deploy finished"] - times["reset started"])
            firsts.append(times["first test"] - used.started)
            plains.append(pytest(["-n", "auto", str(plain)], copy.parent).wall)
    parts = ", ".join(f"{name} {median(values):.2f} s" for name, values in phases.items())
    yield Row("environment up and deployed", median(ups), 3, "s", f"its phases: {parts}")
    yield Row(
        "enter to first result", median(firsts), 5, "s", f"one plain test, -n auto: {median(plains):.2f} s"
    )


def moments(events: Path) -> dict[str, float]:
    """Return when each phase started and finished, and the first test finished, in unix seconds."""
    times: dict[str, float] = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        kind, _, what = event["kind"].partition(".")
        if kind == "phase" and what in ("started", "finished"):
            times[f"{event['phase']} {what}"] = event["t"]
        elif event["kind"] == "test.finished":
            times.setdefault("first test", event["t"])
    return times


if __name__ == "__main__":
    print(table(measure()))
