"""SIGTERM ends a training between its iterations, and anything else at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from custom_networks.training import termination
from custom_networks.training.termination import Termination


@pytest.fixture
def listening() -> Iterator[Termination]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    made = Termination()
    made.listen()
    yield made
    signal.signal(signal.SIGTERM, before)


def train(listening: Termination, *steps: Callable[[], object]) -> None:
    with listening.between_iterations():
        for step in steps:
            step()


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def goes_on() -> None:
    pytest.fail("goes on")


def test_it_waits_for_the_end_of_an_iteration(listening: Termination) -> None:
    done: list[str] = []
    with pytest.raises(SystemExit) as ended:
        train(listening, terminate, lambda: done.append("this iteration"), listening.now, goes_on)
    assert ended.value.code == 143
    assert done == ["this iteration"]


def test_it_does_not_wait_after_the_training(listening: Termination) -> None:
    train(listening)
    with pytest.raises(SystemExit):
        terminate()


def test_a_second_one_does_not_wait(listening: Termination) -> None:
    with pytest.raises(SystemExit):
        train(listening, terminate, terminate, goes_on)


def test_one_that_came_in_the_last_iteration_is_not_forgotten(listening: Termination) -> None:
    with pytest.raises(SystemExit):
        train(listening, terminate)


def test_an_iteration_that_never_ends_is_left(listening: Termination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "PATIENCE", 0.05)
    with pytest.raises(SystemExit):
        train(listening, terminate, lambda: time.sleep(20), goes_on)


def test_a_handler_of_somebody_else_stays() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Termination().listen()
    assert signal.signal(signal.SIGTERM, before) == signal.SIG_IGN
