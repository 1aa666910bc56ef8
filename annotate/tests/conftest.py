"""A studies folder of phantoms, weights, and a server in this process."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from annotate.app import create_app
from annotate.service import Service
from annotate.settings import Settings
from custom_networks import SGDNet
from custom_networks.data.phantoms import write_phantoms
from custom_networks.weights.normalization import ISIC

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLE = REPOSITORY / "bundle"
SIZE = 96
HERE = "http://127.0.0.1:8000"
Start = Callable[..., TestClient]


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantoms of 96 x 96 pixels, in images/ and masks/."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=8, size=SIZE)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights that say they were trained at 64 x 64 pixels."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    torch.save(SGDNet().state_dict(), path)
    about = {"normalization": ISIC.as_dict(), "settings": {"image_size": 64}, "metrics": {"val_mean_dice": 0.5}}
    path.with_suffix(".json").write_text(json.dumps(about))
    return path


@pytest.fixture
def studies(phantoms: Path, tmp_path: Path) -> Path:
    """A fresh copy of the phantoms' images, inside a folder of its own."""
    folder = tmp_path / "outer" / "studies"
    shutil.copytree(phantoms / "images", folder / "images")
    return folder


@pytest.fixture
def start(studies: Path) -> Iterator[Start]:
    """Start servers in this process; each ends the one before it."""
    running: list[TestClient] = []

    def end() -> None:
        while running:
            running.pop().__exit__(None, None, None)

    def begin(checkpoint: Path | None = None, **settings: Any) -> TestClient:
        end()
        settings = {"score": False, "checkpoint": checkpoint or studies / "none.pt", **settings}
        made = Settings(studies=studies, bundle_root=BUNDLE, **settings)
        client = TestClient(create_app(Service(made, threads=1)), base_url=HERE, raise_server_exceptions=False)
        client.__enter__()
        running.append(client)
        return client

    yield begin
    end()


@pytest.fixture
def client(start: Start) -> TestClient:
    """A server without weights."""
    return start()


@pytest.fixture(scope="session")
def predicting(phantoms: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server with weights, for tests that leave nothing behind that another could meet."""
    folder = tmp_path_factory.mktemp("predicting") / "studies"
    shutil.copytree(phantoms / "images", folder / "images")
    made = Settings(studies=folder, bundle_root=BUNDLE, checkpoint=weights, score=False)
    with TestClient(create_app(Service(made, threads=1)), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


class Running:
    """A server in a process of its own.

    Args:
        folder: of the studies.
        words: further words of the command line.
    """

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "custom_networks.cli", "annotate", "--studies", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("Open "):
                self.address = line.split()[1].partition("/ui/")[0]
                return
        raise AssertionError("".join(said))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def served(phantoms: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with weights in a process of its own, for clients that speak HTTP themselves."""
    folder = tmp_path_factory.mktemp("served") / "studies"
    shutil.copytree(phantoms / "images", folder / "images")
    running = Running(folder, "--checkpoint", str(weights), "--score", "false")
    yield running
    running.stop()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def square(low: int = 20, high: int = 60, value: int = 1, size: int = SIZE) -> np.ndarray:
    """A label with a square of one class."""
    pixels = np.zeros((size, size), np.uint8)
    pixels[low:high, low:high] = value
    return pixels


def put_label(client: TestClient, image: str, pixels: np.ndarray, base: int = 0, by: str = "ada", **about: Any) -> Any:
    return client.put(
        f"/api/images/{image}/label",
        files={"label": ("label.png", png(pixels), "image/png")},
        data={"about": json.dumps({"base_version": base, **about})},
        headers={"X-Annotator": by},
    )


def finished(client: TestClient, job: str) -> dict[str, Any]:
    """Wait for a job."""
    for _ in range(20):
        told = client.get(f"/api/jobs/{job}", params={"wait": 30}).json()
        if told["state"] not in ("queued", "running"):
            return dict(told)
    raise AssertionError(told)
