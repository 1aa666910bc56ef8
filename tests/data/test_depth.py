"""The bit depth of a set: decided once, recorded, and the same pixels in training, evaluation and prediction."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import BUNDLE
from dicoms import write_dicom
from networks import toy_network
from PIL import Image
from pipelines import training_config

from custom_networks.configuration.inference import load_source
from custom_networks.data import checked_datalist
from custom_networks.data.depth import checked_depth, decided_depth
from custom_networks.data.images import to_eight_bits
from custom_networks.errors import UserError
from custom_networks.evaluation import evaluation_set
from custom_networks.prediction import SGDNetPredictor, reading
from custom_networks.weights.record import parse_record

Run = Callable[..., tuple[int, str, str]]
SIDE = 64


def write_set(folder: Path, bits: int, count: int = 6) -> Path:
    """Grey images of so many bits in 16-bit PNG, the last alone reaching white, with masks."""
    generator = np.random.default_rng(bits)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        largest = 2**bits - 1 if number == count - 1 else (2**bits - 1) // (number + 2)
        values = generator.integers(0, largest + 1, (SIDE, SIDE)).astype(np.uint16)
        values[0, 0] = largest
        Image.fromarray(values).save(folder / "images" / f"{number}.png")
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[9:40, 9 : 20 + number] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def levels(path: Path, bits: int) -> np.ndarray:
    """Grey levels by the definition, in exact arithmetic."""
    values = np.asarray(Image.open(path)).astype(int)
    white = 2**bits - 1
    return ((values * 510 + white) // (2 * white)).astype(np.uint8)


def dim_image(folder: Path) -> Path:
    """An image that would need fewer bits than its set."""
    return folder / "images" / "3.png"


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_training_evaluation_and_prediction_see_the_same_pixels(tmp_path: Path, bits: int) -> None:
    folder = write_set(tmp_path / "set", bits)
    config = training_config(dataset_dir=str(folder), image_size=SIDE, tracking_uri="")
    config["image_depth"] = "$getattr(@train#dataset#data, 'bit_depth', @bit_depth)"
    for part in ("train", "validate"):
        dataset = config.get_parsed_content(f"{part}#dataset")
        for item in dataset.kept if hasattr(dataset, "kept") else dataset:
            path = Path(item["image"].meta["filename_or_obj"])
            np.testing.assert_array_equal(item["image"][0].numpy().T, levels(path, bits))
    assert config.get_parsed_content("pairs")["training"].bit_depth == bits

    checkpoint = tmp_path / "model.pt"
    network = toy_network()
    torch.save(network.state_dict(), checkpoint)
    record(checkpoint, network, bits)
    predictor = SGDNetPredictor.from_bundle(BUNDLE, checkpoint, device="cpu")
    dim = dim_image(folder)
    picture = reading.read_file(dim, predictor.options.bit_depth)
    np.testing.assert_array_equal(picture.pixels[..., 0], levels(dim, bits))
    source = load_source(BUNDLE, checkpoint, None)
    mean, std = source.normalization.mean[0], source.normalization.std[0]
    np.testing.assert_allclose(source.prepare(dim)[0].T, (levels(dim, bits).astype(float) - mean) / std, atol=1e-5)
    assert evaluation_set(folder, None, checkpoint, "all", bit_depth=bits).bit_depth == bits


def record(checkpoint: Path, network: torch.nn.Module, bits: int | None) -> None:
    from custom_networks.weights import About
    from custom_networks.weights.normalization import ISIC

    content = About(ISIC, bit_depth=bits).record(network, {"image_size": SIDE}, {}).as_dict()
    assert content["bit_depth"] == bits
    checkpoint.with_suffix(".json").write_text(json.dumps(content))


def test_training_records_the_depth_and_says_it_once(sgdnet: Run, tmp_path: Path) -> None:
    from networks import TOY_WORDS

    folder = write_set(tmp_path / "set", 12)
    words = "--dataset_dir", folder, "--image_size", SIDE, "--batch_size", 4, "--num_workers", 0, "--max_epochs", 1
    code, out, err = sgdnet(
        *("train", *words, *TOY_WORDS, "--output_dir", tmp_path / "run", "--tracking_uri", ""),
        *("--model_path", tmp_path / "model.pt", "--cache", "none"),
    )
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "model.json").read_text())["bit_depth"] == 12
    assert (out + err).count("read as 12-bit: 4095 is white") == 1
    masks = tmp_path / "masks"
    code, _, err = sgdnet(
        *("predict", folder, "--output", masks, "--checkpoint", tmp_path / "model.pt", "--device", "cpu"),
    )
    assert (code, err) == (0, "")
    bright = np.full((SIDE, SIDE), 5000, np.uint16)
    Image.fromarray(bright).save(tmp_path / "bright.png")
    code, _, err = sgdnet(
        *("predict", tmp_path / "bright.png", "--output", masks, "--checkpoint", tmp_path / "model.pt"),
    )
    assert code == 2
    assert "bright.png: values up to 5000, but the white of 12-bit images is 4095; give --bit_depth 14" in err


@pytest.mark.parametrize("image_size", [0, 32])
def test_preparation_records_the_depth_and_keeps_every_bit(sgdnet: Run, tmp_path: Path, image_size: int) -> None:
    folder = write_set(tmp_path / "set", 12)
    out = tmp_path / "out"
    code, _, err = sgdnet("prepare", "folder", folder, "--output", out, "--image_size", image_size, "--folds", 2)
    assert code == 0, err
    content = json.loads((out / "datalist.json").read_text())
    assert content["bit_depth"] == 12
    if image_size:
        copy = np.asarray(Image.open(out / "images" / "5.png")).astype(float)
        whole = np.asarray(Image.open(folder / "images" / "5.png")).astype(float)
        assert copy.shape == (32, 32)
        assert copy.max() > 1000
        # a pixel of the copy is a triangle-weighted mean of 4 x 4 pixels
        weights = np.array([1, 3, 3, 1]) / 8
        rows = sum(weight * whole[1 + step : 61 + step : 2] for step, weight in enumerate(weights))
        means = sum(weight * rows[:, 1 + step : 61 + step : 2] for step, weight in enumerate(weights))
        np.testing.assert_allclose(copy[1:-1, 1:-1], means, atol=0.51)
    assert checked_datalist(tmp_path, out / "datalist.json")["training"].bit_depth == 12
    assert checked_datalist(tmp_path, out / "datalist.json", bit_depth=16)["training"].bit_depth == 16


def test_a_declared_depth_that_images_exceed_is_an_error(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", 12)
    with pytest.raises(UserError, match=r"\.png: values up to \d+, but the white of 10-bit images is 1023; give --bit"):
        checked_datalist(folder, bit_depth=10)


def test_dicom_and_png_of_the_same_values_are_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    write_dicom(tmp_path / "a.dcm", values, BitsStored=12, HighBit=11)
    write_dicom(tmp_path / "b.dcm", values)  # declares 16 bits
    shown = [reading.read_file(tmp_path / name, 12).pixels for name in ("a.png", "a.dcm", "b.dcm")]
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])
    assert len(np.unique(shown[0])) > 200


def test_weights_that_do_not_tell_warn_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reading._tell_unknown_depth.cache_clear()
    folder = write_set(tmp_path / "set", 12)
    for number in range(3):
        assert reading.read_file(folder / "images" / f"{number}.png").pixels.max() > 80
    assert len(caplog.records) == 1
    assert "unless --bit_depth says how many" in caplog.text


def test_every_depth_has_its_own_white() -> None:
    for depth in range(8, 17):
        values = np.arange(2**depth, dtype=np.uint16)
        white = 2**depth - 1
        exact = (values.astype(int) * 510 + white) // (2 * white)
        assert np.array_equal(to_eight_bits(values, depth, "a"), exact)


@pytest.mark.parametrize("value", ["12", 7, 17, True, 12.0])
def test_what_cannot_be_a_depth(value: Any) -> None:
    with pytest.raises(UserError, match=r"--bit_depth .*: must be a whole number of bits from 8 to 16"):
        checked_depth(value)
    with pytest.raises(UserError, match="bit_depth"):
        parse_record({"version": 2, "network": {}, "normalization": None, "bit_depth": value}, "model.json")


def test_what_is_decided() -> None:
    assert decided_depth(None, [10, 12, 8]) == 12
    assert decided_depth(14, [12]) == 14
    assert decided_depth(None, []) is None
