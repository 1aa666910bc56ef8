"""The Python API, and that it says what the bundle's `inference.json` says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export_fixtures import BUNDLE
from monai.bundle import ConfigWorkflow
from networks import toy_network
from PIL import Image
from prediction_fixtures import variant

from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError
from custom_networks.prediction import Options, SGDNetPredictor
from custom_networks.prediction.reading import read_file
from custom_networks.prediction.result import confidence
from custom_networks.weights.normalization import ISIC


@pytest.fixture
def wide(pictures: Path, tmp_path: Path) -> Path:
    """A phantom of 150 x 90 pixels, that EXIF turns upright from 90 x 150."""
    path = tmp_path / "images" / "wide.png"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.open(sorted(pictures.iterdir())[1]).resize((150, 90))
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def test_without_a_device_the_gpu_is_taken_where_there_is_one() -> None:
    found = SGDNetPredictor(toy_network().eval(), ISIC)
    assert found.maps.transfer.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_equals_the_bundle(predictor: SGDNetPredictor, checkpoint: Path, wide: Path, tmp_path: Path) -> None:
    knobs = {
        "bundle_root": str(BUNDLE),
        "dataset_dir": str(wide.parent),
        "checkpoint": str(checkpoint),
        "image_size": 64,
        "output_dir": str(tmp_path / "masks"),
        "device": "cpu",
    }
    files = [str(BUNDLE / "configs" / name) for name in ("inference.json", "metadata.json", "logging.conf")]
    workflow = ConfigWorkflow(*files, workflow_type="infer", **knobs)
    workflow.initialize()
    workflow.run()
    expected = np.asarray(Image.open(tmp_path / "masks" / "wide.png")) > 0
    result = predictor(wide)
    assert expected.shape == result.mask.shape == (90, 150)  # upright
    assert 0.02 < expected.mean() < 0.98
    assert (result.mask == expected).mean() > 0.998  # folded weights round differently
    assert result.probability.shape == result.edge.shape == (90, 150)  # type: ignore[union-attr]
    assert result.uncertainty is None


def test_the_network_sees_exactly_what_the_bundle_shows_it(
    predictor: SGDNetPredictor, checkpoint: Path, wide: Path
) -> None:
    expected = load_source(BUNDLE, checkpoint, 64).prepare(wide)
    square = predictor.prepare(read_file(wide))
    assert isinstance(square, torch.Tensor)
    np.testing.assert_array_equal((square.float() - predictor.maps.mean) / predictor.maps.std, expected)


def test_paths_and_arrays_are_the_same(predictor: SGDNetPredictor, wide: Path) -> None:
    from_path, from_array = predictor(str(wide)), predictor(read_file(wide).pixels)
    np.testing.assert_array_equal(from_path.probability, from_array.probability)
    assert from_path.confidence == from_array.confidence
    grey = predictor(np.full((30, 20), 128, np.uint8))
    assert grey.mask.shape == (30, 20)
    with pytest.raises(UserError, match="is no image"):
        predictor(np.zeros((4, 5, 6, 7)))


@pytest.mark.parametrize("depth", [12, None])
def test_sixteen_bits_have_their_depth_in_an_array_as_in_a_file(
    predictor: SGDNetPredictor, tmp_path: Path, depth: int | None
) -> None:
    values = np.arange(0, 900, dtype=np.uint16).reshape(30, 30)  # of 10 bits, if nothing says more
    Image.fromarray(values).save(tmp_path / "grey.png")
    deep = variant(predictor, bit_depth=depth)
    from_path, from_array = deep(tmp_path / "grey.png"), deep(values)
    assert from_path.image.pixels.max() == round(899 * 255 / (4095 if depth else 1023))
    np.testing.assert_array_equal(from_path.image.pixels, from_array.image.pixels)


def test_many_images_come_back_in_order_in_batches(
    predictor: SGDNetPredictor, pictures: Path, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths and arrays of several sizes from an iterator that is read no further than the batch at hand."""
    files = sorted(pictures.iterdir())
    given = [wide, np.asarray(Image.open(files[0]).convert("RGB")), str(files[1]), files[2], files[3]]
    several = variant(predictor)
    several.batch_size = 2
    sizes, taken = [], []
    compute = several.compute
    monkeypatch.setattr(several, "compute", lambda batch: (sizes.append(len(batch)), compute(batch))[1])

    def images():
        for image in given:
            taken.append(image)
            yield image

    results = several.predict(images())
    found = [next(results)]
    assert len(taken) == 2
    found += results
    assert sizes == [2, 2, 1]
    for one, image in zip(found, given, strict=True):
        alone = predictor(image)
        assert one.mask.shape == alone.mask.shape
        np.testing.assert_allclose(one.probability, alone.probability, atol=1e-4)
    assert list(several.predict([])) == []
    with pytest.raises(UserError, match="is no image"):
        list(several.predict([files[0], np.zeros((4, 5, 6, 7))]))


@pytest.mark.parametrize("mode", ["pad", "window"])
def test_other_modes_keep_the_size(predictor: SGDNetPredictor, wide: Path, mode: str) -> None:
    result = variant(predictor, mode=mode)(wide)
    assert result.mask.shape == (90, 150)
    assert np.abs(result.probability - predictor(wide).probability).max() > 0.01
    assert np.isfinite(result.probability).all()
    assert 0 <= result.confidence <= 1


def test_a_square_image_is_the_same_in_every_mode(predictor: SGDNetPredictor, pictures: Path) -> None:
    pixels = np.asarray(Image.open(sorted(pictures.iterdir())[0]).resize((64, 64)).convert("RGB"))
    expected = predictor(pixels).probability
    for mode in ("pad", "window"):
        np.testing.assert_allclose(variant(predictor, mode=mode)(pixels).probability, expected, atol=1e-5)


def test_augmentation_does_not_care_how_an_image_lies(predictor: SGDNetPredictor, pictures: Path) -> None:
    """With all eight views a turned image has the turned maps; without, it has not."""
    pixels = np.asarray(Image.open(sorted(pictures.iterdir())[2]).convert("RGB"))
    turned = np.ascontiguousarray(np.rot90(pixels))
    plain = np.abs(np.rot90(predictor(pixels).probability) - predictor(turned).probability).max()
    augmented = variant(predictor, tta="all")
    upright, lying = augmented(pixels), augmented(turned)
    assert plain > 0.01
    for name in ("probability", "edge", "uncertainty"):
        np.testing.assert_allclose(np.rot90(getattr(upright, name)), getattr(lying, name), atol=2e-3)
    assert upright.uncertainty is not None
    assert 0.001 < upright.uncertainty.max() <= 0.5


def test_confidence_is_the_expected_dice() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    assert confidence(mask.astype(float), mask) == 1
    assert confidence(np.where(mask, 0.8, 0.2), mask) == pytest.approx(2 * 40 / (40 + 10 + 50))
    assert confidence(np.full((10, 10), 0.2), np.zeros((10, 10), bool)) == 0


def test_review_follows_the_limit(predictor: SGDNetPredictor, wide: Path) -> None:
    assert variant(predictor, review_below=1.0)(wide).review
    assert not variant(predictor, review_below=0.0)(wide).review
    assert not variant(predictor, review_below=0.0, threshold=1.0)(wide).review, "not below"
    nothing = variant(predictor, threshold=1.0)(wide)
    assert not nothing.mask.any()
    assert nothing.review


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "windw"}, "did you mean 'window'"),
        ({"tta": "flip"}, "did you mean 'flips'"),
        ({"threshold": 2}, "--threshold 2: must be a number from 0 to 1"),
        ({"overlap": "half"}, "--overlap half"),
        ({"scale": 0.5}, "--scale 0.5: is for --mode window"),
        ({"image_size": 100}, "use --image_size 128"),
        ({"amp": "maybe"}, "--amp maybe"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Options(**options)  # type: ignore[arg-type]
