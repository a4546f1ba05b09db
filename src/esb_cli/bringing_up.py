"""Bringing an environment up and leaving it there, as `pytest --esb-build-only` does."""

from typing import Final

import click

from esb_cli.project import Target
from esb_cli.running import begin, held
from esb_e2e_plugin import preflight
from esb_e2e_plugin.capacity import Bounds
from esb_e2e_plugin.compose_preflight import ComposePreflight
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.interrupts import Interrupts
from esb_e2e_plugin.lifecycle import ending
from esb_e2e_plugin.lifecycle.runner import EnvironmentRunner
from esb_e2e_plugin.matrix import check_files
from esb_e2e_plugin.owner import Outcome, Owner

_FAILED: Final = 1


class BringUpError(EsbError):
    """An environment did not come up.

    Attributes:
        failure: Why.
        tail: The last lines of its log.
    """

    def __init__(self, failure: Failure, tail: tuple[str, ...]) -> None:
        super().__init__(failure.one_line(), failure.remedy or None)
        self.failure = failure
        self.tail = tail


def say(environment: str, text: str) -> None:
    """Show a line about an environment; results alone go to stdout."""
    click.echo(f"[{environment}] {text}", err=True)


def check(target: Target) -> None:
    """Raise the first mistake in what an environment is made of, before anything is started.

    Raises:
        UserError: names what, where, and what to do.
    """
    preflight.check_planned(target.plan)
    check_files(target.project.matrix, [target.scenario.entry])
    preflight.check(target.plan, target.settings, target.project.environ)
    compose = ComposePreflight(target.plan, target.project.environ)
    try:
        compose.check()
    finally:
        compose.close()


def running_already(target: Target) -> Environment | None:
    """Return an environment that is up and well, or None; what is not well is told."""
    state = target.state.read()
    if state is None or state.status not in ("kept", "ready"):
        return None
    with held(target, begin(target, _say_who_is_waited_for)) as holding:
        try:
            environment = EnvironmentRunner(holding).attach()
        except UserError as error:
            say(target.name, error.message)
            holding.give_back()
            return None
        except BaseException:
            holding.give_back()
            raise
        ending.leave(holding)
        return environment


def bring_up(target: Target) -> Environment:
    """Bring an environment up from nothing, and leave it running.

    Raises:
        BringUpError: it did not come up; it is removed, unless failed ones are kept.
        KeyboardInterrupt: the user did not want to wait; what there was is removed.
    """
    check(target)
    run = begin(target, say)
    owner = Owner(target.plan.scenarios, run, Bounds(1), on_change=lambda _: None, while_waiting=lambda: None)
    interrupts = Interrupts(lambda: _last_words(owner), _FAILED)
    interrupts.install()
    profile = target.scenario.profile
    try:
        try:
            owner.wait_for_all()
            environment = owner.environment(profile)
            owner.finish()
        except KeyboardInterrupt:
            interrupts.ending = True
            say(target.name, "interrupted: what is there is removed; the next interrupt ends this at once")
            owner.cancel()
            owner.finish()
            raise
    finally:
        interrupts.restore()
    outcome = owner.outcomes()[target.name]
    _raise_failure(outcome)
    if environment is None:
        raise EsbError(f"environment {target.name} did not come up", f"see {target.paths.log}")
    return environment


def _say_who_is_waited_for(environment: str, text: str) -> None:
    if text.startswith("waiting"):
        say(environment, text)


def _raise_failure(outcome: Outcome) -> None:
    if (failure := outcome.failure or outcome.cleanup) is not None:
        raise BringUpError(failure, outcome.tail)


def _last_words(owner: Owner) -> None:
    left, reaper = owner.left()
    who = f"the reaper (pid {reaper})" if reaper is not None else "esb prune"
    say("esb", f"interrupted again: what is left is removed by {who}, or by the commands given")
    for name, things in left.items():
        for thing in things:
            say(name, f"left: {thing}")
