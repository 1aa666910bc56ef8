from __future__ import annotations

import errno
import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import BUNDLE, SIZE, Start, put_label

from annotate.models import Models
from annotate.predicting import disagreement
from annotate.training import judge
from custom_networks.errors import UserError
from custom_networks.files import write_json
from custom_networks.metrics.overlap import confusion, dice
from custom_networks.prediction.predictor import SGDNetPredictor

NAMES = [f"phantom_{i:03}.png" for i in range(8)]


def wait(client, seconds: float = 240) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told = client.get("/api/training").json()
        if told["state"] not in ("idle", "running"):
            return dict(told)
        time.sleep(0.2)
    raise AssertionError(told)


def submit_truth(client, phantoms, count: int) -> list[np.ndarray]:
    truths = [np.asarray(Image.open(phantoms / "masks" / name)) // 255 for name in NAMES[:count]]
    for name, truth in zip(NAMES, truths, strict=False):
        assert put_label(client, name, truth.astype(np.uint8)).status_code == 201
    return truths


def test_fine_tuning_is_published_only_if_not_worse_and_can_be_rolled_back(start: Start, weights, phantoms, studies):
    client = start(weights)
    truths = submit_truth(client, phantoms, 6)
    assert client.post("/api/training", json={"epochs": 1}).status_code == 202
    busy = client.post("/api/training", json={"epochs": 1})
    assert (busy.status_code, "runs already" in busy.json()["error"]) == (409, True)
    told = wait(client)
    assert told["state"] == "done", told
    assert (told["epoch"], len(told["curve"]), told["before"]["images"]) == (1, 1, 2)
    assert told["curve"][0]["loss"] > 0
    predictor = SGDNetPredictor.from_bundle(BUNDLE, weights)
    figures = [dice(confusion(predictor(studies / "images" / NAMES[i]).mask, truths[i] > 0)) for i in (1, 4)]
    assert told["before"]["dice"] == round(float(np.mean(figures)), 4)
    assert told["published"] == (told["after"]["dice"] >= told["before"]["dice"])
    models = client.get("/api/models").json()
    assert [model["version"] for model in models] == [0, 1]
    assert [model["active"] for model in models] == [not told["published"], told["published"]]
    assert models[1]["trained_on"] == 4
    assert not list((studies / "annotations" / "training").rglob("*.pt"))
    if told["published"]:
        assert client.post("/api/models/0/activate").status_code == 200
        assert client.get("/api/session").json()["model"]["version"] == 0
        assert start(weights).get("/api/session").json()["model"]["version"] == 0
    else:
        assert client.post("/api/models/1/activate").status_code == 409
    assert client.post("/api/models/7/activate").status_code == 404


@pytest.mark.parametrize("full", ["state.json", "spec.json", "log.txt"])
def test_a_full_disk_stops_no_later_fine_tuning(start: Start, weights, phantoms, studies, monkeypatch, full):
    """Full where the run begins, or where it ends."""
    client = start(weights)
    submit_truth(client, phantoms, 3)

    def write(path: Path, content: Any) -> None:
        if path.name == full:
            raise UserError(f"{path}: cannot be written (No space left on device)")
        write_json(path, content)

    def launch(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        if full == "log.txt":
            raise OSError(errno.ENOSPC, "No space left on device")
        return subprocess.Popen(["false"], stdin=subprocess.PIPE)

    monkeypatch.setattr("annotate.training.write_json", write)
    shown = SimpleNamespace(Popen=launch, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    monkeypatch.setattr("annotate.training.subprocess", shown)
    for _ in range(2):
        answer = client.post("/api/training", json={"epochs": 1})
        assert "runs already" not in answer.text
        if full == "state.json":
            told = wait(client, 20)
            assert (told["state"], "could not be written; free some space" in told["message"]) == ("error", True)
        else:
            assert (answer.status_code, "No space left" in answer.json()["error"]) == (422, True)
            assert client.get("/api/training").json()["state"] == "idle"
            assert not list((studies / "annotations" / "training").iterdir())


def test_cancelled_training_publishes_nothing(start: Start, weights, phantoms):
    client = start(weights)
    submit_truth(client, phantoms, 4)
    client.post("/api/training", json={"epochs": 100})
    assert client.get("/train/").json()["status"] == "RUNNING"
    told = client.delete("/api/training").json()
    assert (told["state"], told["published"]) == ("cancelled", False)
    assert [model["version"] for model in client.get("/api/models").json()] == [0]
    assert client.delete("/api/training").status_code == 409
    assert client.get("/train/").json()["status"] == "STOPPED"


@pytest.mark.parametrize(
    ("before", "after", "better", "images", "published", "words"),
    [
        (0.8, 0.9, 3, 4, True, "not worse, but fewer than 5 images are too few to tell an improvement"),
        (0.8, 0.8, 0, 1, True, "on 1 held-out image, 0.8000 before, 0 of 1 better: not worse, but fewer than 5"),
        (0.8, 0.7, 0, 4, False, "worse, but fewer than 5"),
        (0.8, 0.9, 4, 5, True, "Dice 0.9000 on 5 held-out images, 0.8000 before, 4 of 5 better: better"),
        (0.8, 0.8, 0, 5, True, ": the same"),
        (0.8, 0.7, 1, 5, False, ": worse"),
        (None, 0.1, 0, 1, True, "Dice 0.1000 on 1 held-out image"),
    ],
)
def test_few_held_out_images_claim_no_improvement(before, after, better, images, published, words):
    found, sentence = judge(before, after, better, images)
    assert found is published
    assert words in sentence
    assert images >= 5 or not sentence.endswith("better")


def test_held_out_images_stay_held_out(start: Start, weights, phantoms, studies):
    client = start(weights)
    service = client.app.state.service
    submit_truth(client, phantoms, 2)
    assert service.trainer.split() == (NAMES[:1], NAMES[1:2])
    submit_truth_more = [put_label(client, name, np.zeros((SIZE, SIZE), np.uint8)) for name in NAMES[2:]]
    assert all(answer.status_code == 201 for answer in submit_truth_more)
    training, heldout = service.trainer.split()
    assert heldout == [NAMES[1], NAMES[4], NAMES[7]]
    assert training == [name for name in NAMES if name not in heldout]
    assert json.loads((studies / "annotations" / "heldout.json").read_text())[NAMES[1]] is True


def test_weights_of_other_classes_are_not_gone_on_from(start: Start, weights, phantoms):
    client = start(weights, classes=("lesion", "ink"))
    submit_truth(client, phantoms, 3)
    answer = client.post("/api/training", json={"epochs": 1})
    assert (answer.status_code, "1 class(es) apart, the labels have 2" in answer.json()["error"]) == (409, True)


def model_file(folder, content: str):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.pt"
    torch.save({content: torch.zeros(1)}, path)
    path.with_suffix(".json").write_text("{}")
    return path


def test_versions_of_weights(tmp_path):
    shipped = model_file(tmp_path / "shipped", "shipped")
    kept = shipped.read_bytes()
    models = Models(tmp_path / "models", shipped)
    new = model_file(tmp_path / "run", "better")
    about = {"published": True, "dice": 0.9, "before": 0.8, "trained_on": 4, "when": "now"}
    assert models.add(new, about).version == 1
    assert models.active().checkpoint.read_bytes() == new.read_bytes()
    worse = models.add(model_file(tmp_path / "run", "worse"), {**about, "published": False})
    assert (worse.version, worse.published, worse.checkpoint.exists()) == (2, False, False)
    assert models.active().version == 1
    assert models.activate(0).checkpoint == shipped
    again = Models(tmp_path / "models", shipped)
    assert again.active().version == 0
    (tmp_path / "models" / ".new-0003").mkdir()  # a server killed while it copied
    assert [model.version for model in Models(tmp_path / "models", shipped).all()] == [0, 1, 2]
    assert shipped.read_bytes() == kept


@pytest.mark.parametrize("published", [True, False])
def test_killed_after_the_weights_were_kept(start: Start, weights, studies, published):
    """The weights lie among the versions, but neither which are in use nor how the run ended was written any more."""
    run = studies / "annotations" / "training" / "0001"
    run.mkdir(parents=True)
    (run / "spec.json").write_text("{}")
    models = Models(studies / "annotations" / "models", weights)
    about = {"published": published, "dice": 0.9, "before": 0.8, "trained_on": 4, "when": "now", "run": "0001"}
    models.add(weights, about)
    (models.folder / "active.json").unlink(missing_ok=True)
    client = start(weights)
    told = client.get("/api/training").json()
    assert (told["state"], told["published"]) == ("done", published)
    assert told["message"].startswith("Dice 0.9000")
    assert client.get("/api/session").json()["model"]["version"] == int(published)


def test_uncertain_image_comes_first(start: Start, weights):
    client = start(weights, score=True)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        items = client.get("/api/images", params={"sort": "uncertainty"}).json()["items"]
        if all(item["uncertainty"] is not None for item in items):
            break
        time.sleep(0.3)
    scores = [item["uncertainty"] for item in items]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    chosen = client.post("/api/next", json={"strategy": "epistemic"}).json()
    assert (chosen["id"], "disagreement" in chosen["reason"]) == (items[0]["id"], True)
    assert client.post("/scoring/epistemic").json()[items[0]["id"]] == scores[0]
    assert client.post("/activelearning/epistemic").json()["id"] == items[0]["id"]


def test_disagreement_by_hand():
    probability, spread = np.zeros((10, 10)), np.zeros((10, 10))
    assert disagreement(probability, spread) == 0
    probability[:2] = 1
    spread[0, :5] = 0.4
    assert np.isclose(disagreement(probability, spread), 2 / 20)
