"""What a test asked for, and how services were, as text.

Pure: records in, text out.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from esb_e2e_plugin.recorder import Request
from esb_e2e_plugin.service_state import ServiceState

_SHOWN_BODY = 600
_HEADER = ("NAME", "STATE", "HEALTH", "EXIT", "OOM", "RESTARTS")


def requests_text(requests: Iterable[Request], dropped: int, hide: Callable[[str], str]) -> str:
    """Return a test's requests, each with the beginning of what was sent and received below it.

    Args:
        requests: in the order in which they were made.
        dropped: how many earlier ones there were.
        hide: hides secrets; it is called before anything is cut off.
    """
    rows = [f"… {dropped} left out"] if dropped else []
    for request in requests:
        clock = time.strftime("%H:%M:%S", time.localtime(request.started))
        milli = int(request.started * 1000) % 1000
        number = f" (request {request.request_id})" if request.request_id else ""
        took = f"{request.seconds * 1000:.0f} ms"
        line = f"{request.method} {request.target} -> {request.outcome} in {took}{number}"
        rows.append(f"{clock}.{milli:03d} {hide(line)}")
        for name, body in (("sent", request.sent), ("received", request.received)):
            if body:
                text = " ".join(hide(body.decode("utf-8", "replace")).split())
                rows.append(f"    {name}: {text[:_SHOWN_BODY]}{'…' if len(text) > _SHOWN_BODY else ''}")
    return "\n".join(rows)


def states_text(states: Sequence[ServiceState], project: str) -> str:
    """Return a table of services and workers; empty where nothing is known.

    Args:
        states: how each of them is.
        project: the prefix of the workers' names, which is left out.
    """
    if not states:
        return ""
    rows = [_HEADER]
    for state in states:
        name = state.name.removeprefix(f"{project}-") if state.function else state.name
        oom = {None: "-", True: "yes", False: "no"}[state.oom_killed]
        rows.append(
            (
                f"{name} (function)" if state.function else name,
                state.state,
                state.health or "-",
                "-" if state.exit_code is None else str(state.exit_code),
                oom,
                "-" if state.restarts is None else str(state.restarts),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
