"""Environments as a user has them: brought up, used, kept, removed; with real services."""

from __future__ import annotations

import base64
import json
import re
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jsonschema
import pytest

from esb_e2e_plugin.events import KINDS
from esb_e2e_plugin.processes import end_marked
from tests.plugin.esb_project import Project, entries, listens, output, reported
from tests.plugin.shop import ECHO_TEST, failure_block, hook_names, hooks, phases, ran

CANARIES = {
    "AUTH_USER": "canary user/1",
    "AUTH_PASS": "canary-pass+word/%&=2",
    "X_API_KEY": "canary-api-key~3",
    "JWT_SECRET_KEY": "canary-signing-key-of-more-than-32-characters/4",
    "S3_ACCESS_KEY": "canaryaccess5",
    "S3_SECRET_KEY": "canary/secret+key6",
}


def test_a_run_brings_an_environment_up_uses_it_and_leaves_nothing_but_results(shop: Project) -> None:
    """One process: phases are shown under capture, hooks run once, everything of the environment is gone."""
    shop.write(
        "e2e/scenarios/test_echo.py",
        ECHO_TEST + "def test_credentials(esb_environment):\n    print(vars(esb_environment.credentials))\n",
    )
    canaries = "".join(f"{name}='{value}'\n" for name, value in CANARIES.items())
    shop.write("e2e/environments/one-local/.env", canaries)
    result = shop.run("--esb-profile", "one-local")
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "esb: one-local (process) from command line",
            "esb: collects e2e/scenarios",
            "[[]one-local] reset: done in * s",
            "[[]one-local] compose: done in * s",
            "[[]one-local] deploy: done in * s",
            "[[]one-local] removed in * s",
            "*2 passed*",
        ]
    )
    noted = hooks(shop)
    assert [note["hook"] for note in noted] == ["deploy", "ready", "results", "stash"]
    assert noted[2]["results"] == noted[3]["results"] == {"one-local": True}
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+", str(noted[0]["url"]))
    assert phases(shop, "one-local") == ran("reset", "compose", "deploy", "test", "cleanup")
    log = shop.log("one-local")
    for part in ("-m esb_services.gateway", "deploy: apply", "POST /api/echo 200", "echo was called"):
        assert part in log
    assert "[pytest_esb_deploy] the project deploys" in log
    shop.assert_removed("one-local")
    written = {"output": output(result), "log": log, "events": json.dumps(shop.events("one-local"))}
    for name, value in CANARIES.items():
        plain = value.encode()
        encoded = {base64.b64encode(plain), base64.urlsafe_b64encode(plain), quote(value, safe="").encode()}
        for form in {plain, *(form.rstrip(b"=") for form in encoded)}:
            for place, text in written.items():
                assert form.decode() not in text, f"{name} in {place}"


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_an_environment_may_be_bound_on_an_ipv6_address(shop: Project) -> None:
    """Gateway, agent and workers find each other there, and certificates fit."""
    shop.matrix(entries("one-local") + "  bind_address: '::1'\n")
    result = shop.run("--esb-profile", "one-local", "--esb-timeout-compose", "20")
    result.assert_outcomes(passed=1)
    shop.assert_removed("one-local")


def test_secrets_in_a_functions_last_words_are_not_in_the_summary(shop: Project) -> None:
    """A failed test shows the guilty function's lines and its own cause, both without secrets."""
    shop.write("e2e/environments/one-local/.env", f"S3_SECRET_KEY={CANARIES['S3_SECRET_KEY']}\n")
    shop.write(
        "e2e/artifacts/one-local/app/functions/echo/src/app.py",
        "import os\n"
        "def handler(event, context):\n"
        "    raise RuntimeError('the key is ' + os.environ['AWS_SECRET_ACCESS_KEY'])\n",
    )
    shop.write(
        "e2e/scenarios/test_echo.py",
        "import pytest\n"
        "def test_echo(esb_gateway):\n"
        "    if esb_gateway.post('/api/echo', json={}).status_code != 200:\n"
        "        pytest.fail('no answer')\n",
    )
    result = shop.run("--esb-profile", "one-local")
    result.assert_outcomes(failed=1)
    block = failure_block(result, "one-local > test")
    assert "last lines of echo:" in block
    assert "the key is ***" in block
    written = output(result) + shop.log("one-local") + json.dumps(shop.events("one-local"))
    assert CANARIES["S3_SECRET_KEY"] not in written


def test_the_values_of_a_secrets_file_are_hidden_whole(project: Project) -> None:
    """They are read as the applier reads them: neither ` #` nor a quote without a partner ends a value."""
    project.matrix(entries("one-local", artifacts=False) + "  secret_env_file: s.env\n")
    project.write("s.env", "export TOKEN=canary one #two\nOTHER='canary three\n")
    project.write(
        "conftest.py",
        "def pytest_esb_deploy(environment, log):\n"
        "    log('the token is canary one #two, the other one is \\'canary three')\n",
    )
    project.write("e2e/scenarios/test_up.py", "def test_up(esb_ports):\n    assert esb_ports.s3\n")
    result = project.run("--esb-profile", "one-local")
    assert result.ret == 0
    assert "[pytest_esb_deploy] the token is ***, the other one is ***\n" in project.log("one-local")


def test_events_are_records_that_tell_the_run_in_order(shop: Project) -> None:
    """Each line is a JSON object with version, time, run, environment and kind; a test's outcome is there."""
    result = shop.run("-s", "--esb-profile", "one-local")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["[[]one-local] compose: done in * s"])
    events = shop.events("one-local")
    assert [event["v"] for event in events] == [1] * len(events)
    assert {event["env"] for event in events} == {"one-local"}
    assert len({event["run"] for event in events}) == 1
    times = [event["t"] for event in events]
    assert times == sorted(times)
    kinds = [event["kind"] for event in events]
    assert (kinds[0], kinds[-1]) == ("run.started", "run.finished")
    healthy = {e["service"] for e in events if e["kind"] == "service.state" and e["state"] == "healthy"}
    assert healthy == {"database", "s3-storage", "agent", "gateway"}
    finished = [event for event in events if event["kind"] == "test.finished"]
    assert [(e["test"], e["outcome"]) for e in finished] == [
        ("e2e/scenarios/test_echo.py::test_echo[one-local]", "passed")
    ]
    assert [event["ok"] for event in events if event["kind"] == "env.finished"] == [True]
    assert {event["kind"] for event in events} <= KINDS
    schema = json.loads(resources.files("esb_e2e_plugin").joinpath("events.schema.json").read_text())
    for event in events:
        jsonschema.validate(event, schema)


def test_workers_share_one_environment_and_a_failed_test_fails_the_run(shop: Project) -> None:
    """With `-n 2` hooks run once in the controller, and results name the environment whose test failed."""
    shop.write(
        "e2e/scenarios/test_more.py",
        "import os, pytest\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_url(esb_gateway_url, number): assert number != 2, esb_gateway_url\n"
        "def test_worker(esb_environment, record_property): assert os.environ['PYTEST_XDIST_WORKER']\n",
    )
    shop.write("tests/test_plain.py", "def test_plain(): pass\n")
    result = shop.run("-n", "2", "-rA", "--esb-profile", "one-local", "e2e", "tests")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=6, failed=1)
    assert reported(result) == sorted(
        [
            "e2e/scenarios/test_echo.py::test_echo[one-local]",
            *(f"e2e/scenarios/test_more.py::test_url[one-local-{number}]" for number in range(4)),
            "e2e/scenarios/test_more.py::test_worker[one-local]",
            "tests/test_plain.py::test_plain",
        ]
    )
    for phase in ("reset", "compose", "deploy"):
        shown = [line for line in result.outlines if line.startswith(f"[one-local] {phase}: done in ")]
        assert len(shown) == 1
    noted = hooks(shop)
    assert [note["hook"] for note in noted] == ["deploy", "ready", "results", "stash"]
    assert len({note["pid"] for note in noted}) == 1
    assert noted[-1]["results"] == {"one-local": False}
    block = failure_block(result, "one-local > test")
    node = "e2e/scenarios/test_more.py::test_url[one-local-2]"
    assert f"cause:     {node}: AssertionError: https://127.0.0.1:" in block
    assert f"reproduce: pytest --esb-profile one-local '{node}'" in block
    assert "clean up:  done, nothing is left" in block
    head, row = output(result).split("= environments =")[1].splitlines()[1:3]
    assert head.split()[:2] + head.split()[-3:] == ["environment", "result", "cleanup", "passed", "failed"]
    assert [row.split()[at] for at in (0, 1, -2, -1)] == ["one-local", "failed", "5", "1"]
    assert str(shop.path / "e2e" / ".parallel-one-local.log") in block
    assert phases(shop, "one-local")[6:] == [
        ("started", "test", None),
        ("finished", "test", False),
        *ran("cleanup"),
    ]
    shop.assert_removed("one-local")


def test_an_environment_is_built_used_taken_over_kept_and_removed(shop: Project) -> None:
    """`--esb-build-only` leaves it up, `--esb-test-only` leaves it as it is, a full run starts it anew."""
    target = shop.path / "e2e" / "scenarios" / "test_echo.py"
    target.rename(target.with_suffix(".off"))
    built = shop.run("--esb-profile", "one-local", "--esb-build-only", "-n", "2")
    target.with_suffix(".off").rename(target)
    assert built.ret == 0
    assert "worker" not in re.sub(r"rootdir: .*", "", output(built))
    built.stdout.fnmatch_lines(["[[]one-local] deploy: done in * s", "[[]one-local] left running: https://*"])
    noted = hooks(shop)
    assert [note["hook"] for note in noted] == ["deploy", "ready", "results", "stash"]
    assert noted[-1]["results"] == {"one-local": True}
    services = set(shop.processes("one-local"))
    port = int(str(noted[0]["url"]).rpartition(":")[2])
    assert len(services) == 4
    assert listens(port)
    secrets = [path for path in shop.state("one-local").rglob("*") if path.suffix in (".key", ".json")]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}

    for workers in ("0", "2"):
        used = shop.run("--esb-profile", "one-local", "--esb-test-only", "-n", workers)
        assert used.ret == 0
        used.assert_outcomes(passed=1)
        assert "compose: done" not in output(used)
        assert hook_names(shop) == ["results", "stash"]
        assert services <= set(shop.processes("one-local"))

    kept = shop.run("--esb-profile", "one-local", "--esb-keep")
    assert kept.ret == 0
    kept.stdout.fnmatch_lines(["[[]one-local] compose: done in * s", "[[]one-local] left running: https://*"])
    assert not services & set(shop.processes("one-local"))
    assert shop.processes("one-local")
    assert hook_names(shop) == ["deploy", "ready", "results", "stash"]

    assert end_marked(str(shop.state("one-local").resolve()), 60) == []
    before = shop.files()
    dead = shop.run("--esb-profile", "one-local", "--esb-test-only")
    assert dead.ret == pytest.ExitCode.TESTS_FAILED
    block = failure_block(dead, "one-local > test")
    assert "environment one-local was left running, but its " in block
    assert "start it with: pytest --esb-profile one-local --esb-build-only" in block
    assert hook_names(shop) == ["failed", "results", "stash"]
    unchanged = {name for name in before if "/state/" in name and not name.endswith("events.jsonl")}
    assert {name: shop.files()[name] for name in unchanged} == {name: before[name] for name in unchanged}

    assert shop.run("--esb-profile", "one-local").ret == 0
    shop.assert_removed("one-local")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_needs_none_of_the_plugins_that_pytest_can_do_without(shop: Project, workers: str) -> None:
    """Options of a plugin that is left out are not there, and nobody misses them."""
    left_out = ("cacheprovider", "stepwise", "setuponly", "setupplan", "debugging", "junitxml")
    options = [word for name in left_out for word in ("-p", f"no:{name}")]
    result = shop.run(*options, "-n", workers, "--esb-profile", "one-local")
    assert result.ret == 0, output(result)
    result.assert_outcomes(passed=1)
    shop.assert_removed("one-local")


def test_a_debugger_has_all_the_time_in_the_world(shop: Project) -> None:
    """With --pdb no deadline runs: an environment comes up that has no time at all to do so."""
    result = shop.run("-n", "0", "--esb-profile", "one-local", "--esb-timeout-compose=0.001", "--pdb")
    assert result.ret == pytest.ExitCode.OK
    shop.assert_removed("one-local")


def test_an_environment_without_artifacts_is_deployed_by_hooks_alone(shop: Project) -> None:
    """Without a manifest the services come up, the project's hook deploys, and tests run."""
    shop.matrix(entries("one-local", artifacts=False))
    shop.write(
        "e2e/scenarios/test_echo.py",
        "def test_stores(esb_environment, esb_gateway):\n"
        "    assert esb_environment.paths.config is None\n"
        "    assert esb_gateway.get('/health').json()['config']['digest'] is None\n",
    )
    result = shop.run("-q", "--esb-profile", "one-local")
    assert result.ret == 0
    assert hook_names(shop) == ["deploy", "ready", "results", "stash"]
    assert [path.name for path in shop.state("one-local").iterdir()] == ["events.jsonl"]


def test_an_environment_is_removed_when_its_last_test_has_reported(shop: Project) -> None:
    """The first of two environments is gone while tests of the second still run."""
    shop.matrix(entries("one-local", "two-local"))
    shop.artifact("two-local")
    shop.write(
        "e2e/scenarios/test_echo.py",
        "import time\n"
        "def gone(folder):\n"
        "    return [path.name for path in folder.iterdir()] == ['events.jsonl']\n"
        "def test_order(esb_environment):\n"
        "    first = esb_environment.paths.state.with_name('one-local')\n"
        "    if esb_environment.name == 'one-local':\n"
        "        assert not gone(first)\n"
        "        return\n"
        "    deadline = time.monotonic() + 30\n"
        "    while not gone(first):\n"
        "        assert time.monotonic() < deadline\n"
        "        time.sleep(0.02)\n",
    )
    result = shop.run("--esb-profile", "all")
    result.assert_outcomes(passed=2)
    assert result.ret == 0
