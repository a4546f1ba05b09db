"""The owner of environments, where nothing has to be brought up to see what it does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from esb_e2e_plugin import news
from esb_e2e_plugin.capacity import Bounds
from esb_e2e_plugin.events import NOBODY
from esb_e2e_plugin.failure import CancelledError, EnvironmentFailedError
from esb_e2e_plugin.interrupts import Interrupts
from esb_e2e_plugin.life import Life
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.lifecycle.reaper import Reaper
from esb_e2e_plugin.owner import Owner


@contextmanager
def interrupted_while_waiting() -> Iterator[None]:
    """Interrupt this thread as soon as it waits for another one."""
    main = threading.main_thread().ident
    assert main is not None
    done = threading.Event()

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    def send() -> None:
        while not done.wait(0.01):
            if sys._current_frames()[main].f_code.co_filename == news.__file__:
                signal.pthread_kill(main, signal.SIGUSR1)
                return

    earlier = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, earlier)


def test_an_interrupted_wait_does_not_take_an_environment_for_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the reaper would be dismissed, and the run end, in the middle of the clean-up."""
    cleaned = threading.Event()
    monkeypatch.setattr(Life, "_own", lambda _self: cleaned.wait(60))
    made: Callable[[Callable[[], None]], None] = lambda change: change()  # noqa: E731
    life = Life(cast("Any", SimpleNamespace(profile="p")), cast("Any", None), cast("Any", None), made)
    life.begin()
    with pytest.raises(KeyboardInterrupt), interrupted_while_waiting():
        life.wait(60)
    assert not life.is_over
    cleaned.set()
    life.wait(60)
    assert life.is_over


def test_an_interrupt_while_a_thread_starts_does_not_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would wait for its end, and what it had brought up would be left behind."""
    cleaned = threading.Event()
    monkeypatch.setattr(Life, "_own", lambda _self: cleaned.wait(60))
    start = threading.Thread.start

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        signal.raise_signal(signal.SIGINT)

    made: Callable[[Callable[[], None]], None] = lambda change: change()  # noqa: E731
    life = Life(cast("Any", SimpleNamespace(profile="p")), cast("Any", None), cast("Any", None), made)
    interrupts = Interrupts(lambda: None, 2)
    interrupts.install()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start_interrupted)
            with pytest.raises(KeyboardInterrupt, match="SIGINT"):
                life.begin()
    finally:
        interrupts.restore()
    assert life.alive
    assert not life.is_over
    cleaned.set()
    life.wait(60)
    assert life.is_over


def test_what_is_asked_for_after_the_end_is_not_brought_up() -> None:
    """A worker's request may come while the run ends: nobody would remove that environment any more."""
    scenario = cast("Any", SimpleNamespace(profile="late", name="late"))
    run = cast("Any", SimpleNamespace(cancelled=threading.Event()))
    owner = Owner([scenario], run, Bounds(starting=1), on_change=lambda _: None, while_waiting=lambda: None)
    owner.finish()
    owner.request(["late"])
    with pytest.raises(EnvironmentFailedError, match="late"):
        owner.wait("late")
    assert owner.outcomes() == {}


def test_a_bring_up_that_the_run_gives_up_has_not_gone_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no failure to be told, but nobody has seen the environment work."""
    scenario = cast("Any", SimpleNamespace(profile="early", name="early"))
    settings = SimpleNamespace(test_only=False)
    run = cast("Any", SimpleNamespace(cancelled=threading.Event(), settings=settings, observer=NOBODY))

    def wait_for_the_lock(*_: object) -> None:
        assert run.cancelled.wait(60)
        raise CancelledError("the run was interrupted")

    monkeypatch.setattr(Holding, "own", wait_for_the_lock)
    monkeypatch.setattr(Reaper, "start", lambda _self: None)
    owner = Owner([scenario], run, Bounds(starting=1), on_change=lambda _: None, while_waiting=lambda: None)
    owner.request(["early"])
    owner.cancel()
    owner.finish()
    outcome = owner.outcomes()["early"]
    assert (outcome.failure, outcome.cleanup, outcome.ok) == (None, None, False)
