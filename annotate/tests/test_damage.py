"""Records, weights and images that are damaged: they are told, and neither stop the rest nor are written over."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from support import Running, Start, png, put_label, square

from annotate.models import Models

FIRST, SECOND = "phantom_000.png", "phantom_001.png"


def versions(client: TestClient) -> list[int]:
    return [each["version"] for each in client.get(f"/api/images/{FIRST}/versions").json()]


@pytest.mark.parametrize("damaged", [b"", b'{"version": 2}', b'{"version": 2, "by": 1, "when": []}', b"[" * 100_000])
def test_a_version_whose_record_is_damaged_is_never_written_over(start: Start, studies: Path, damaged: bytes) -> None:
    client = start()
    put_label(client, FIRST, square())
    put_label(client, FIRST, square(1, 9), base=1)
    folder = studies / "annotations" / "labels" / FIRST
    (folder / "0002.json").write_bytes(damaged)
    (folder / "state.json").write_bytes(b'{"st')
    (folder / "0007 (copy).json").write_text((folder / "0001.json").read_text())
    client = start()
    assert versions(client) == [1]
    assert client.app.state.service.labels.damaged == [folder / "0002.json", folder / "state.json"]
    assert put_label(client, FIRST, square(5, 50), base=1).json()["version"] == 3
    assert client.post(f"/api/images/{FIRST}/restore", json={"version": 1}).json()["version"] == 4
    assert (folder / "0002.png").read_bytes() == png(square(1, 9))
    assert (folder / "0002.json").read_bytes() == damaged
    assert versions(start()) == [1, 3, 4]


def test_damaged_records_and_weights_are_told_at_the_start(studies: Path, weights: Path) -> None:
    models = Models(studies / "annotations" / "models", weights)
    about = {"published": True, "dice": 0.9, "before": 0.8, "trained_on": 4, "when": "now"}
    models.add(weights, about)
    server = Running(studies, "--checkpoint", str(weights), "--score", "false")
    server.stop()
    said = "".join(server.said)
    assert f"model 1 was in use and stays so, not --checkpoint {weights}" in said
    assert "damaged or missing" not in said
    (models.folder / "0001" / "model.pt").write_bytes(b"no weights")
    record = studies / "annotations" / "labels" / FIRST / "0001.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"version": 1}')
    server = Running(studies, "--checkpoint", str(weights), "--score", "false")
    server.stop()
    said = "".join(server.said)
    assert f"1 files in {studies / 'annotations'} are damaged or missing, {record} for one" in said
    assert f"model 1 was in use, but its weights are damaged or missing; now weights {weights}" in said


def test_the_next_weights_take_a_number_that_nothing_has(start: Start, studies: Path, weights: Path) -> None:
    models = Models(studies / "annotations" / "models", weights)
    about = {"published": True, "dice": 0.9, "before": 0.8, "trained_on": 4, "when": "now"}
    models.add(weights, about)
    (models.folder / "0001" / "about.json").write_bytes(b"")
    shutil.copytree(models.folder / "0001", models.folder / "0001 (copy)")
    assert models.damaged() == [models.folder / "0001" / "about.json"]
    assert models.active().version == 0
    assert models.add(weights, about).version == 2
    training = studies / "annotations" / "training"
    for name in ("0003", "0003 (copy)"):
        (training / name).mkdir(parents=True)
        (training / name / "spec.json").write_text(json.dumps({"epochs": int(name[:4])}))
    client = start(weights)
    assert client.get("/api/training").json()["epochs"] == 3
    assert client.app.state.service.trainer._new_run().name == "0004"
    (models.folder / "0002" / "model.pt").write_bytes(b"no weights")
    refused = client.post("/api/models/2/activate")
    assert (refused.status_code, "its weights are damaged" in refused.json()["error"]) == (409, True)


@pytest.mark.parametrize("field", ["comment", "model"])
def test_half_a_character_is_refused(client: TestClient, field: str) -> None:
    refused = put_label(client, FIRST, square(), **{field: "x\ud83d"})
    assert (refused.status_code, "about: holds half a surrogate pair" in refused.json()["error"]) == (422, True)
    assert client.get("/api/images").status_code == 200


def test_half_a_character_of_another_client_or_of_an_old_record_hides_nothing(start: Start, studies: Path) -> None:
    client = start()
    said = {"params": json.dumps({"client_id": "Ada\n\ud83d Lovelace"})}
    sent = client.put(f"/datastore/label?image={FIRST}", files={"label": ("a.png", png(square()))}, data=said)
    assert sent.status_code == 422
    said = {"params": json.dumps({"client_id": "Ada\n Lovelace"})}
    sent = client.put(f"/datastore/label?image={FIRST}", files={"label": ("a.png", png(square()))}, data=said)
    assert sent.status_code == 200
    assert client.get(f"/api/images/{FIRST}").json()["by"] == "Ada Lovelace"
    record = studies / "annotations" / "labels" / FIRST / "0001.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "comment": "x\ud83d", "by": "\udce9va"}))
    listed = start().get("/api/images")
    assert listed.status_code == 200
    assert (listed.json()["items"][0]["comment"], listed.json()["items"][0]["by"]) == ("x?", "?va")


def test_names_that_no_address_can_hold_are_told_and_left_out(studies: Path) -> None:
    folder = studies / "images"
    for name in (b"caf\xe9.png", b"line\nbreak.png", b"caf\xe9.dcm"):
        (folder / os.fsdecode(name)).write_bytes((folder / FIRST).read_bytes())
    server = Running(studies, "--score", "false")
    try:
        assert r"2 images are not shown, 'caf\udce9.png' for one: their names are not UTF-8" in "".join(server.said)
        listed = httpx.get(f"{server.address}/api/images").json()
        assert (listed["total"], len(listed["items"])) == (8, 8)
    finally:
        server.stop()


def test_images_that_cannot_be_read_are_not_chosen(start: Start, studies: Path) -> None:
    folder = studies / "images"
    whole = (folder / FIRST).read_bytes()
    (folder / "a0.png").write_bytes(b"")
    (folder / "a1.png").write_bytes(whole[: len(whole) // 2])
    client = start()
    for strategy in ("first", "epistemic", *["random"] * 30):
        chosen = client.post("/api/next", json={"strategy": strategy}).json()["id"]
        assert chosen not in ("a0.png", "a1.png"), strategy
    client.app.state.service.chooser.uncertainty = lambda: {"a1.png": 0.9, SECOND: 0.5, FIRST: 0.1}
    assert client.post("/api/next", json={"strategy": "epistemic"}).json()["id"] == SECOND
    assert client.post("/api/next", json={"strategy": "first", "after": "phantom_007.png"}).json()["id"] == FIRST
    (folder / "a0.png").write_bytes(whole)
    assert client.post("/api/next", json={"strategy": "first"}).json()["id"] == "a0.png"
    for path in sorted(folder.glob("*.png")):
        path.write_bytes(b"")
    none = client.post("/api/next", json={"strategy": "first"})
    assert (none.status_code, "cannot be read" in none.json()["error"]) == (404, True)


def test_labelled_images_that_were_replaced_are_left_out_and_named(start: Start, studies: Path, weights: Path) -> None:
    client = start(weights)
    names = [f"phantom_00{i}.png" for i in range(5)]
    for name in names:
        put_label(client, name, square())
    (studies / "images" / FIRST).write_bytes(png(square(size=64)))
    (studies / "images" / SECOND).write_bytes(b"")
    assert client.app.state.service.trainer.split() == ([names[2], names[4]], [names[3]])
    for kind, entry in (("datalist", "labels/"), ("coco", "images/"), ("dicomseg", "")):
        answer = client.get("/api/export", params={"format": kind})
        assert answer.status_code == 200, answer.text
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        assert {name.split(".")[0] for name in archive.namelist() if "phantom" in name} >= {f"{entry}phantom_002"}
        assert not [name for name in archive.namelist() if "phantom_000" in name or "phantom_001" in name]
        first, second = archive.read("left_out.txt").decode().splitlines()
        assert (first, SECOND in second) == (f"{FIRST}: 64 x 64 pixels, its label 96 x 96; label it again", True)
    told = client.post("/api/training", json={"epochs": 1}).json()
    assert told["message"].endswith(f"left out, because image and label do not fit: {FIRST}, {SECOND}")
    client.delete("/api/training")
    for name in names[2:4]:
        (studies / "images" / name).write_bytes(b"")
    refused = client.post("/api/training", json={"epochs": 1})
    assert (refused.status_code, "and 1 more" in refused.json()["error"]) == (409, True)


def test_an_image_with_a_name_as_long_as_a_file_may_have(start: Start, studies: Path) -> None:
    long = "x" * 236 + ".png"
    shutil.copy(studies / "images" / FIRST, studies / "images" / long)
    client = start()
    for _ in range(2):  # drawn, then from the cache
        assert client.get(f"/api/images/{long}/thumbnail").status_code == 200
