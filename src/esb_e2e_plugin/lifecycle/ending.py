"""The end of an environment: it is removed, or left running where it is to be kept."""

import re
import time
from contextlib import suppress
from dataclasses import replace

from esb_e2e_plugin.failure import Failure, Kind, StepError
from esb_e2e_plugin.lifecycle.cleanup import remove_files
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.settings import Settings
from esb_e2e_plugin.store import EnvironmentState

_CLEANUP_SECONDS = 30.0


def clean_up(holding: Holding) -> Failure | None:
    """Remove everything of an environment and give it back; return a failure if something is left.

    An environment that was only attached to stays.
    """
    if holding.attached:
        leave(holding)
        return None
    holding.begin("cleanup")
    started = time.monotonic()
    try:
        holding.write("removing")
        left = holding.driver.down(_CLEANUP_SECONDS) + remove_files(holding.paths)
        holding.ledger.release(holding.key)
        failure = _leftover(holding, left) if left else None
        holding.finish_phase(failure)
        if failure is not None:
            holding.journal.event("cleanup.left", things=left)
            holding.journal.say(f"cleanup: FAILED: {failure.cause}")
            return failure
        holding.journal.say(f"removed in {time.monotonic() - started:.1f} s")
        return None
    finally:
        holding.give_back()


def leave(holding: Holding) -> None:
    """Leave an environment running for a later run, and give it back."""
    try:
        if holding.environment is not None:
            if not holding.attached:
                holding.write("kept", cause=holding.failure)
                holding.ledger.keep(holding.key)
            holding.journal.say(f"left running: {holding.environment.urls.gateway}")
            if not holding.attached:
                _say_how_to_go_on(holding)
        holding.driver.let_go()
    finally:
        holding.give_back()


def remove(holding: Holding) -> Failure | None:
    """Remove everything of an environment, whoever brought it up, and give it back.

    Returns:
        A failure if something is left.
    """
    holding.supervisor.skip_old_lines()
    with suppress(StepError):  # what it could not remove, the clean-up names
        holding.driver.reset(Deadline(_CLEANUP_SECONDS, holding.run.cancelled, "--esb-timeout-reset"))
    return clean_up(holding)


def end_for_owner(holding: Holding) -> None:
    """End an environment as its owner, which is gone, would have: leave it, or remove it."""
    holding.supervisor.skip_old_lines()
    state = holding.state.read()
    if state is not None and state.environment:
        holding.journal.redact.add(state.environment["credentials"].values())
        # What this run has touched is its own: only something kept can be another run's, and stays.
        is_ours = state.run_id == holding.run.run_id
        if state.status == "kept" or (is_ours and is_kept(holding.run.settings, state)):
            try:
                holding.state.write(replace(state, status="kept"))
                holding.ledger.keep(holding.key)
                holding.driver.let_go()
                holding.journal.say("its owner is gone: left running, as it is to be kept")
            finally:
                holding.give_back()
            return
    holding.journal.say("its owner is gone: the reaper removes it")
    remove(holding)


def left(holding: Holding) -> list[str]:
    """Return what there is of an environment now, each with the command that removes it."""
    folders = [path for path in (holding.paths.state, holding.paths.config) if path is not None]
    return [*holding.driver.left(), *(f"{path} (rm -rf {path})" for path in folders if path.exists())]


def is_kept(settings: Settings, state: EnvironmentState) -> bool:
    """Tell whether an environment is left running at the end.

    Args:
        settings: options.
        state: how it was last.
    """
    came_up = state.status == "ready" or (state.status == "failed" and state.phase == "test")
    if came_up and (settings.keep or settings.build_only):
        return True
    if settings.reuse and state.status == "ready":
        return True
    return settings.keep_failed and state.status in ("ready", "failed") and state.cause is not None


def _leftover(holding: Holding, left: list[str]) -> Failure:
    cause = f"still there: {', '.join(left)}"
    component = re.split(r": | \(", left[0])[0]
    name = holding.scenario.name
    return Failure(name, "cleanup", Kind.ENGINE, component, cause, "run the commands given")


def _say_how_to_go_on(holding: Holding) -> None:
    say, command = holding.journal.say, holding.command
    if holding.phase == "test":
        say(f"enter it: {command} --esb-test-only")
    else:
        say(f"left as it failed in {holding.phase}: what it wrote is in {holding.paths.logs}")
    say(f"remove it: {holding.removal}")
