"""What a late worker runs: nothing until the controller's first command, then xdist's own module.

execnet sends this file as source; it must need nothing but the standard library. See `late_start`.
"""

from typing import Any


class _Channel:
    """xdist's channel, from which a message that was taken can be received once more."""

    def __init__(self, channel: Any, message: Any) -> None:
        self._channel = channel
        self._messages = [message]

    def receive(self, *arguments: Any) -> Any:
        return self._messages.pop() if self._messages else self._channel.receive(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


if __name__ == "__channelexec__":
    import signal
    from pathlib import Path

    names = globals()
    # The controller hears it too, and decides what it means.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = names["channel"].receive()
    command, _ = names["channel"].receive()
    signal.signal(signal.SIGINT, handler)
    late = given[0]["esb_e2e_late"]  # keys.LATE
    late["superfluous"] = command == "shutdown"
    names["channel"] = _Channel(names["channel"], given)
    source = Path(late["module"]).read_text(encoding="utf-8")
    exec(compile(source, late["module"], "exec", dont_inherit=True), names)  # noqa: S102  xdist's own
