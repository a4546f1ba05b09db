"""How long a Java function lets its caller wait, cold and warm, beside a Python function."""

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import yaml

from benchmarks.by_hand import PROFILE
from benchmarks.docker import prepare
from benchmarks.measuring import Row, own_host, project, pytest, table

STARTS = 10
FUNCTIONS = {"java": "lambda-echo-java", "python": "lambda-echo"}
HELLO = 'public class Hello { public static void main(String[] a) { System.out.println("Hello"); } }'
SCENARIO = """
import json, os, time
from pathlib import Path

CALLS = 100
STARTS = int(os.environ["STARTS"])
FUNCTIONS = json.loads(os.environ["FUNCTIONS"])


def timed(gateway, function):
    start = time.perf_counter()
    answer = gateway.post(f"/2015-03-31/functions/{function}/invocations", json={"message": "hello"})
    assert "Echo: hello" in answer.text, answer.text
    return time.perf_counter() - start


def without_workers(gateway, function):
    deadline = time.monotonic() + 60
    while True:
        pools = gateway.get("/metrics/pools").json()["pools"]
        if not next(pool for pool in pools if pool["function_name"] == function)["total_workers"]:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_echo_in_two_languages(esb_gateway):
    taken = {name: {"cold": [], "warm": []} for name in FUNCTIONS}
    for _ in range(STARTS):
        for name, function in FUNCTIONS.items():
            without_workers(esb_gateway, function)
            taken[name]["cold"].append(timed(esb_gateway, function))
    for number in range(2 * CALLS):
        for name, function in FUNCTIONS.items():
            seconds = timed(esb_gateway, function)
            if number >= CALLS:
                taken[name]["warm"].append(seconds * 1000)
    Path(os.environ["TIMINGS"]).write_text(json.dumps(taken))
"""


def measure() -> Iterator[Row]:
    """Let workers go idle and start them again, in turns; then call the warm ones, in turns."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:  # noqa: S607
        return
    with project() as copy:
        prepare(copy)
        let_workers_go(copy, PROFILE, FUNCTIONS.values())
        scenario = copy / "speed/test_echo_languages.py"
        scenario.parent.mkdir()
        scenario.write_text(SCENARIO)
        timings = copy.parent / "timings.json"
        own = {"TIMINGS": str(timings), "STARTS": str(STARTS), "FUNCTIONS": json.dumps(FUNCTIONS)}
        arguments = ["--esb-profile", PROFILE, "-n", "0", "--esb-test-target", str(scenario)]
        pytest(arguments, copy, {**own_host(copy), **own})
        taken = json.loads(timings.read_text())
    cold = {language: median(times["cold"]) for language, times in taken.items()}
    warm = {language: median(times["warm"]) for language, times in taken.items()}
    beside = f"Python's: {cold['python']:.2f} s; a virtual machine that says hello: {_hello():.2f} s"
    yield Row("e2e-docker, cold start of a Java echo", cold["java"], 1.2, "s", beside)
    beside = f"Java: {warm['java']:.2f} ms, Python: {warm['python']:.2f} ms"
    yield Row("e2e-docker, warm Java echo over Python's", warm["java"] - warm["python"], 10, "ms", beside)


def let_workers_go(copy: Path, profile: str, names: Iterable[str]) -> None:
    """Let the workers of functions end a second after their last call, in a copy of the project."""
    config = copy / "e2e/artifacts" / profile / "template.e2e/config/functions.yml"
    functions = yaml.safe_load(config.read_text())
    for name in names:
        functions["functions"][name]["scaling"] = {"idle_timeout": 1}
    config.write_text(yaml.safe_dump(functions))


def _hello() -> float:
    """Return the median time of a program that only writes a line."""
    taken = []
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        source = Path(folder, "Hello.java")
        source.write_text(HELLO)
        subprocess.run(["javac", source], check=True)  # noqa: S607
        for _ in range(STARTS):
            start = time.perf_counter()
            subprocess.run(["java", "-cp", folder, "Hello"], check=True, capture_output=True)  # noqa: S607
            taken.append(time.perf_counter() - start)
    return median(taken)


if __name__ == "__main__":
    print(table(measure()))
