"""Where an environment's functions run, as its agent says."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle import function_host
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.function_host import EngineFunctions
from esb_e2e_plugin.lifecycle.health import Health
from esb_e2e_plugin.planner import Scenario

_LATE = Health(ok=False, detail="timed out")
_CONTEXT = cast(RunContext, SimpleNamespace(urls=SimpleNamespace(agent_metrics="http://127.0.0.1:1")))
_URL = "http://127.0.0.1:1/health"


def _says(engine: str) -> Health:
    return Health(ok=True, detail="HTTP 200", body={"engine": engine})


@pytest.fixture
def functions() -> EngineFunctions:
    """Functions of an environment on the engine `ours`."""
    engine: Any = SimpleNamespace(id="ours")
    return EngineFunctions(cast(Scenario, None), cast(Engine, engine))


def _answer(monkeypatch: pytest.MonkeyPatch, *answers: Health) -> None:
    left = list(answers)
    monkeypatch.setattr(function_host, "probe", lambda _check: left.pop(0) if left[1:] else left[0])


def test_an_agent_that_answers_late_once_is_asked_again(
    functions: EngineFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine is no other engine: the answer that counts is the one that comes."""
    _answer(monkeypatch, _LATE, _says("theirs"))
    with pytest.raises(StepError, match="the agent starts workers on engine theirs"):
        functions.check(_CONTEXT)
    _answer(monkeypatch, _LATE, _says("ours"))
    functions.check(_CONTEXT)


def test_an_agent_that_never_answers_is_told_as_that(
    functions: EngineFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what was asked and what came of it, and names no engine."""
    _answer(monkeypatch, _LATE)
    with pytest.raises(StepError, match=f"does not say which engine it uses: {_URL}: timed out"):
        functions.check(_CONTEXT)
