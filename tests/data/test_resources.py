"""Free memory, read from trees like those that Linux shows; threads that work beside a network."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from custom_networks.data.resources import free_memory, threads_beside_the_network

KB, MB = 1024, 2**20


def tree(folder: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(content))
    return folder


TWO = "sys/fs/cgroup"
ONE = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        pytest.param({}, 4 * MB, id="no control groups"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", f"{TWO}/memory.max": "max", f"{TWO}/memory.current": MB},
            4 * MB,
            id="no limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", f"{TWO}/memory.max": 3 * MB, f"{TWO}/memory.current": MB},
            2 * MB,
            id="a container's limit",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                f"{TWO}/memory.max": 3 * MB,
                f"{TWO}/memory.current": MB,
                f"{TWO}/memory.stat": f"anon 5\ninactive_file {512 * KB}\n",
            },
            2 * MB + 512 * KB,
            id="unused file cache is free",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/jobs/mine\n",
                f"{TWO}/jobs/memory.max": 2 * MB,
                f"{TWO}/jobs/memory.current": MB,
                f"{TWO}/jobs/mine/memory.max": "max",
                f"{TWO}/jobs/mine/memory.current": KB,
            },
            MB,
            id="limit of the group around",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/a\n4:memory:/a\n0::/\n",
                f"{ONE}/a/memory.limit_in_bytes": 3 * MB,
                f"{ONE}/a/memory.usage_in_bytes": 2 * MB,
                f"{ONE}/a/memory.stat": f"total_inactive_file {MB}\n",
                f"{ONE}/memory.limit_in_bytes": 2**63 - 4096,
                f"{ONE}/memory.usage_in_bytes": 7 * MB,
            },
            2 * MB,
            id="version 1",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", f"{TWO}/memory.max": MB, f"{TWO}/memory.current": 2 * MB}, 0, id="over it"
        ),
    ],
)
def test_the_least_of_machine_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, object], free: int
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4 * MB))
    assert free_memory(tree(tmp_path, files)) == free


def test_this_machine_has_some() -> None:
    assert 0 < free_memory() < 2**50


def test_threads_beside_the_network_get_no_threads_of_their_own() -> None:
    """Two and more OpenMP teams on two cores slow each other down, also those that do nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(1_000_000).sin()  # has started the threads of this one
        with threads_beside_the_network(3, "test") as pool:
            count = psutil.Process().num_threads()
            list(pool.map(lambda _: torch.randn(1_000_000).sin(), range(30)))
            assert set(pool.map(lambda _: torch.get_num_threads(), range(30))) == {1}
            assert psutil.Process().num_threads() == count
            assert torch.get_num_threads() == 2
            later = []
            thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
            thread.start()
            thread.join()
            assert later == [2]
    finally:
        torch.set_num_threads(before)


def test_pools_that_start_at_once_leave_the_number_as_it_is() -> None:
    """A pool counted the cores while another one's threads were being limited to one."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found: list[int] = []

        def start() -> None:
            with threads_beside_the_network(2, "test"):
                found.append(torch.get_num_threads())

        threads = [threading.Thread(target=start) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [3] * 20
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_cannot_start_keeps_none_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, calls = ThreadPoolExecutor.submit, []

    def once(self: ThreadPoolExecutor, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("can't start new thread")
        return submit(self, *arguments)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", once)
    before, number = threading.active_count(), torch.get_num_threads()
    with pytest.raises(RuntimeError, match="new thread"):
        threads_beside_the_network(2, "test")
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert torch.get_num_threads() == number
