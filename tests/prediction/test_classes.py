"""Weights of several classes: what is predicted, written and exported of them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from dicoms import write_dicom
from export_fixtures import BUNDLE
from monai.bundle import ConfigWorkflow, verify_net_in_out
from numpy.typing import NDArray
from PIL import Image
from prediction_fixtures import disc, drawn
from pydicom import dcmread

from custom_networks.configuration.inference import load_source
from custom_networks.data import class_names
from custom_networks.data.formats import read
from custom_networks.export import FORMATS, export_model, write_archive
from custom_networks.metrics import WatershedParameters
from custom_networks.prediction import Prediction, SGDNetPredictor
from custom_networks.prediction.outputs import IMAGE_OUTPUTS, chosen_outputs
from custom_networks.prediction.result import PredictedCase
from custom_networks.weights import trained_classes

NAMES = {1: "round", 2: "long"}
EXAMPLES = BUNDLE.parent / "examples"


@pytest.fixture(scope="module")
def predictor(two_classes: Path) -> SGDNetPredictor:
    return SGDNetPredictor.from_bundle(BUNDLE, two_classes, device="cpu")


@pytest.fixture(scope="module")
def picture(pictures: Path) -> Path:
    return sorted(pictures.iterdir())[0]


def test_maps_follow_from_the_networks_logits(predictor: SGDNetPredictor, two_classes: Path, picture: Path) -> None:
    source = load_source(BUNDLE, two_classes, None)
    with torch.no_grad():
        logits = source.network(torch.from_numpy(source.prepare(picture))[None])[0]
    expected = torch.softmax(logits, 0).transpose(1, 2).numpy()
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    result = predictor(picture)
    assert result.mask.shape == pixels.shape[:2]
    small = np.asarray(Image.fromarray(result.probability).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.abs(small - (1 - expected[0])).mean() < 0.01
    total = sum(result.class_probability.values())
    np.testing.assert_allclose(total, result.probability, atol=1e-5)
    classes = result.classes
    assert classes is not None
    np.testing.assert_array_equal(classes > 0, result.mask)
    assert set(np.unique(classes)) == {0, 1, 2}
    ones = result.class_probability[1] >= result.class_probability[2]
    np.testing.assert_array_equal(classes[result.mask], np.where(ones, 1, 2)[result.mask])


def test_the_verb_writes_classes_everywhere(
    sgdnet: Callable[..., tuple[int, str, str]], two_classes: Path, picture: Path, tmp_path: Path
) -> None:
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((50, 70)))
    folder = tmp_path / "in"
    write_dicom(folder / "scan.dcm", pixels, "RGB", PixelSpacing=[0.1, 0.1])
    nib.save(nib.Nifti1Image(np.stack([pixels[..., 0].T] * 2, -1), np.eye(4)), folder / "volume.nii.gz")
    Image.fromarray(pixels).save(folder / "photo.png")
    out = tmp_path / "out"
    words = ("predict", folder, "--output", out, "--checkpoint", two_classes, "--device", "cpu")
    outputs = "probability,overlay,geojson,coco,measurements"
    code, _, err = sgdnet(*words, "--bundle_root", BUNDLE, "--outputs", outputs)
    assert (code, err) == (0, "")
    mask = np.asarray(Image.open(out / "photo.png"))
    assert set(np.unique(mask)) == {0, 1, 2}
    np.testing.assert_array_equal(np.asarray(read(out / "scan.dcm", "instances").image), mask)
    assert [one.SegmentLabel for one in dcmread(out / "scan.dcm").SegmentSequence] == ["round", "long"]
    volume = np.asarray(nib.load(out / "volume.nii.gz").dataobj)
    assert volume.shape == (50, 70, 2)
    assert set(np.unique(volume)) <= {0, 1, 2}
    assert volume.any()
    one, two = (np.asarray(Image.open(out / f"photo_probability_{n}.png")).astype(int) for n in NAMES)
    whole = np.asarray(Image.open(out / "photo_probability.png")).astype(int)
    assert np.abs(one + two - whole).max() <= 2
    assert nib.load(out / "volume_probability_2.nii.gz").shape == (50, 70, 2)
    coco = json.loads((out / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "round"}, {"id": 2, "name": "long"}]
    assert {one["category_id"] for one in coco["annotations"]} == {1, 2}
    features = json.loads((out / "photo.geojson").read_text())["features"]
    assert {one["properties"]["classification"]["name"] for one in features} == {"round", "long"}
    with (out / "measurements.csv").open(newline="") as file:
        objects = [one for one in csv.DictReader(file) if one["image"].endswith("photo.png")]
    assert {(one["class"], one["class_name"]) for one in objects} == {("1", "round"), ("2", "long")}
    with (out / "predictions.csv").open(newline="") as file:
        (row,) = (one for one in csv.DictReader(file) if one["image"].endswith("photo.png"))
    assert float(row["foreground_long"]) == pytest.approx((mask == 2).mean(), rel=1e-4)


def test_probabilities_of_classes_join_a_folder_with_instances(
    sgdnet: Callable[..., tuple[int, str, str]], two_classes: Path, picture: Path, tmp_path: Path
) -> None:
    words = ("predict", picture, "--output", tmp_path / "out", "--checkpoint", two_classes, "--device", "cpu")
    for outputs in ("instances", "probability"):
        code, _, err = sgdnet(*words, "--bundle_root", BUNDLE, "--outputs", outputs)
        assert code == 0, err
    endings = ("", "_instances", "_probability", "_probability_1", "_probability_2")
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {f"{picture.stem}{one}" for one in endings}


def of_classes(classes: NDArray[np.uint8]) -> PredictedCase:
    """A case of these classes."""
    plain = drawn(classes > 0)
    given = {**vars(plain), "classes": classes, "class_probability": {}}
    return PredictedCase(Path("a.png"), "a", Prediction(**given), names=NAMES)


def test_regions_of_two_classes_that_touch_are_two_objects() -> None:
    classes = np.zeros((20, 30), np.uint8)
    classes[5:15, 5:15], classes[5:15, 15:25] = 1, 2
    first, second = of_classes(classes).objects
    assert [(one.category, one.column, one.mask.sum()) for one in (first, second)] == [(1, 5, 100), (2, 15, 100)]


def test_an_instance_is_of_the_class_of_most_of_its_pixels() -> None:
    whole = disc((30, 30), (15, 15), 9)
    classes = np.where(whole, np.uint8(2), np.uint8(0))
    classes[:, :12][whole[:, :12]] = 1
    case = of_classes(classes)
    case.watershed = WatershedParameters()
    (found,) = case.objects
    assert found.category == 2


def test_the_overlay_has_a_colour_for_each_class() -> None:
    classes = np.zeros((60, 90), np.uint8)
    classes[5:55, 5:40], classes[5:55, 50:85] = 1, 2

    pixels = np.asarray(Image.open(io.BytesIO(IMAGE_OUTPUTS["overlay"].encode(of_classes(classes)))))
    assert np.abs(pixels[30, 5].astype(int) - (255, 140, 0)).max() < 40
    assert np.abs(pixels[30, 50].astype(int) - (86, 180, 233)).max() < 40


def test_probabilities_of_classes_follow_the_foregrounds() -> None:
    assert chosen_outputs("probability", "none", NAMES) == ("mask", "probability", "probability_1", "probability_2")
    assert chosen_outputs("mask", "none", NAMES) == ("mask",)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torchscript", "onnx"])
def test_export_and_examples(
    name: str, two_classes: Path, predictor: SGDNetPredictor, picture: Path, tmp_path: Path
) -> None:
    if name == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    result = export_model(BUNDLE, name, two_classes, tmp_path / FORMATS[name].name)
    output = result.metadata["output"]
    assert output["activation"] == "softmax"
    assert output["classes"] == {"0": "background", "1": "round", "2": "long"}
    words = [EXAMPLES / f"segment_{name}.py", result.files[0], picture, tmp_path / "mask.png"]
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)
    classes = predictor(picture).classes
    assert (np.asarray(Image.open(tmp_path / "mask.png")) == classes).mean() > 0.995


def test_names_come_from_the_record_or_from_the_weights(two_classes: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert trained_classes(two_classes) == NAMES
    assert trained_classes(checkpoint) == {}
    alone = tmp_path / "model.pt"
    alone.symlink_to(two_classes)
    assert trained_classes(alone) == {1: "1", 2: "2"}


def test_names_of_the_datalist(tmp_path: Path) -> None:
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"training": [], "classes": {"1": "round"}}))
    assert class_names(datalist, 3) == {"1": "round", "2": "2"}
    assert class_names(None, 3) == {"1": "1", "2": "2"}


def test_the_bundle_writes_the_same_classes(
    two_classes: Path, predictor: SGDNetPredictor, pictures: Path, tmp_path: Path
) -> None:
    run_inference(BUNDLE, pictures, tmp_path / "masks", checkpoint=str(two_classes))
    found = set()
    for path in sorted(pictures.iterdir()):
        written = np.asarray(Image.open(tmp_path / "masks" / f"{path.stem}.png"))
        assert (written == predictor(path).classes).mean() > 0.995  # folded weights round differently
        found |= set(np.unique(written))
    assert found == {0, 1, 2}


def test_the_archive_tells_the_classes_and_predicts_them(two_classes: Path, picture: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(write_archive(BUNDLE, tmp_path / "a.zip", two_classes)) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "a.zip").unlink()
    (bundle,) = tmp_path.iterdir()
    output = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    assert output["num_channels"] == 3
    assert output["channel_def"] == {"0": "background", "1": "round", "2": "long"}
    assert trained_classes(bundle / "models" / "model.pt") == NAMES
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
        bundle_root=str(bundle),
    )
    run_inference(bundle, picture.parent, tmp_path / "masks")
    assert set(np.unique(np.asarray(Image.open(tmp_path / "masks" / f"{picture.stem}.png")))) <= {0, 1, 2}
    shutil.rmtree(bundle)


def run_inference(bundle: Path, pictures: Path, masks: Path, **knobs: str) -> None:
    """Run `inference.json` of a bundle as MONAI does."""
    files = [str(bundle / "configs" / name) for name in ("inference.json", "metadata.json", "logging.conf")]
    knobs |= {"bundle_root": str(bundle), "dataset_dir": str(pictures), "output_dir": str(masks), "device": "cpu"}
    workflow = ConfigWorkflow(*files, workflow_type="infer", **knobs)
    workflow.initialize()
    workflow.run()
