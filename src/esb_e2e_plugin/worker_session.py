"""The session of an xdist worker: environments belong to the controller."""

import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from esb_e2e_plugin import secret_values
from esb_e2e_plugin.distribution import Collected, WorkerSide
from esb_e2e_plugin.keys import BRINGUP, LATE, REDACTOR
from esb_e2e_plugin.pausing import Pausing
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.redaction import Redactor
from esb_e2e_plugin.reporting.redacted import RedactedReports
from esb_e2e_plugin.reporting.sections import record_tests
from esb_e2e_plugin.selection import is_exclusive, units, used_environments


class WorkerSession:
    """What the hooks in `plugin` hand on to in an xdist worker."""

    def __init__(self, config: pytest.Config, facts: Mapping[str, Any]) -> None:
        """Listen to the controller.

        Args:
            config: the worker's configuration.
            facts: what the controller has decided, see `distribution.ControllerSide`.
        """
        self.plan: Plan = pickle.loads(facts["plan"])  # noqa: S301  from our own controller
        self._side = WorkerSide(facts["channel"])
        self._dist: str = facts["dist"]
        self._superfluous: bool = getattr(config, "workerinput", {}).get(LATE, {}).get("superfluous", False)
        config.stash[BRINGUP] = self._side
        config.stash[REDACTOR] = redact = Redactor()
        for scenario in self.plan.scenarios:
            redact.add(secret_values.of_scenario(scenario))
        config.pluginmanager.register(RedactedReports(config, redact), "esb_e2e_redacted_reports")
        self._refused = False
        config.option.loadgroup = False  # node ids stay plain: the scheduler learns of groups by the plan
        config.pluginmanager.register(Pausing(), "esb_e2e_pausing")
        record_tests(config, self._side, self.plan)

    def refuse(self, reason: str) -> None:
        """Run nothing, and let the controller end the run."""
        self._refused = True
        self._side.refuse(reason)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool | None:
        """Collect nothing in a late worker that begins only to end."""
        return True if self._superfluous else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep nothing that this worker must not run."""
        if self._refused:
            items.clear()

    @pytest.hookimpl(tryfirst=True)  # the controller must know before it learns of the collection
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell the controller which environments the collected tests need."""
        profiles = used_environments(session)
        names = list(dict.fromkeys(profile for profile in profiles if profile is not None))
        number = {name: index for index, name in enumerate(names)}
        self._side.announce(
            Collected(
                environments=names,
                environment_of=[None if profile is None else number[profile] for profile in profiles],
                unit_of=units(session.items, self._dist),
                exclusive=[
                    i
                    for i, item in enumerate(session.items)
                    if profiles[i] is not None and is_exclusive(item)
                ],
            )
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Expect the end of the controller's channel."""
        self._side.finish()
