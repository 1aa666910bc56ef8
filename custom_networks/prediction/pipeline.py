"""Images through the network while others are read and written: reading and writing in threads, batches in between."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from custom_networks.data.resources import threads_beside_the_network
from custom_networks.files import StorageError

Job = TypeVar("Job")


@dataclass
class Stages(Generic[Job]):
    """What is done with each job.

    Args:
        read: in a thread; its result goes to `compute` as one of a batch, and to `write`.
        compute: in the caller's thread, on a batch.
        write: in a thread, with the job, what was read and what was computed.
    """

    read: Callable[[Job], Any]
    compute: Callable[[list[Any]], list[Any]]
    write: Callable[[Job, Any, Any], Any]


@dataclass
class Clock:
    """Where the time went.

    Attributes:
        network: seconds in `compute`.
        total: seconds from the first job to the last, of every call of `run`.
    """

    network: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float:
        """Share of the time that the network was at work, 0 to 1."""
        return self.network / self.total if self.total else 0.0


def run(
    jobs: Iterable[Job], stages: Stages[Job], batch_size: int, num_workers: int, ahead: int, clock: Clock
) -> Iterator[tuple[Job, Any]]:
    """Do all jobs; reading runs ahead and writing lags behind by a limited number.

    Args:
        jobs: in order.
        stages: what is done.
        batch_size: jobs that `compute` gets at once.
        num_workers: threads that read, and as many that write.
        ahead: jobs that may be read and not computed, and as many computed and not written.
        clock: the times are added to it.

    Yields:
        Each job with what `write` gave, or the exception that ended it, whichever; nearly in order. Where a batch
        fails, as for want of memory, its jobs are computed one by one.

    Raises:
        StorageError: when no result can be written: the other jobs would fail too.
    """
    start = time.perf_counter()
    readers, writers = (threads_beside_the_network(num_workers, name) for name in ("read", "write"))
    waiting: deque[tuple[Job, Future]] = deque()
    pending: deque[tuple[Job, Future]] = deque()
    remaining = iter(jobs)
    try:
        while True:
            for job in islice(remaining, ahead + batch_size - len(waiting)):
                waiting.append((job, readers.submit(_guarded, stages.read, job)))
            if not waiting:
                break
            batch: list[tuple[Job, Any]] = []
            while waiting and len(batch) < batch_size:
                job, future = waiting.popleft()
                result = future.result()
                if isinstance(result, Exception):
                    yield job, result
                else:
                    batch.append((job, result))
            if batch:
                began = time.perf_counter()
                computed = _computed(stages.compute, [item for _, item in batch])
                clock.network += time.perf_counter() - began
                for (job, item), maps in zip(batch, computed, strict=True):
                    if isinstance(maps, Exception):
                        yield job, maps
                    else:
                        pending.append((job, writers.submit(_guarded, stages.write, job, item, maps)))
                del batch, computed
            while pending and (len(pending) > ahead or pending[0][1].done()):
                job, future = pending.popleft()
                yield job, future.result()
        while pending:
            job, future = pending.popleft()
            yield job, future.result()
    finally:
        clock.total += time.perf_counter() - start
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)


def _computed(compute: Callable[[list[Any]], list[Any]], items: list[Any]) -> list[Any]:
    """Compute a batch; where it fails, each item alone, so that only those are lost that fail alone."""
    found = _guarded(compute, items)
    if not isinstance(found, Exception):
        return list(found)
    if len(items) == 1:
        return [found]
    alone = [_guarded(compute, [item]) for item in items]
    return [one if isinstance(one, Exception) else one[0] for one in alone]


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return an exception instead of raising it, unless nothing can be written at all."""
    try:
        return function(*arguments)
    except StorageError:
        raise
    except Exception as error:
        return error.with_traceback(None)  # it would keep the image in memory
