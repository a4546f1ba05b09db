"""The beginning of the output: what runs, and why."""

import os

import pytest

from esb_e2e_plugin import capacity
from esb_e2e_plugin.keys import AUTO_WORKERS
from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.settings import Settings


class Header:
    """The lines about environments in pytest's header, also where nothing but a listing is asked for."""

    def __init__(self, config: pytest.Config, plan: Plan, settings: Settings, *, replaced: bool) -> None:
        """Tell about a run.

        Args:
            config: the configuration.
            plan: the selected environments.
            settings: options.
            replaced: whether pytest collects what the plan says, because the command line names no path.
        """
        self._config = config
        self._plan = plan
        self._settings = settings
        self._replaced = replaced

    def pytest_report_header(self) -> list[str]:
        """Say what runs, and where each setting came from."""
        named = ", ".join(f"{scenario.profile} ({scenario.entry.mode})" for scenario in self._plan.scenarios)
        sources = self._settings.sources
        source = sources["profiles"] if self._settings.profiles else "node ids"
        lines = [f"esb: {named} from {source}"]
        changed = [
            f"{name.replace('_', '-')} from {source}"
            for name, source in sources.items()
            if source != "default" and name != "profiles"
        ]
        if changed:
            lines.append(f"esb: {', '.join(changed)}")
        lines += self._bounds()
        if self._replaced:
            targets = (os.path.relpath(target, self._plan.root) for target in self._plan.arguments)
            lines.append(f"esb: collects {', '.join(targets)}")
        return lines

    def _bounds(self) -> list[str]:
        """Say how much goes on at once, where that is a choice."""
        lines, settings = [], self._settings
        if (workers := self._config.stash.get(AUTO_WORKERS, None)) is not None:
            lines.append(
                f"esb: -n auto means {workers} workers: {capacity.cores()} cores, "
                "or 2 for each environment where that is more, at most 8"
            )
        if len(self._plan.scenarios) > 1:
            starting = settings.max_starting or capacity.default_starting()
            alive = f", {settings.max_environments} there at once" if settings.max_environments else ""
            lines.append(f"esb: at most {starting} environments come up at once{alive}")
        return lines
