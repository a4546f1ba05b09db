"""Taking an environment that an earlier run left: is it up, and is it made of what is there now?"""

from dataclasses import dataclass

from artifactctl.errors import ArtifactError
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.fingerprint import Decision, Fingerprint, Verdict, compare
from esb_e2e_plugin.lifecycle import compose_inputs, compose_reading, inputs
from esb_e2e_plugin.lifecycle.deploy import applied_digest
from esb_e2e_plugin.lifecycle.driver import FunctionImages
from esb_e2e_plugin.lifecycle.health import probe
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.store import EnvironmentState

_MODEL_SECONDS = 20.0


@dataclass(frozen=True)
class Inputs:
    """What an environment is made of, looked at before it is brought up or taken.

    Attributes:
        fingerprint: but for images by their names, which are known when it is up.
        bases: names of images that the images of its services are built on.
    """

    fingerprint: Fingerprint
    bases: tuple[str, ...]


def look(holding: Holding) -> Inputs | None:
    """Look at what an environment would be made of; None where that is wrong, which its bring-up tells."""
    scenario, run, driver = holding.scenario, holding.run, holding.driver
    try:
        in_process = scenario.entry.mode == "process"
        model = {} if in_process else compose_reading.read(scenario, run, _MODEL_SECONDS)
        found = inputs.look(scenario, run, driver.place(), model)
        bases = compose_inputs.bases(scenario, run.root, model)
    except (EsbError, ArtifactError, OSError, ValueError) as error:
        holding.journal.line("esb", f"what it is made of cannot be told: {error}")
        return None
    return Inputs(found, tuple(bases))


def judge(holding: Holding, now: Inputs | None) -> Verdict:
    """Return what has to be done before tests may use an environment, and attach to it unless it is anew.

    Args:
        holding: the environment; what is attached to is watched from now on.
        now: what it would be made of.
    """
    name = holding.scenario.name
    if holding.run.settings.no_cache:
        return Verdict(Decision.ANEW, "--esb-no-cache builds every image")
    state = holding.state.read()
    if state is None or state.environment is None:
        return Verdict(Decision.ANEW, f"{name} is not running")
    if state.status != "kept":
        return Verdict(Decision.ANEW, f"its last run was cut short in {state.phase}")
    if state.broken:
        return Verdict(Decision.ANEW, f"it failed in {state.phase}: {state.cause}")
    if now is None:
        return Verdict(Decision.ANEW, "what it is made of cannot be told")
    before = Fingerprint.from_data(state.fingerprint)
    verdict = compare(before, _with_images(holding, before, now.fingerprint))
    if verdict.decision is Decision.ANEW:
        return verdict
    environment = Environment.from_data(state.environment)
    holding.journal.redact.add(vars(environment.credentials).values())
    if (why := _unusable(holding, state, environment)) is not None:
        holding.driver.let_go()
        return Verdict(Decision.ANEW, why)
    holding.environment = environment
    holding.fingerprint = before
    if verdict.decision is Decision.REUSED and not _serves(holding, state, environment):
        return Verdict(Decision.REDEPLOY, "another configuration was applied meanwhile")
    return verdict


def record(holding: Holding, made_of: Inputs | None, images: FunctionImages) -> None:
    """Note what an environment was made of, which is up and deployed now.

    Args:
        holding: the environment.
        made_of: what it was before that was begun; None where nobody looked.
        images: what its functions run from.
    """
    if made_of is not None:
        driver = holding.driver
        services = {**driver.image_ids(made_of.bases), **driver.service_images()}
        holding.fingerprint = made_of.fingerprint.with_images(services, images.in_engine)


def _with_images(holding: Holding, before: Fingerprint | None, now: Fingerprint) -> Fingerprint:
    """Return `now` with what the names of images that `before` knows stand for now."""
    if before is None:
        return now
    services, functions = before.images()
    known = holding.driver.image_ids(dict.fromkeys([*services, *functions]))
    return now.with_images(
        *({name: known[name] for name in names if name in known} for names in (services, functions))
    )


def _unusable(holding: Holding, state: EnvironmentState, environment: Environment) -> str | None:
    try:
        gone = holding.driver.attach(state.services or {})
        return f"{gone} is not running" if gone is not None else holding.driver.unwell(environment)
    except EsbError as error:
        return error.message


def _serves(holding: Holding, state: EnvironmentState, environment: Environment) -> bool:
    """Tell whether the gateway serves what was deployed last."""
    config = environment.paths.config
    if config is None or state.config_digest is None:
        return True
    health = probe(holding.driver.gateway_health(environment))
    served = ((health.body or {}).get("config") or {}).get("digest")
    return applied_digest(config) == state.config_digest == served
