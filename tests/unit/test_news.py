"""Waiting that signals interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from random import Random

import pytest

from esb_e2e_plugin.news import News


@pytest.fixture
def interrupting() -> Iterator[None]:
    """SIGALRM interrupts as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interrupt_ends_the_wait_wherever_it_comes(interrupting: None) -> None:  # noqa: ARG001
    """At 3,000 random moments: as an interrupt, never as an error of a lock, as a condition has it."""
    chance, news = Random(0), News()
    for _ in range(3000):
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012  it may come before the first wait, and has to come
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 6e-5))
            while True:
                news.wait(1e-5)


def test_news_are_heard_once_also_those_told_before() -> None:
    """Nothing told is missed; what was told several times is one look."""
    news = News()
    assert not news.wait(0)
    news.tell()
    news.tell()
    assert news.wait(0)
    assert not news.wait(0)
    teller = threading.Timer(0.0, news.tell)
    teller.start()
    assert news.wait(60)
    teller.join()
