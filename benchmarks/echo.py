"""What the way through gateway, agent and worker adds to a handler."""

import json
from collections.abc import Iterator
from statistics import median, quantiles

from benchmarks.measuring import Row, own_host, project, pytest, table

SCENARIO = """
import json, os, runpy, time
from pathlib import Path

CALLS = 300
EVENT = {"body": json.dumps({"message": "hello"}), "requestContext": {}, "headers": {}}


def timed(call):
    taken = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def test_echo(esb_gateway):
    def through_the_gateway():
        assert esb_gateway.post("/api/echo", json={"message": "hello"}).json()["message"] == "Echo: hello"

    timed(through_the_gateway)
    app = Path(__file__).parents[1] / "e2e/fixtures/functions/python/echo/app.py"
    handler = runpy.run_path(str(app))["handler"]
    result = {"gateway": timed(through_the_gateway), "plain": timed(lambda: handler(EVENT, None))}
    Path(os.environ["TIMINGS"]).write_text(json.dumps(result))
"""


def measure() -> Iterator[Row]:
    """Call the warm echo function one request after the other, and its handler directly."""
    with project() as copy:
        scenario = copy / "speed/test_echo_speed.py"
        scenario.parent.mkdir()
        scenario.write_text(SCENARIO)
        timings = copy.parent / "timings.json"
        pytest(
            ["--esb-profile", "e2e-local", "-n", "0", "--esb-test-target", str(scenario)],
            copy,
            {**own_host(copy), "TIMINGS": str(timings)},
        )
        taken = json.loads(timings.read_text())
    plain = median(taken["plain"])
    slow = quantiles(taken["gateway"], n=100)[94]
    beside = f"the plain handler: {plain:.3f} ms; 95 % of the answers within {slow:.2f} ms"
    yield Row("warm echo, added by the platform", median(taken["gateway"]) - plain, 10, "ms", beside)


if __name__ == "__main__":
    print(table(measure()))
