"""The circuit breaker of a function: closed, open after consecutive failures, half open for one trial."""

from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Counts consecutive failures; `threshold` of them open the circuit for `recovery_timeout` seconds.

    A caller asks `admit` for a permit before a call and reports the call's end with it. Reports of calls that
    were admitted before the state last changed are ignored: a late answer cannot close or re-open a circuit.
    """

    def __init__(self, threshold: int, recovery_timeout: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._recovery_timeout = recovery_timeout
        self._clock = clock
        self._state: State = "closed"
        self._failures = 0
        self._opened_at = 0.0
        self._epoch = 0

    @property
    def state(self) -> State:
        """The state in which the next call would find the circuit."""
        return "half_open" if self._state == "open" and self._recovered() else self._state

    def admit(self) -> int | None:
        """Return a permit for one call, or None while the circuit is open or its trial is in flight."""
        if self._state == "half_open" or (self._state == "open" and not self._recovered()):
            return None
        if self._state == "open":
            self._enter("half_open")
        return self._epoch

    def succeeded(self, permit: int) -> None:
        """Report that a call ended well: the count starts anew, and a trial closes the circuit."""
        if permit != self._epoch:
            return
        self._failures = 0
        if self._state == "half_open":
            self._enter("closed")

    def failed(self, permit: int) -> None:
        """Report that a call failed: one more failure, and a trial re-opens the circuit."""
        if permit != self._epoch:
            return
        self._failures += 1
        if self._state == "half_open" or self._failures >= self._threshold:
            self._opened_at = self._clock()
            self._enter("open")

    def abandoned(self, permit: int) -> None:
        """Report that a call never reached the function: a trial is given back for the next caller."""
        if permit == self._epoch and self._state == "half_open":
            self._enter("open")

    def _recovered(self) -> bool:
        return self._clock() - self._opened_at >= self._recovery_timeout

    def _enter(self, state: State) -> None:
        self._state = state
        self._epoch += 1
        if state == "closed":
            self._failures = 0
