from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from custom_networks.errors import UserError
from custom_networks.run.folder import claim_folder, folder_to_resume, is_locked, lock_folder

FORK = multiprocessing.get_context("fork")


def claim_at_once(parent: Path, barrier: Barrier, names: SimpleQueue[str]) -> None:
    barrier.wait(30)
    for _ in range(20):
        names.put(claim_folder(parent).name)


def hold(folder: Path, held: Event) -> None:
    lock = lock_folder(folder)
    assert lock is not None
    held.set()
    time.sleep(60)


def test_processes_of_the_same_moment_claim_different_folders(tmp_path: Path) -> None:
    names: SimpleQueue[str] = FORK.SimpleQueue()
    barrier = FORK.Barrier(2)
    processes = [FORK.Process(target=claim_at_once, args=(tmp_path / "runs", barrier, names)) for _ in range(2)]
    for process in processes:
        process.start()
    claimed = [names.get() for _ in range(40)]
    for process in processes:
        process.join(30)
    assert sorted(claimed) == sorted({folder.name for folder in (tmp_path / "runs").iterdir()})
    assert len(set(claimed)) == 40


def test_a_taken_second_gets_a_number(tmp_path: Path) -> None:
    claimed = [claim_folder(tmp_path) for _ in range(20)]
    assert len(set(claimed)) == 20
    assert any(folder.name.endswith("_3") for folder in claimed)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--output_dir"):
        claim_folder(tmp_path / "file" / "runs")


def test_a_process_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    code = f"""
from custom_networks.run.folder import claim_folder
places = [claim_folder({str(tmp_path)!r} + parent) for parent in ("", "", "/new")]
(places[0] / "summary.json").touch()
assert all(place.is_dir() for place in places)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    [left] = tmp_path.iterdir()
    assert [path.name for path in left.iterdir()] == ["summary.json"]


def test_the_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        folder_to_resume(tmp_path, True)
    for age, name in enumerate(("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        os.utime(tmp_path / name / "last.pt", (1000 + age, 1000 + age))
    assert folder_to_resume(tmp_path, "true") == tmp_path / "a"
    assert folder_to_resume(tmp_path, tmp_path / "b") == tmp_path / "b"
    assert folder_to_resume(tmp_path, str(tmp_path / "b" / "last.pt")) == tmp_path / "b"
    assert folder_to_resume(tmp_path, True, tmp_path / "b") == tmp_path / "b"
    with pytest.raises(UserError, match="own folder"):
        folder_to_resume(tmp_path, tmp_path / "b", tmp_path / "a")


def test_the_newest_run_is_meant_even_where_none_of_its_epochs_is_complete(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "last.pt").touch()
    os.utime(tmp_path / "old" / "last.pt", (1000, 1000))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "settings.json").touch()
    with pytest.raises(UserError, match=r"new: no last\.pt .*without --resume"):
        folder_to_resume(tmp_path, True)


def test_one_process_works_in_a_folder_until_it_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_networks.run.folder.PATIENCE", 0.2)
    held = FORK.Event()
    other = FORK.Process(target=hold, args=(tmp_path, held))
    other.start()
    assert held.wait(30)
    assert is_locked(tmp_path)
    with pytest.raises(UserError, match="another process trains"):
        lock_folder(tmp_path)
    other.kill()
    other.join()
    assert not is_locked(tmp_path)
    assert lock_folder(tmp_path) is not None
