"""The queue of inferences: one process computes, jobs that people wait for come before the scoring of images."""

from __future__ import annotations

import heapq
import itertools
import logging
import multiprocessing
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from annotate.errors import NotFound, Unavailable
from annotate.predicting import Outcome, Task, serve
from annotate.settings import MIB

logger = logging.getLogger(__name__)
ASKED, IDLE = 0, 1  # priorities
KEPT_BYTES = 256 * MIB
KEPT_JOBS = 500
MAX_WAITING = 200
LONGEST = 600.0  # seconds of one inference
FINISHED = ("done", "error", "cancelled")


@dataclass
class Job:
    """An inference on its way.

    Args:
        id: a random name.
        task: what to compute.
        priority: `ASKED` or `IDLE`.
        then: called with the job once it has finished.
    """

    id: str
    task: Task
    priority: int = ASKED
    then: Callable[[Job], None] | None = None
    state: str = "queued"
    error: str = ""
    outcome: Outcome | None = None
    created: float = field(default_factory=time.monotonic)
    started: float = 0.0
    ended: float = 0.0
    finished: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        """Computing time so far; 0 while it waits."""
        if not self.started:
            return 0.0
        return round((self.ended or time.monotonic()) - self.started, 3)


class InferenceQueue:
    """Compute jobs one after the other in a process of their own.

    The process starts with the first job. Where it dies, for lack of memory perhaps, the job fails and the next one
    starts a new process.

    Args:
        threads: of the process.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: list[tuple[int, int, Job]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="inference-queue", daemon=True)
        self._thread.start()

    def submit(self, task: Task, priority: int = ASKED, then: Callable[[Job], None] | None = None) -> Job:
        """Queue an inference; raises Unavailable where too many wait."""
        job = Job(secrets.token_hex(8), task, priority, then)
        with self._changed:
            if priority == ASKED and sum(1 for first, _, _ in self._waiting if first == ASKED) >= MAX_WAITING:
                raise Unavailable(f"{MAX_WAITING} inferences wait already; try again in a moment")
            self._jobs[job.id] = job
            heapq.heappush(self._waiting, (priority, next(self._order), job))
            self._forget()
            self._changed.notify_all()
        return job

    def get(self, job: str) -> Job:
        """Look a job up; raises NotFound for one that does not exist any more."""
        found = self._jobs.get(job)
        if found is None:
            raise NotFound(f"no job {job[:40]!r}; finished jobs are kept for a while only, start it again")
        return found

    def position(self, job: Job) -> int:
        """How many jobs come before this one, the running one included; 0 once it runs."""
        if job.state != "queued":
            return 0
        with self._changed:
            ahead = [other for _, _, other in sorted(self._waiting) if other.state == "queued"]
            place = next((i for i, other in enumerate(ahead) if other is job), 0)
            return place + (1 if self._running is not None else 0)

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue; one that runs ends unheard."""
        with self._changed:
            if job.state in ("queued", "running"):
                self._finish(job, "cancelled")

    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        with self._changed:
            return self._running is None and not self._waiting

    def close(self) -> None:
        """End the process; what waits is cancelled."""
        with self._changed:
            self._closed = True
            for _, _, job in self._waiting:
                self._finish(job, "cancelled")
            self._waiting.clear()
            self._changed.notify_all()
        self._end()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                *_, job = heapq.heappop(self._waiting)
                if job.state != "queued":
                    continue
                job.state, job.started, self._running = "running", time.monotonic(), job
            state, error = "error", ""
            try:
                job.outcome, error = self._ask(job.task)
                state = "error" if error else "done"
            except Exception as failure:
                logger.exception("inference")
                error = f"the inference failed ({type(failure).__name__}); try again"
            with self._changed:
                self._running = None
                if job.state == "running":
                    job.error = error
                    self._finish(job, state)
            if job.then is not None:
                try:
                    job.then(job)
                except Exception:
                    logger.exception("after an inference")

    def _ask(self, task: Task) -> tuple[Outcome | None, str]:
        connection = self._connected()
        try:
            connection.send(task)
            if not connection.poll(LONGEST):
                self._end()
                return None, f"no answer within {LONGEST:.0f} seconds; take a smaller image"
            kind, content = connection.recv()
        except (EOFError, OSError):
            self._end()
            return None, "the inference process ended, probably for lack of memory; it starts again with the next job"
        return (content, "") if kind == "done" else (None, content)

    def _connected(self) -> Connection:
        if self._connection is None or self._process is None or not self._process.is_alive():
            self._end()
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs, self.threads), name="inference", daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def _end(self) -> None:
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.join(timeout=5)

    def _finish(self, job: Job, state: str) -> None:
        job.state, job.ended = state, time.monotonic()
        if state != "done":
            job.outcome = None
        job.finished.set()

    def _forget(self) -> None:
        """Drop the oldest finished jobs beyond the limits."""
        sizes = {key: sum(map(len, job.outcome.files.values())) for key, job in self._jobs.items() if job.outcome}
        total = sum(sizes.values())
        for key in [key for key, job in self._jobs.items() if job.state in FINISHED]:
            if total <= KEPT_BYTES and len(self._jobs) <= KEPT_JOBS:
                return
            total -= sizes.get(key, 0)
            del self._jobs[key]
