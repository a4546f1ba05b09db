"""Configurations: what the files say, and how a running gateway follows an apply."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esb_services.gateway.config import ConfigError, ConfigReader, FunctionConfig, Scaling

from tests.services.fake_agent import Call
from tests.services.gateway_support import Stack, Together, stack
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

SCALING = Scaling(min_capacity=0, max_capacity=2, idle_timeout=60, acquire_timeout=5)
ENVIRON = {"AWS_REGION": "eu-1", "AWS_ENDPOINT_URL_S3": "http://s3", "TIER": "gold", "PATH": "/bin"}


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Stack]:
    """A gateway, not started yet, whose function `f` answers with its worker and its image."""
    with stack(tmp_path) as esb:
        for name in ("f", "g"):
            esb.agent.handlers[name] = lambda call: {"worker": call.worker.id, "image": call.worker.image}
        yield esb


def read(entry: object, **defaults: Any) -> FunctionConfig:
    """Return the function `f` of a functions.yml."""
    reader = ConfigReader(SCALING, ENVIRON)
    return reader.functions({"defaults": defaults, "functions": {"f": entry}})["f"]


def test_a_function_needs_only_an_image() -> None:
    """Everything else has a default, the pool's from the gateway's settings."""
    function = read({"image": "f:1"})
    assert (function.image, function.timeout, function.memory_size) == ("f:1", 30, 128)
    assert function.scaling == SCALING
    assert function.schedules == ()
    assert "_HANDLER" not in function.env


def test_own_values_win_over_defaults_and_defaults_over_what_is_handed_through() -> None:
    """Environment and scaling are merged per key."""
    function = read(
        {
            "image": "f:1",
            "handler": "app.handler",
            "environment": {"A": "own", "AWS_REGION": "us-9"},
            "scaling": {"max_capacity": 7},
        },
        environment={"A": "default", "B": "default", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
        scaling={"max_capacity": 9, "idle_timeout": 1.5},
        timeout=4,
    )
    assert function.env == {
        "A": "own",
        "B": "default",
        "AWS_REGION": "us-9",
        "AWS_ENDPOINT_URL_S3": "http://s3",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "4",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "_HANDLER": "app.handler",
    }
    assert function.scaling == Scaling(0, 7, 1.5, 5)


@pytest.mark.parametrize(("timeout", "told"), [(0.2, "1"), (2.5, "3"), (7, "7"), (1_000_000, "1000000")])
def test_a_worker_is_told_its_timeout_in_whole_seconds(timeout: float, told: str) -> None:
    """The function runtime takes no other, while functions.yml may have a fraction."""
    function = read({"image": "f:1", "timeout": timeout})
    assert (function.timeout, function.env["AWS_LAMBDA_FUNCTION_TIMEOUT"]) == (timeout, told)


def test_references_are_filled_in_and_scalars_become_text() -> None:
    """`${VAR}` comes from the gateway's environment; numbers and booleans keep their meaning."""
    env = read(
        {
            "image": "r/${TIER}:1",
            "environment": {"X": "a ${TIER} b", "N": 7, "T": True, "E": None, "D": "$HOME"},
        }
    ).env
    assert (env["X"], env["N"], env["T"], env["E"], env["D"]) == ("a gold b", "7", "true", "", "$HOME")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"max_capacity": 1}, (0, 1)),
        ({"min_capacity": 5}, (5, 5)),
        ({"min_capacity": 1, "max_capacity": 1}, (1, 1)),
    ],
)
def test_a_bound_of_the_function_moves_the_other_ones_default(
    own: dict[str, int], expected: tuple[int, int]
) -> None:
    """A minimum above the default maximum raises it."""
    scaling = read({"image": "f:1", "scaling": own}).scaling
    assert (scaling.min_capacity, scaling.max_capacity) == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "functions.yml: functions.f.image: expected text, found nothing"),
        ("f:1", "functions.yml: functions.f: expected a mapping with names as keys, found str"),
        (
            {"image": "f", "timeout": "long"},
            "functions.f.timeout: expected a number of at least 0.001, found 'long'",
        ),
        ({"image": "f", "timeout": 0}, "functions.f.timeout: expected a number of at least 0.001, found 0"),
        (
            {"image": "f", "memory_size": 1.5},
            "functions.f.memory_size: expected a whole number of at least 1",
        ),
        ({"image": "f", "environment": {"A": [1]}}, "functions.f.environment.A: expected text, found list"),
        ({"image": "f", "environment": {"A": "${NOPE}"}}, "${NOPE} is not set in the gateway's environment"),
        (
            {"image": "f", "scaling": {"max_capacity": 0}},
            "scaling.max_capacity: expected a whole number of at least 1",
        ),
        (
            {"image": "f", "scaling": {"min_capacity": 3, "max_capacity": 2}},
            "functions.f.scaling: min_capacity 3 is more than max_capacity 2",
        ),
        ({"image": "f", "events": {}}, "functions.f.events: expected a list, found dict"),
        (
            {"image": "f", "events": [{"schedule": {"rate": "rate(0 minutes)"}}]},
            "events[0].schedule: schedule 'rate(0",
        ),
        (
            {"image": "f", "events": [{"schedule": {}}]},
            "events[0].schedule.expression: expected text, found nothing",
        ),
        (
            {"image": "f", "events": [{"schedule": {"rate": "rate(1 day)", "input": "{"}}]},
            "events[0].schedule.input: expected JSON",
        ),
    ],
)
def test_a_mistake_in_a_function_names_its_place_and_what_is_expected(entry: object, message: str) -> None:
    """One error that needs no search."""
    with pytest.raises(ConfigError) as raised:
        read(entry)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({"path": "/x", "function": "g"}, "routes[0].function: functions.yml has no function 'g'"),
        (
            {"path": "/x", "function": "f", "method": "FETCH"},
            "routes[0].method: 'FETCH' is not one of ANY, DELETE",
        ),
        ({"path": "x", "function": "f"}, "path 'x' does not start with /"),
        ({"function": "f"}, "routes[0].path: expected text, found nothing"),
        ("x", "routes[0]: expected a mapping"),
    ],
)
def test_a_mistake_in_a_route_names_its_place_and_what_is_expected(route: object, message: str) -> None:
    """One error that needs no search."""
    reader = ConfigReader(SCALING, ENVIRON)
    functions = reader.functions({"functions": {"f": {"image": "f:1"}}})
    with pytest.raises(ConfigError) as raised:
        reader.routes({"routes": [route]}, functions)
    assert message in str(raised.value)


def test_a_route_without_a_method_is_for_get() -> None:
    """As the applier has it."""
    reader = ConfigReader(SCALING, ENVIRON)
    functions = reader.functions({"functions": {"f": {"image": "f:1"}}})
    routes = reader.routes({"routes": [{"path": "/x", "function": "f"}]}, functions)
    assert routes.match("GET", "/x") is not None
    assert routes.match("POST", "/x") is None


def test_an_apply_is_followed_while_the_gateway_runs(esb: Stack) -> None:
    """New functions and routes appear, removed ones are gone with their workers."""
    esb.serve(f={})
    assert esb.gateway.post("/f").json()["worker"] == "w1"
    esb.gateway.wait_for(esb.apply(g={}))
    assert esb.gateway.post("/g").status_code == 200
    assert esb.gateway.post("/f").status_code == 404
    assert esb.gateway.invoke("f").status_code == 404
    eventually(lambda: esb.agent.destroyed == ["w1"], "the removed function's worker is destroyed")


def test_unchanged_functions_keep_their_workers(esb: Stack) -> None:
    """Another function, or another scaling of the same, is no reason to start anew."""
    esb.serve(f={})
    assert esb.gateway.post("/f").json()["worker"] == "w1"
    esb.gateway.wait_for(esb.apply(f={"scaling": {"max_capacity": 7}}, g={}))
    assert esb.gateway.pool("f")["max_capacity"] == 7
    assert esb.gateway.post("/f").json()["worker"] == "w1"


@pytest.mark.parametrize("change", [{"image": "f:2"}, {"environment": {"A": "1"}}, {"timeout": 5}])
def test_a_changed_function_gets_new_workers(esb: Stack, change: dict[str, Any]) -> None:
    """Calls after the apply run with the new image and environment; the old worker is destroyed."""
    esb.serve(f={})
    assert esb.gateway.post("/f").json()["worker"] == "w1"
    esb.gateway.wait_for(esb.apply(f=change))
    answer = esb.gateway.post("/f").json()
    assert (answer["worker"], answer["image"]) == ("w2", change.get("image", "f:1"))
    eventually(lambda: esb.agent.destroyed == ["w1"], "the old worker is destroyed")


def test_a_new_image_under_the_old_name_gets_new_workers(esb: Stack) -> None:
    """What the name stands for is told by `images.yml`; a function whose image stayed keeps its worker."""
    esb.serve(f={}, g={})
    esb.gateway.wait_for(esb.apply(images={"f:1": "sha256:a", "g:1": "sha256:b"}, f={}, g={}))
    assert [esb.gateway.post(path).json()["worker"] for path in ("/f", "/g")] == ["w1", "w2"]
    esb.gateway.wait_for(esb.apply(images={"f:1": "sha256:c", "g:1": "sha256:b"}, f={}, g={}))
    assert [esb.gateway.post(path).json()["worker"] for path in ("/f", "/g")] == ["w3", "w2"]
    eventually(lambda: esb.agent.destroyed == ["w1"], "the worker of the old image is destroyed")


def test_calls_of_the_old_config_end_with_it(esb: Stack) -> None:
    """Who runs or waits when the config changes is served by the function that it called."""
    let_go = threading.Event()

    def hold_old(call: Call) -> str:
        assert call.worker.image == "f:2" or let_go.wait(PATIENCE)
        return call.worker.image

    esb.agent.handlers["f"] = hold_old
    esb.serve(f={"scaling": {"max_capacity": 1}})
    with Together() as together:
        old = [together.go(lambda: esb.gateway.post("/f").json()) for _ in range(2)]
        eventually(lambda: esb.agent.calls and esb.gateway.pool("f")["queued"], "one runs, one waits")
        esb.gateway.wait_for(esb.apply(f={"image": "f:2"}))
        assert esb.gateway.post("/f").json() == "f:2"
        let_go.set()
        assert [call.result() for call in old] == ["f:1", "f:1"]
    eventually(lambda: esb.agent.destroyed == ["w1"], "the old worker is destroyed")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"functions.yml": "functions: [", "routing.yml": "routes: []"}, "functions.yml: while parsing"),
        (
            {"functions.yml": "functions: []", "routing.yml": "routes: []"},
            "functions.yml: functions: expected",
        ),
        ({"routing.yml": "routes: []"}, "functions.yml: not in the generation"),
        (
            {"functions.yml": "{}", "routing.yml": "routes: [{path: /x, function: f}]"},
            "routing.yml: routes[0].function: functions.yml has no function 'f'",
        ),
        ({"functions.yml": "\x00", "routing.yml": "{}"}, "functions.yml: "),
        (
            {"functions.yml": "{}", "routing.yml": "{}", "images.yml": "images: {f: 1}"},
            "images.yml: images.f: expected text",
        ),
        (
            {"functions.yml": "defaults: {since: 2026-13-45}", "routing.yml": "{}"},
            "functions.yml: month must",
        ),
    ],
)
def test_a_broken_config_keeps_the_old_one_and_says_why(
    esb: Stack, files: dict[str, str], reason: str
) -> None:
    """Health still names the old digest, and the rejected one with the reason, which is logged once."""
    esb.serve(f={})
    broken = esb.gateway.apply_files(files)
    rejected = eventually(lambda: esb.gateway.health()["config"].get("rejected"), "the config is rejected")
    assert rejected["digest"] == broken
    assert reason in rejected["reason"]
    assert esb.gateway.health()["config"]["digest"] == "generation-1"
    assert esb.gateway.post("/f").status_code == 200
    esb.gateway.wait_for(esb.apply(f={}))
    assert len(esb.gateway.log(level="ERROR", config_digest=broken)) == 1
    assert "rejected" not in esb.gateway.health()["config"]


def test_a_config_that_appears_after_the_start_is_served(esb: Stack) -> None:
    """The gateway may be up before the first apply."""
    esb.gateway.start()
    esb.gateway.login()
    esb.gateway.wait_for(esb.apply(f={}))
    assert esb.gateway.post("/f").status_code == 200


def test_many_applies_under_load_never_mix_configs(esb: Stack) -> None:
    """Each answer comes from a function and a route of one generation."""
    esb.agent.handlers["f"] = lambda call: (
        call.worker.env["GENERATION"] == call.event["resource"].split("-")[-1]
    )

    def apply(number: int) -> str:
        entry = {"image": "f:1", "timeout": 20, "environment": {"GENERATION": str(number)}}
        return esb.gateway.apply({"f": entry}, [{"path": f"/{{any}}/of-{number}", "function": "f"}])

    digest = apply(0)
    esb.gateway.start()
    esb.gateway.wait_for(digest)
    esb.gateway.login()
    stop = threading.Event()

    def call(generations: list[int]) -> list[tuple[int, Any]]:
        answers = []
        while not stop.is_set():
            answer = esb.gateway.get(f"/x/of-{generations[-1]}")
            answers.append((answer.status_code, answer.json()))
        return answers

    with Together() as together:
        current = [0]
        calls = [together.go(lambda: call(current)) for _ in range(3)]
        for number in range(1, 6):
            digest = apply(number)
            current.append(number)
            esb.gateway.wait_for(digest)
            assert esb.gateway.get(f"/x/of-{number}").json() is True
        stop.set()
        answers = [answer for call_ in calls for answer in call_.result()]
    assert {status for status, _ in answers} <= {200, 404}
    assert {body for status, body in answers if status == 200} <= {True}
