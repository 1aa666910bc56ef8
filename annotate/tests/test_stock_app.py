"""The plain bundle, unmodified, in MONAI Label's own `monaibundle` app: start, infer, next sample, label, train."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from monailabel.client import MONAILabelClient
from PIL import Image
from support import BUNDLE, REPOSITORY, SIZE, png

NAME = "sgdnet_2d_segmentation"
STUB = '"""Stands in for torchvision, of which MONAI Label imports two functions that nothing here calls."""\n'


@pytest.fixture(scope="module")
def stock(phantoms: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """Address, bundle and log of a stock server."""
    folder = tmp_path_factory.mktemp("stock")
    app = folder / "monaibundle"
    shutil.copytree(Path(sys.prefix) / "monailabel" / "sample-apps" / "monaibundle", app)
    bundle = app / "model" / NAME
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("runs", "models", "eval", "cache"))
    (bundle / "models").mkdir()
    for ending in (".pt", ".json"):
        shutil.copy(weights.with_suffix(ending), bundle / "models" / f"model{ending}")
    shutil.copytree(phantoms / "images", folder / "studies")
    (folder / "stub" / "torchvision").mkdir(parents=True)
    (folder / "stub" / "torchvision" / "__init__.py").write_text(STUB)
    (folder / "stub" / "torchvision" / "utils.py").write_text(STUB + "make_grid = save_image = None\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "monailabel.main", "start_server", "--app", app, "--studies", folder / "studies"]
    words += ["--conf", "models", NAME, "--conf", "zoo_source", "local", "--conf", "sam2", "false"]
    words += ["--conf", "epistemic_model", NAME, "--conf", "epistemic_simulation_size", "2"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "stub"), str(REPOSITORY)]),
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, words), "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 180
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            try:
                MONAILabelClient(address).info()
                break
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)
        yield address, bundle, log
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_the_bundle_serves_and_learns_in_the_stock_app(stock, weights: Path, phantoms: Path, tmp_path: Path):
    address, bundle, log = stock
    client = MONAILabelClient(address, str(tmp_path))
    info = client.info()
    assert info["models"][NAME]["type"] == "segmentation"
    assert list(info["models"][NAME]["labels"]) == ["lesion"]
    assert info["models"][NAME]["dimension"] == 2

    file, _ = client.infer(NAME, "phantom_000", {"device": "cpu"})
    mask = np.asarray(Image.open(file))
    assert (mask.shape, mask.dtype) == ((SIZE, SIZE), np.uint8)
    from custom_networks.prediction.predictor import SGDNetPredictor

    found = SGDNetPredictor.from_bundle(BUNDLE, weights)
    probability = found(phantoms / "images" / "phantom_000.png").probability
    clear = abs(probability - 0.5) > 1e-3
    assert np.array_equal(mask[clear] > 0, probability[clear] > 0.5)

    assert client.next_sample("random", {})["id"].startswith("phantom_")
    for i in range(6):
        label = tmp_path / f"phantom_{i:03}.png"
        label.write_bytes(png(np.asarray(Image.open(phantoms / "masks" / label.name)) // 255))
        client.save_label(label.stem, str(label), "final", {})
    assert client.datastore()["objects"]["phantom_000"]["labels"]["final"]

    before = (bundle / "models" / "model.pt").stat().st_mtime_ns
    client.train_start(NAME, {"max_epochs": 1, "device": "cpu", "tracking": "None", "pretrained": True})
    until = time.monotonic() + 400
    told = client.train_status()
    while told["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < until, told
        time.sleep(1)
        told = client.train_status()
    assert told["status"] == "DONE", json.dumps(told, indent=1)[-4000:] + log.read_text()[-4000:]
    (run,) = (bundle / "runs").iterdir()
    assert len((run / "metrics.csv").read_text().splitlines()) == 2
    assert (bundle / "models" / "model.pt").stat().st_mtime_ns > before
    print("\n".join(line for line in log.read_text().splitlines() if NAME in line)[:6000])
