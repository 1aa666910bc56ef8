"""Objects of a whole run: instances added later, numbers over a volume, scores and codes."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_dicom
from export_fixtures import BUNDLE
from networks import toy_network
from PIL import Image
from prediction_fixtures import disc, drawn
from pydicom import dcmread

from custom_networks.data import segment_codes
from custom_networks.prediction.outputs import image_output
from custom_networks.prediction.outputs.coco import coco_rows
from custom_networks.prediction.result import PredictedCase, Volume
from custom_networks.weights import About, segments
from custom_networks.weights.reading import record_of

Predict = Callable[..., tuple[int, str, str]]
TABLES = ("geojson", "coco", "measurements")


@pytest.fixture
def images(tmp_path: Path, pictures: Path) -> Path:
    shutil.copytree(pictures, tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def predict(sgdnet: Callable[..., tuple[int, str, str]], images: Path, checkpoint: Path) -> Predict:
    def run(output: Path, outputs: str, *words: object, images: Path = images, weights: Path = checkpoint):
        given = ("--checkpoint", weights, "--bundle_root", BUNDLE, "--device", "cpu", "--outputs", outputs)
        return sgdnet("predict", images, "--output", output, *given, *words)

    return run


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".jsonl"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def watershed(tmp_path: Path) -> Path:
    """Parameters that drop some of the regions."""
    parameters = {"min_area": 4700}
    tuning = {"version": 1, "parameters": parameters, "split": "validation", "tried": []}
    (tmp_path / "watershed.json").write_text(json.dumps(tuning))
    return tmp_path / "watershed.json"


def test_instances_are_added_to_an_earlier_run(predict: Predict, watershed: Path, tmp_path: Path) -> None:
    words = ("--watershed", watershed)
    together, later = tmp_path / "together", tmp_path / "later"
    assert predict(together, "probability,instances,geojson,coco,measurements", *words)[0] == 0
    assert predict(later, "probability,geojson,coco,measurements")[0] == 0
    regions = files(later)
    code, out, _ = predict(later, "instances,coco,measurements", *words)
    assert code == 0
    assert "4 predicted" in out
    assert files(later) == files(together)
    assert files(later)["measurements.csv"] != regions["measurements.csv"]
    code, out, _ = predict(later, "measurements,coco,geojson", *words)
    assert (code, "0 predicted, 4 done before" in out) == (0, True)
    assert files(later) == files(together), "a folder with instances keeps them"


def test_further_images_of_a_folder_with_instances_get_them(predict: Predict, images: Path, tmp_path: Path) -> None:
    last = sorted(images.iterdir())[-1]
    last.rename(tmp_path / last.name)
    predict(tmp_path / "out", "instances,measurements")
    (tmp_path / last.name).rename(last)
    assert predict(tmp_path / "out", "measurements")[0] == 0
    predict(tmp_path / "whole", "instances,measurements")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_tables_of_regions_and_instances_are_not_mixed(predict: Predict, images: Path, tmp_path: Path) -> None:
    predict(tmp_path / "out", "measurements")
    before = files(tmp_path / "out")
    sorted(images.iterdir())[0].unlink()
    code, _, err = predict(tmp_path / "out", "instances,measurements")
    assert code == 1
    assert "was measured without instances" in err
    assert files(tmp_path / "out") == before


def test_other_instances_are_refused(predict: Predict, watershed: Path, tmp_path: Path) -> None:
    predict(tmp_path / "out", "instances")
    before = files(tmp_path / "out")
    code, _, err = predict(tmp_path / "out", "instances", "--watershed", watershed)
    assert code == 1
    assert "was predicted with instances" in err
    assert files(tmp_path / "out") == before
    assert predict(tmp_path / "out", "instances", "--watershed", watershed, "--overwrite", "true")[0] == 0
    assert files(tmp_path / "out") != before


def test_numbers_go_on_from_slice_to_slice(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((40, 50, 4), np.uint8), np.eye(4)), path)
    two = disc((50, 40), (10, 10), 5) | disc((50, 40), (35, 20), 5)
    masks = [two, np.zeros_like(two), disc((50, 40), (25, 20), 9), two]
    slices: list[PredictedCase] = []
    for mask in masks:
        slices.append(PredictedCase(path, "v", drawn(mask), above=slices[-1] if slices else None))
    volume = Volume(path, "v", slices, 2)
    assert [[found.number for found in one.objects] for one in slices] == [[1, 2], [], [3], [4, 5]]
    output = image_output("instances")
    assert output is not None
    written = tmp_path / "instances.nii.gz"
    written.write_bytes(output.encode_volume(volume))
    stored = np.asarray(nib.load(written).dataobj)
    assert stored.shape == (40, 50, 4)
    assert [np.unique(stored[..., i]).tolist() for i in range(4)] == [[0, 1, 2], [0], [0, 3], [0, 4, 5]]
    for one in slices:
        for found in one.objects:
            assert (one.labels == found.number).sum() == found.mask.sum()


def test_scores_are_those_of_the_objects() -> None:
    left, right = disc((50, 60), (20, 15), 8), disc((50, 60), (25, 45), 6)
    prediction = drawn(left | right)
    prediction.probability[left], prediction.probability[right] = 0.75, 0.625
    prediction.probability[20, 15] = 1.0
    first, second = coco_rows(PredictedCase(Path("a.png"), "a", prediction))
    assert first["score"] == pytest.approx(0.75 + 0.25 / left.sum(), abs=1e-4)
    assert second["score"] == 0.625


NEUTROPHIL = {"category": ["4421005", "SCT", "Cell"], "type": ["30630007", "SCT", "Neutrophil"]}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, "52988006"),
        ({"label_kind": "classes"}, "52988006"),
        ({"label_kind": "instances"}, "84640000"),
        ({"label_kind": "instances", "segments": {"1": NEUTROPHIL}}, "30630007"),
    ],
)
def test_dicom_says_what_was_segmented(
    predict: Predict, checkpoint: Path, pictures: Path, tmp_path: Path, record: dict[str, Any], expected: str
) -> None:
    weights = tmp_path / "weights" / "model.pt"
    weights.parent.mkdir()
    shutil.copy(checkpoint, weights)
    content = json.loads(checkpoint.with_suffix(".json").read_text())
    weights.with_suffix(".json").write_text(json.dumps(content | record))
    assert record_of(weights).label_kind == record.get("label_kind")
    pixels = np.asarray(Image.open(sorted(pictures.iterdir())[0]).convert("RGB"))
    write_dicom(tmp_path / "dicom" / "scan.dcm", pixels, "RGB")
    assert predict(tmp_path / "out", "mask", images=tmp_path / "dicom", weights=weights)[0] == 0
    (segment,) = dcmread(tmp_path / "out" / "scan.dcm").SegmentSequence
    (kind,) = segment.SegmentedPropertyTypeCodeSequence
    assert kind.CodeValue == expected


def test_a_datalist_names_the_codes(tmp_path: Path) -> None:
    assert segment_codes(None) == {}
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"training": [], "classes": {"1": "neutrophil"}, "segments": {"1": NEUTROPHIL}}))
    assert segment_codes(path) == {"1": NEUTROPHIL}


def test_the_record_of_weights_keeps_them() -> None:
    record = About(label_kind="instances", segments={"1": NEUTROPHIL}).record(toy_network(), {}, {})
    assert record.label_kind == "instances"
    assert record.as_dict()["segments"] == {"1": NEUTROPHIL}
    assert segments.codes_of_classes((1, 2), record.label_kind, record.segments)[2] == segments.NUCLEUS_CODE


def test_measurements_of_a_volume_name_each_object_once(predict: Predict, pictures: Path, tmp_path: Path) -> None:
    planes = [np.asarray(Image.open(path).convert("L")).T for path in sorted(pictures.iterdir())]
    (tmp_path / "volumes").mkdir()
    nib.save(nib.Nifti1Image(np.stack(planes, axis=2), np.eye(4)), tmp_path / "volumes" / "v.nii.gz")
    assert predict(tmp_path / "out", "instances,measurements", images=tmp_path / "volumes")[0] == 0
    with (tmp_path / "out" / "measurements.csv").open(newline="") as file:
        numbers = [int(row["object"]) for row in csv.DictReader(file)]
    assert len(numbers) >= 4
    assert numbers == list(range(1, len(numbers) + 1))
    stored = np.asarray(nib.load(tmp_path / "out" / "v_instances.nii.gz").dataobj)
    assert np.unique(stored).tolist() == [0, *numbers]
