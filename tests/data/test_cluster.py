"""`prepare` and `check` by a Dask cluster of two processes: the same results, also where a worker is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from custom_networks.data.checking.read import read_data_set
from custom_networks.data.checking.report import as_json
from custom_networks.data.checking.run import run_check
from custom_networks.data.phantoms import write_phantoms
from custom_networks.data.prepare import Settings, prepare_dataset

distributed = pytest.importorskip("distributed")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as started:
        yield started


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=40, size=64)


def prepared(folder: Path, output: Path, cluster: str) -> dict[str, bytes]:
    """Content of what is written, by name; without the journal, whose stamps are times."""
    settings = Settings("folder", str(folder), image_size=32, near_duplicates=False)
    prepare_dataset(settings, output, num_workers=1, say=lambda _: None, cluster=cluster)
    files = [path for path in output.rglob("*") if path.is_file() and path.suffix in (".json", ".png")]
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_both_give_what_one_process_gives_and_a_killed_worker_loses_nothing(
    cluster: Any, phantoms: Path, tmp_path: Path
) -> None:
    alone = prepared(phantoms, tmp_path / "alone", "")
    assert len(alone) == 81
    killed = []

    def kill() -> None:
        journal = tmp_path / "together" / "prepare.jsonl"
        while not killed:
            if journal.is_file() and journal.read_text().count('"id"') >= 4:
                victim = next(iter(cluster.workers.values())).pid
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            time.sleep(0.001)

    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    together = prepared(phantoms, tmp_path / "together", cluster.scheduler_address)
    watcher.join(timeout=10)
    assert killed
    assert together == alone
    data_set = read_data_set(tmp_path / "alone" / "datalist.json")
    reports = [as_json(run_check([data_set], False, 1, cluster=each)) for each in ("", cluster.scheduler_address)]
    for report in reports:
        del report["seconds"]
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_a_damaged_file_is_told_as_by_one_process(cluster: Any, phantoms: Path, sgdnet: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(phantoms, tmp_path / "set"))
    next((folder / "images").iterdir()).write_bytes(b"nothing")
    words = ("prepare", "folder", folder, "--near_duplicates", "false", "--num_workers", 1, "--image_size", 32)
    alone = sgdnet(*words, "--output", tmp_path / "alone")
    together = sgdnet(*words, "--output", tmp_path / "together", "--cluster", cluster.scheduler_address)
    assert alone[0] == together[0] == 1
    assert alone[2].splitlines()[-1] == together[2].splitlines()[-1]
    json_of = {}
    for name, more in (("alone", ()), ("together", ("--cluster", cluster.scheduler_address))):
        file = tmp_path / f"{name}.json"
        assert sgdnet("check", folder, "--json", file, "--near_duplicates", "false", *more)[0] == 1
        json_of[name] = json.loads(file.read_text())["findings"]
    assert json_of["alone"] == json_of["together"]


def test_no_scheduler_is_one_sentence(sgdnet: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_networks.data.cluster._CONNECT", "0.2s")
    folder = write_phantoms(tmp_path / "set", count=2, size=64)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        code, _, err = sgdnet("check", folder, "--cluster", address)
        assert code == 1
        assert f"--cluster {address}: no scheduler answers" in err
        assert "Traceback" not in err
