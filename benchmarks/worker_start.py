"""How long the first call of a function waits in e2e-containerd, beside a plain run of the same image."""

import json
import subprocess
from collections.abc import Iterator
from statistics import median

from benchmarks.docker import prepare
from benchmarks.java import STARTS, let_workers_go
from benchmarks.measuring import Row, own_host, project, pytest, table

PROFILE, FUNCTION = "e2e-containerd", "lambda-echo"
SCENARIO = """
import json, os, subprocess, time
from pathlib import Path

import requests

FUNCTION, STARTS = os.environ["FUNCTION"], int(os.environ["STARTS"])
CALL = f"/2015-03-31/functions/{FUNCTION}/invocations"
EVENT = {"message": "hello"}


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def without_workers(gateway):
    deadline = time.monotonic() + 60
    while True:
        pools = gateway.get("/metrics/pools").json()["pools"]
        if not next(pool for pool in pools if pool["function_name"] == FUNCTION)["total_workers"]:
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def plain_run(image, variables, network):
    start = time.perf_counter()
    flags = [flag for variable in variables for flag in ("--env", variable)]
    container = docker("run", "--detach", "--init", "--network", network, *flags, image)
    created = time.perf_counter() - start
    try:
        form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        address = docker("inspect", "--format", form, container)
        url = f"http://{address}:8080/2015-03-31/functions/function/invocations"
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = requests.post(url, json=EVENT, timeout=10)
                break
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        assert "Echo: hello" in answer.text, answer.text
        return created, time.perf_counter() - start
    finally:
        docker("rm", "--force", "--volumes", container)


def worker_of(project):
    node = f"{project}-runtime-node-1"
    ctr = ("exec", node, "ctr", "--namespace", project, "containers")
    worker = next(name for name in docker(*ctr, "ls", "-q").split() if f"-{FUNCTION}-" in name)
    found = json.loads(docker(*ctr, "info", worker))
    image = found["Image"].removeprefix("registry:5010/")
    return image, found["Spec"]["process"]["env"]


def test_first_calls(esb_environment, esb_gateway):
    assert "Echo: hello" in esb_gateway.post(CALL, json=EVENT).text
    image, variables = worker_of(esb_environment.project)
    network = f"{esb_environment.project}-runtime"
    taken = {"worker": [], "created": [], "plain": []}
    for _ in range(STARTS):
        without_workers(esb_gateway)
        start = time.perf_counter()
        assert "Echo: hello" in esb_gateway.post(CALL, json=EVENT).text
        taken["worker"].append(time.perf_counter() - start)
        created, answered = plain_run(image, variables, network)
        taken["created"].append(created)
        taken["plain"].append(answered)
    Path(os.environ["TIMINGS"]).write_text(json.dumps(taken))
"""


def measure() -> Iterator[Row]:
    """Let the worker of a function go and call it again, in turns with `docker run` of its image."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:  # noqa: S607
        return
    with project() as copy:
        prepare(copy, PROFILE)
        let_workers_go(copy, PROFILE, [FUNCTION])
        scenario = copy / "speed/test_first_calls.py"
        scenario.parent.mkdir()
        scenario.write_text(SCENARIO)
        timings = copy.parent / "timings.json"
        own = {"TIMINGS": str(timings), "STARTS": str(STARTS), "FUNCTION": FUNCTION}
        arguments = ["--esb-profile", PROFILE, "-n", "0", "--esb-test-target", str(scenario)]
        pytest(arguments, copy, {**own_host(copy), **own})
        taken = {name: median(seconds) for name, seconds in json.loads(timings.read_text()).items()}
    beside = (
        f"worker and first answer through the gateway: {taken['worker']:.2f} s; docker run and the same "
        f"answer: {taken['plain']:.2f} s, of which docker run alone: {taken['created']:.2f} s"
    )
    ratio = taken["worker"] / taken["plain"]
    yield Row("e2e-containerd, start of a worker beside docker run", ratio, 1.5, "x", beside)


if __name__ == "__main__":
    print(table(measure()))
