"""Stages overlap within limits, and one job's mistake is its own."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from custom_networks.errors import UserError
from custom_networks.files import StorageError
from custom_networks.prediction.pipeline import Clock, Stages, run


def stages(**more: Any) -> Stages[int]:
    given = {
        "read": lambda job: job,
        "compute": lambda items: [10 * item for item in items],
        "write": lambda job, item, result: (item, result),
    }
    return Stages(**{**given, **more})


@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_job_gets_its_own_result(batch_size: int) -> None:
    sizes = []

    def compute(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return [10 * item for item in items]

    results = dict(run(range(23), stages(compute=compute), batch_size, 3, 2, Clock()))
    assert results == {job: (job, 10 * job) for job in range(23)}
    assert sizes == ([1] * 23 if batch_size == 1 else [4] * 5 + [3])


def test_mistakes_end_their_own_job_alone() -> None:
    def read(job: int) -> int:
        if job < 12:  # more than are read ahead
            raise UserError(f"{job} is broken")
        return job

    def write(job: int, item: int, result: int) -> int:
        if job == 15:
            raise UserError("no writer for it")
        return result

    results = dict(run(range(20), stages(read=read, write=write), 3, 2, 2, Clock()))
    assert len(results) == 20
    assert [job for job, result in results.items() if isinstance(result, UserError)] == [*range(12), 15]
    assert results[19] == 190


def test_any_exception_ends_its_own_job_alone() -> None:
    def compute(items: list[int]) -> list[int]:
        if 3 in items:
            raise MemoryError
        return [10 * item for item in items]

    def write(job: int, item: int, result: int) -> int:
        if job == 5:
            raise OSError(36, "File name too long")
        return result

    results = dict(run(range(9), stages(compute=compute, write=write), 4, 2, 2, Clock()))
    assert {job: type(one) for job, one in results.items() if isinstance(one, Exception)} == {
        3: MemoryError,
        5: OSError,
    }
    assert results[2] == 20


def test_a_full_disk_ends_the_run() -> None:
    def write(job: int, item: int, result: int) -> None:
        raise StorageError("cannot be written")

    with pytest.raises(StorageError, match="cannot be written"):
        list(run(range(20), stages(write=write), 1, 2, 2, Clock()))


def test_reading_and_writing_overlap_with_the_network_and_stay_within_limits() -> None:
    lock, alive, most = threading.Lock(), 0, 0

    def read(job: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        time.sleep(0.01)
        return job

    def compute(items: list[int]) -> list[int]:
        time.sleep(0.03)
        return items

    def write(job: int, item: int, result: int) -> int:
        nonlocal alive
        time.sleep(0.01)
        with lock:
            alive -= 1
        return result

    clock = Clock()
    results = list(run(range(30), stages(read=read, compute=compute, write=write), 1, 2, 2, clock))
    assert len(results) == 30
    assert most <= 8
    assert 0.7 < clock.share <= 1  # one after the other it would be 0.6
    assert clock.network >= 0.9
