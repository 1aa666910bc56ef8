"""SIGTERM: how a scheduler, or `kill`, ends a training so that its run is closed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 10.0
"""Seconds that SIGTERM waits for the end of an iteration; a scheduler kills after 30."""


class Termination:
    """Lets SIGTERM end the process as an exit does.

    While `between_iterations` holds, the exit waits until `now` is called: one that came from within a library, such as
    the database of the tracking, could leave that in the middle of a step, and the run could not be closed any more.
    """

    def __init__(self) -> None:
        self.asked = False
        self.waits = False

    def listen(self) -> None:
        """Take SIGTERM, unless somebody else does."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._hear)

    @contextmanager
    def between_iterations(self) -> Iterator[None]:
        """Let the exit wait for `now` in here, `PATIENCE` seconds at most."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False
        self.now()

    def now(self) -> None:
        """Exit, if that was asked for."""
        if self.asked:
            self.asked = False
            sys.exit(128 + signal.SIGTERM)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or not self.waits:
            self.now()
        timer = threading.Timer(PATIENCE, self._insist)
        timer.daemon = True
        timer.start()

    def _insist(self) -> None:
        main = threading.main_thread().ident
        if self.asked and main is not None:
            signal.pthread_kill(main, signal.SIGTERM)  # wakes it, too, where it waits


TERMINATION = Termination()
