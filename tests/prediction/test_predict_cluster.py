"""`predict` by a Dask cluster of two processes: the same results, also where a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from export_fixtures import BUNDLE
from PIL import Image
from prediction_process import results

distributed = pytest.importorskip("distributed")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path, pictures: Path) -> Path:
    files = sorted(pictures.iterdir())
    (tmp_path / "in").mkdir()
    for number in range(24):
        Image.open(files[number % len(files)]).rotate(15 * number).save(tmp_path / "in" / f"i{number}.png")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    return tmp_path / "in"


@pytest.mark.slow
def test_gives_what_one_process_gives_and_a_killed_worker_loses_no_image(
    sgdnet: Run, images: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--checkpoint", checkpoint, "--bundle_root", BUNDLE, "--device", "cpu", "--outputs", "coco,measurements")
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert sgdnet("predict", images, "--output", alone, *words)[0] == 2
    monkeypatch.chdir(tmp_path)
    killed = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:

        def kill() -> None:
            while not killed:
                if any('"row"' in path.read_text() for path in together.glob("predict-*.jsonl")):
                    killed.append(next(iter(cluster.workers.values())).pid)
                    os.kill(killed[0], signal.SIGKILL)
                time.sleep(0.001)

        watcher = threading.Thread(target=kill, daemon=True)
        watcher.start()
        by_cluster = ("--output", "together", *words, "--cluster", cluster.scheduler_address)
        code, said, err = sgdnet("predict", "in", *by_cluster)
        watcher.join(timeout=10)
        assert killed
        assert code == 2
        assert "1 failed" in said
        assert "bad.png" in err
        assert results(together) == results(alone)
        assert "24 done before" in sgdnet("predict", "in", *by_cluster)[1]
        assert results(together) == results(alone)
        code, _, err = sgdnet("predict", "in", *by_cluster, "--threshold", 0.6)
        assert code == 1
        assert "was predicted with threshold 0.5 (now 0.6)" in err


def test_a_cluster_shares_by_itself(sgdnet: Run, images: Path, checkpoint: Path, tmp_path: Path) -> None:
    words = (
        "predict",
        images,
        "--output",
        tmp_path / "out",
        "--checkpoint",
        checkpoint,
        "--cluster",
        "tcp://127.0.0.1:1",
    )
    code, _, err = sgdnet(*words, "--part", "1/2")
    assert code == 1
    assert "--part 1/2: the workers of --cluster share the images by themselves; leave it out" in err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predict.jsonl").write_text("")
    code, _, err = sgdnet(*words)
    assert code == 1
    assert "was predicted as a whole; leave --cluster out, or give another --output" in err
