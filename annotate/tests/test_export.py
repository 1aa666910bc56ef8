from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from support import SIZE, put_label, square
from toy_weights import write_weights

from custom_networks.data import checked_datalist, label_kind
from custom_networks.data.labels import class_count
from custom_networks.data.splitting import load_datalist

NAMES = [f"phantom_{i:03}.png" for i in range(6)]


def exported(client, kind: str, folder: Path) -> Path:
    answer = client.get("/api/export", params={"format": kind})
    assert answer.status_code == 200, answer.text
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(folder)
    return folder


def test_datalist_goes_into_training_as_it_is(client, studies, tmp_path):
    for i, name in enumerate(NAMES):
        put_label(client, name, square(5, 20))
        put_label(client, name, square(5, 40 + i), base=1, by="bob")
    folder = exported(client, "datalist", tmp_path)
    lists = checked_datalist(folder, folder / "datalist.json", fold=0)
    assert sorted(map(len, lists.values())) == [2, 4]
    item = json.loads((folder / "datalist.json").read_text())["training"][0]
    assert (item["annotator"], item["version"]) == ("bob", 2)
    assert label_kind(None, folder / "datalist.json") == "mask"
    assert np.array_equal(np.asarray(Image.open(folder / item["label"])), square(5, 40))
    assert (folder / item["image"]).read_bytes() == (studies / "images" / NAMES[0]).read_bytes()
    assert not list((studies / "annotations" / "cache").glob("export-*"))


def test_datalist_of_several_classes(start, tmp_path):
    client = start(classes=("naevus", "ruler"))
    for name in NAMES:
        put_label(client, name, square() + square(70, 80, 2))
    folder = exported(client, "datalist", tmp_path)
    assert label_kind(None, folder / "datalist.json") == "classes"
    assert class_count(folder / "datalist.json") == 3
    assert len(load_datalist(folder, folder / "datalist.json")[0]) == 4


def test_coco(client, tmp_path):
    drawn = square(10, 30)
    drawn[15:20, 15:20] = 0  # a hole: run lengths
    put_label(client, NAMES[0], drawn)
    put_label(client, NAMES[1], square(50, 60) + square(70, 73))
    content = json.loads((exported(client, "coco", tmp_path) / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [f"images/{name}" for name in NAMES[:2]]
    assert content["categories"] == [{"id": 1, "name": "lesion"}]
    areas = [(each["image_id"], each["area"], each["bbox"]) for each in content["annotations"]]
    assert areas == [(1, 375, [10, 10, 20, 20]), (2, 100, [50, 50, 10, 10]), (2, 9, [70, 70, 3, 3])]
    counts = content["annotations"][0]["segmentation"]["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    assert np.array_equal(flat.reshape(SIZE, SIZE).T, drawn)


def test_dicom_seg_refers_to_its_picture(start, studies, tmp_path):
    client = start(classes=("naevus", "scar"))
    put_label(client, NAMES[0], square(10, 30) + square(50, 60, 2), model=0)
    folder = exported(client, "dicomseg", tmp_path)
    picture, segmentation = (dcmread(folder / f"phantom_000{end}.dcm") for end in ("", ".seg"))
    shown = np.frombuffer(picture.PixelData, np.uint8).reshape(SIZE, SIZE, 3)
    assert np.array_equal(shown, np.asarray(Image.open(studies / "images" / NAMES[0]).convert("RGB")))
    assert segmentation.Modality == "SEG"
    instance = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert instance.ReferencedSOPInstanceUID == picture.SOPInstanceUID
    assert [one.SegmentLabel for one in segmentation.SegmentSequence] == ["naevus", "scar"]
    assert segmentation.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    bits = np.unpackbits(np.frombuffer(segmentation.PixelData, np.uint8), bitorder="little")
    frames = bits[: 2 * SIZE * SIZE].reshape(2, SIZE, SIZE)
    assert np.array_equal(frames[0], square(10, 30))
    assert np.array_equal(frames[1], square(50, 60))


def test_segments_are_coded_as_the_weights_say(start, tmp_path):
    """By number and name; a class that the weights do not know by that name is a lesion."""
    category = ["49755003", "SCT", "Morphologically Abnormal Structure"]
    mitosis = {"category": category, "type": ["75320002", "SCT", "Mitosis"]}
    weights = write_weights(tmp_path / "model.pt", {"out_channels": 3}, classes={"1": "nucleus", "2": "mitosis"})
    beside = weights.with_suffix(".json")
    told = {**json.loads(beside.read_text()), "label_kind": "instances", "segments": {"2": mitosis}}
    beside.write_text(json.dumps(told))
    for classes, expected in (
        ((), ["84640000", "75320002"]),
        (("nucleus", "scar"), ["84640000", "52988006"]),
    ):
        client = start(checkpoint=weights, classes=classes)
        put_label(client, NAMES[0], square(10, 30) + square(50, 60, 2))  # refused the second time: it is there
        folder = exported(client, "dicomseg", tmp_path / str(len(classes)))
        segments = dcmread(folder / "phantom_000.seg.dcm").SegmentSequence
        assert [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in segments] == expected


@pytest.mark.parametrize("kind", ["datalist", "coco", "dicomseg"])
def test_a_file_older_than_zip_knows(client, studies, tmp_path, kind):
    put_label(client, NAMES[0], square())
    os.utime(studies / "images" / NAMES[0], (0, 0))
    assert list(exported(client, kind, tmp_path).rglob("phantom_000*"))
    assert client.get("/datastore/dataset").status_code == 200


def test_nothing_to_export(client):
    assert client.get("/api/export").status_code == 404
    assert client.get("/api/export", params={"format": "pdf"}).status_code == 422


@pytest.mark.parametrize("twin", ["phantom_000.jpg"])
def test_images_of_one_stem_keep_their_own_labels(client, studies, tmp_path, twin):
    Image.new("RGB", (50, 40)).save(studies / "images" / twin)
    put_label(client, NAMES[0], square())
    assert put_label(client, twin, np.ones((40, 50), np.uint8)).status_code == 201
    folder = exported(client, "datalist", tmp_path)
    items = json.loads((folder / "datalist.json").read_text())["training"]
    assert {item["label"] for item in items} == {"labels/phantom_000.png.png", "labels/phantom_000.jpg.png"}
    for item in items:
        assert Image.open(folder / item["label"]).size == Image.open(folder / item["image"]).size
