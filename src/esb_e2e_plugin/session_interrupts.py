"""The signals that end a pytest session."""

from collections.abc import Callable

import pytest

from esb_e2e_plugin.interrupts import Interrupts


class SessionInterrupts(Interrupts):
    """Knows from pytest that a session ends because of a signal."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        """Mind no signal yet; see `Interrupts`."""
        super().__init__(last_words, pytest.ExitCode.INTERRUPTED)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Know an interrupt that ends the session from one that a debugger's prompt has taken."""
        self.ending = self.ending or excinfo.errisinstance(KeyboardInterrupt)
