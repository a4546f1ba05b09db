"""Do-nothing items that let an xdist worker wait between two tests instead of in front of one.

xdist's worker holds a test back until it knows the next one, because a test's teardown depends on it. A pause
is such a next one: it keeps up what the test before it shares with others, and finishes that when the real
successor is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from _pytest.logging import catching_logs  # what pytest's own plugin uses

from esb_e2e_plugin.fixtures.environment import finish_environment
from esb_e2e_plugin.selection import environment_of

if TYPE_CHECKING:
    from _pytest.nodes import Node


class _Idle(pytest.Item):
    """An item that runs nothing and is never reported."""

    def runtest(self) -> None:
        """Do nothing."""


class Pause(_Idle):
    """Stands between two tests of a worker."""

    _before: pytest.Item | None = None

    def follow(self, item: pytest.Item) -> None:
        """Keep up what `item` shares with other tests."""
        self._before = item

    @property
    def before(self) -> pytest.Item | None:
        """The test that this pause follows."""
        return self._before

    @property
    def nodeid(self) -> str:
        """The id of the test before: what fails in the pause failed in that test's teardown."""
        return self._before.nodeid if self._before is not None else super().nodeid

    def listchain(self) -> list[Node]:
        """Return the collectors of the test before, which stay set up, and this."""
        above = self._before.listchain()[:-1] if self._before is not None else [self.session]
        return [*above, self]

    def iter_markers_with_node(self, name: str | None = None) -> Iterator[tuple[Node, pytest.Mark]]:
        """Return the marks of the test before, such as its filters of warnings."""
        return iter(()) if self._before is None else self._before.iter_markers_with_node(name)


class Rest(_Idle):
    """Stands behind the last test that a worker has for now: nothing is kept up."""


class Pausing:
    """The worker's side of late commitment: makes the items, and runs them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Add the items, which nobody has collected: xdist has told the ids already."""
        session.items.append(Pause.from_parent(session, name="pause"))
        session.items.append(Rest.from_parent(session, name="rest"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a pause; let one that comes next know what it follows."""
        if isinstance(nextitem, Pause):
            nextitem.follow(item)
        if isinstance(item, Pause) and item.before is not None:
            self._finish(item.before, nextitem)
        return True if isinstance(item, _Idle) else None

    def _finish(self, before: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Tear down what the next test does not share; a failure is one of the test before."""

        def tear_down() -> None:
            try:
                with _captured(before):
                    before.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001  as pytest's own runner
            finally:
                if nextitem is None or environment_of(nextitem) != environment_of(before):
                    finish_environment(before.config)

        call = pytest.CallInfo.from_call(
            tear_down, when="teardown", reraise=(KeyboardInterrupt, pytest.exit.Exception)
        )
        if call.excinfo is not None:
            report = before.ihook.pytest_runtest_makereport(item=before, call=call)
            before.ihook.pytest_runtest_logreport(report=report)


@contextmanager
def _captured(item: pytest.Item) -> Iterator[None]:
    """Add to a test's sections what is written and logged meanwhile, as in its own teardown."""
    with ExitStack() as stack:
        plugins = item.config.pluginmanager
        if (logging := plugins.getplugin("logging-plugin")) is not None:
            handler = stack.enter_context(catching_logs(logging.report_handler, level=logging.log_level))
            handler.reset()
            stack.callback(
                lambda: item.add_report_section("teardown", "log", handler.stream.getvalue().strip())
            )
        if (capture := plugins.getplugin("capturemanager")) is not None:
            stack.enter_context(capture.item_capture("teardown", item))
        yield
