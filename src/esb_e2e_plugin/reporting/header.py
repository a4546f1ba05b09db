"""The beginning of the output: what runs, and why."""

import os

from esb_e2e_plugin.planner import Plan
from esb_e2e_plugin.settings import Settings


class Header:
    """The lines about environments in pytest's header, also where nothing but a listing is asked for."""

    def __init__(self, plan: Plan, settings: Settings, *, replaced: bool) -> None:
        """Tell about a run.

        Args:
            plan: the selected environments.
            settings: options.
            replaced: whether pytest collects what the plan says, because the command line names no path.
        """
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
        if self._replaced:
            targets = (os.path.relpath(target, self._plan.root) for target in self._plan.arguments)
            lines.append(f"esb: collects {', '.join(targets)}")
        return lines
