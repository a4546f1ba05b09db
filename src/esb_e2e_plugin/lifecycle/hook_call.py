"""A project's hook, called with a deadline: whatever it does, the phase goes on or fails."""

import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from esb_e2e_plugin.failure import CancelledError, Kind, StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline

_POLL_SECONDS = 0.05


def call(hook: str, work: Callable[[], object], deadline: Deadline) -> None:
    """Call a hook in a thread of its own, and wait for its end.

    A thread cannot be ended: one that does not return in time is left behind, and ends with the process.

    Args:
        hook: its name.
        work: calls it.
        deadline: how long it may take.

    Raises:
        StepError: it raised, or did not return in time; names file and line.
        CancelledError: the run ends.
    """
    ended = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  pytest.fail, pytest.skip and sys.exit raise no Exception
            raised.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name=f"esb-{hook}", daemon=True)
    thread.start()
    while not ended.wait(_POLL_SECONDS):
        try:
            deadline.check(f"{hook} to return")
        except CancelledError:
            raise
        except StepError as error:
            frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
            place = _own(reversed(list(traceback.walk_stack(frame))))
            raise StepError(
                f"a {hook} hook does not return: {error.message}{place and f'; it is at {place}'}",
                remedy=f"let the hook return, or give it more time: {deadline.option}",
                kind=Kind.DEPLOY_STEP,
                component=hook,
            ) from None
    for cause in raised:
        place = _own(traceback.walk_tb(cause.__traceback__))
        raise StepError(
            f"a {hook} hook failed: {type(cause).__name__}: {cause}",
            remedy=f"mend the hook{place and f': {place}'}",
            kind=Kind.DEPLOY_STEP,
            component=hook,
        ) from cause


def _own(calls: Iterable[tuple[FrameType, int]]) -> str:
    """Return file and line of the innermost call that is the project's own, or nothing.

    Args:
        calls: the outermost first.
    """
    libraries = [Path(folder).resolve() for folder in (sys.prefix, sys.base_prefix)]
    foreign = [*libraries, Path(__file__).resolve().parents[1]]
    found = ""
    for frame, line in calls:
        path = Path(frame.f_code.co_filename)
        if path.is_file() and not any(path.resolve().is_relative_to(folder) for folder in foreign):
            found = f"{path}:{line}"
    return found
