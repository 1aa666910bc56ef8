"""Clicks, scribbles, boxes and the previous mask, with weights that take them."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from networks import TOY
from PIL import Image
from support import BUNDLE, HERE, SIZE, finished, png, put_label, square
from toy_weights import write_record

from annotate.app import create_app
from annotate.errors import Unfit
from annotate.guidance import guidance_of
from annotate.service import Service
from annotate.settings import Settings
from custom_networks.network.interactive import InteractiveSGDNet

NAME = "phantom_000.png"


def test_guidance_is_checked_against_the_image():
    previous = base64.b64encode(png(square())).decode()
    said = {
        "foreground": [[1, 2.5]],
        "background": [],
        "foreground_scribbles": [[[1, 1], [5, 5]]],
        "box": [0, 0, 96, 96],
        "previous": previous,
    }
    found = guidance_of(said, (SIZE, SIZE))
    assert set(found) == {"foreground", "foreground_scribbles", "box", "previous"}
    assert found["foreground"] == [(1.0, 2.5)]
    assert np.array_equal(found["previous"], square() > 0)
    assert guidance_of({"previous": previous}, (SIZE, SIZE)) == {}
    for wrong, words in [
        ({"foreground": [[96, 5]]}, "outside"),
        ({"background_scribbles": [[[1, 1], [1, -1]]]}, "outside"),
        ({"box": [5, 5, 5, 9]}, "x0 < x1"),
        ({"foreground": [[1, 1]], "previous": "***"}, "base64"),
        ({"foreground": [[1, 1]], "previous": base64.b64encode(png(square(size=50))).decode()}, "50 x 50"),
    ]:
        with pytest.raises(Unfit, match=words):
            guidance_of(wrong, (SIZE, SIZE))


@pytest.fixture(scope="module")
def guided(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server with untrained weights that take guidance."""
    folder = tmp_path_factory.mktemp("guided")
    torch.manual_seed(0)
    weights = folder / "model.pt"
    network = InteractiveSGDNet(**TOY)
    torch.save(network.state_dict(), weights)
    write_record(weights, network, image_size=64)
    shutil.copytree(phantoms / "images", folder / "studies" / "images")
    made = Settings(studies=folder / "studies", bundle_root=BUNDLE, checkpoint=weights, score=False)
    with TestClient(create_app(Service(made, threads=1)), base_url=HERE, raise_server_exceptions=False) as client:
        yield client


def masked(client: TestClient, **said: object) -> np.ndarray:
    told = finished(client, client.post("/api/infer", json={"image": NAME, **said}).json()["job"])
    assert told["state"] == "done", told
    return np.asarray(Image.open(io.BytesIO(client.get(f"/api/jobs/{told['job']}/mask").content)))


def test_every_click_and_scribble_is_honoured(guided: TestClient):
    assert guided.get("/api/session").json()["interactive"] is True
    automatic = masked(guided)
    inside, outside = [[10, 20], [70, 15]], [[40, 60], [90, 90]]
    mask = masked(guided, foreground=inside, background=outside, previous=base64.b64encode(png(automatic)).decode())
    assert all(mask[y, x] for x, y in inside)
    assert not any(mask[y, x] for x, y in outside)
    mask = masked(guided, background_scribbles=[[[5, 5], [5, 80]]], foreground_scribbles=[[[50, 5], [60, 5]]])
    assert not mask[5:81, 5].any()
    assert mask[5, 50:61].all()


def test_uncertainty_and_edges(guided: TestClient):
    made = guided.post("/api/infer", json={"image": NAME, "maps": ["uncertainty", "edge"]}).json()["job"]
    assert finished(guided, made)["state"] == "done"
    for what in ("uncertainty", "edge", "probability"):
        data = guided.get(f"/api/jobs/{made}/{what}").content
        assert np.asarray(Image.open(io.BytesIO(data))).shape == (SIZE, SIZE)


def test_clients_click_too(guided: TestClient):
    assert guided.get("/info/").json()["models"]["sgdnet_clicks"]["type"] == "deepedit"
    params = {
        "foreground": [[30, 40, 0]],
        "background": [[80, 80]],
        "roi": [5, 5, 90, 90],
        "output": "json",
        "mask": True,
    }
    answer = guided.post(f"/infer/sgdnet_clicks?image={NAME}", data={"params": json.dumps(params)})
    assert answer.status_code == 200, answer.text
    mask = np.array(answer.json()["mask"])
    assert (mask[40, 30], mask[80, 80]) == (1, 0)
    scribbles = np.zeros((SIZE, SIZE), np.uint8)
    scribbles[50, 20:40], scribbles[10, 20:40] = 3, 2
    answer = guided.post(
        f"/infer/sgdnet_clicks?image={NAME}&output=image", files={"label": ("scribbles.png", png(scribbles))}
    )
    mask = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert mask[50, 20:40].all()
    assert not mask[10, 20:40].any()


def test_fine_tuning_keeps_the_guidance(guided: TestClient, phantoms: Path):
    from test_training import wait

    for i in range(3):
        name = f"phantom_{i:03}.png"
        put_label(guided, name, np.asarray(Image.open(phantoms / "masks" / name)) // 255)
    assert guided.post("/api/training", json={"epochs": 1}).status_code == 202
    told = wait(guided)
    assert told["state"] == "done", told
    assert guided.get("/api/session").json()["interactive"] is True
