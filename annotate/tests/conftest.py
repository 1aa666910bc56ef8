"""A studies folder of phantoms, weights, and a server in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from networks import toy_network
from support import BUNDLE, HERE, SIZE, Running, Start
from toy_weights import write_record

from annotate.app import create_app
from annotate.service import Service
from annotate.settings import Settings
from custom_networks.configuration.inference import load_source
from custom_networks.data.phantoms import write_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantoms of 96 x 96 pixels, in images/ and masks/."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=8, size=SIZE)


@pytest.fixture(scope="session")
def weights(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights that say they were trained at 64 x 64 pixels; their masks are neither empty nor full."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    network = toy_network()
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=64, metrics={"val_mean_dice": 0.5})
    prepare = load_source(BUNDLE, path, None).prepare
    batch = torch.stack([torch.from_numpy(prepare(image)) for image in sorted((phantoms / "images").iterdir())])
    head = network.eval().heads[0]
    with torch.no_grad():
        head.weight /= 2 * network(batch).std()
        head.bias -= network(batch).median()
    torch.save(network.state_dict(), path)
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


@pytest.fixture(scope="session")
def served(phantoms: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with weights in a process of its own, for clients that speak HTTP themselves."""
    folder = tmp_path_factory.mktemp("served") / "studies"
    shutil.copytree(phantoms / "images", folder / "images")
    running = Running(folder, "--checkpoint", str(weights), "--score", "false")
    yield running
    running.stop()
