"""NIfTI volumes: every slice predicted, everything written on the volume's own grid."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prediction_fixtures import variant

from custom_networks.data.formats import Slice, read
from custom_networks.errors import UserError
from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.execution import Outcome, execute
from custom_networks.prediction.outputs import chosen_outputs
from custom_networks.prediction.outputs.families import nifti_like
from custom_networks.prediction.plan import make_plan, settings_of

AFFINE = np.array([[-0.3, 0, 0, 4], [0, 0.2, 0.1, -7], [0, 0, 5, 1], [0, 0, 0, 1.0]])
RGB24 = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
SHAPE = (40, 52, 3)


def save(path: Path, values: NDArray) -> Path:
    """Write values with an affine and codes that are not the defaults."""
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(AFFINE, code=4)
    image.set_qform(AFFINE, code=1)
    image.header["descrip"] = b"a scan"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


@pytest.fixture
def grey(tmp_path: Path, pictures: Path) -> Path:
    """Three slices along the last axis, cut from phantoms."""
    planes = [np.asarray(Image.open(one).convert("L").resize(SHAPE[:2])).T for one in sorted(pictures.iterdir())[:3]]
    return save(tmp_path / "in" / "scan.nii.gz", np.stack(planes, axis=-1))


def run(predictor: SGDNetPredictor, source: Path, output: Path, outputs: str = "mask", batch_size: int = 2) -> Outcome:
    chosen = chosen_outputs(outputs, predictor.options.tta)
    plan = make_plan([str(source)], output, chosen, settings=settings_of(predictor.options, "0", chosen, 0.0))
    return execute(plan, lambda: predictor, batch_size, 1, lambda line: None)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_map_lies_on_its_voxels(tmp_path: Path, axis: int, name: str) -> None:
    """What slices are read from goes back to where it came from, along every axis, with the header's codes."""
    values = np.random.default_rng(axis).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    source = save(tmp_path / name, values)
    planes = [np.asarray(read(source, "image", at=Slice(axis, i)).image)[..., 0] for i in range(values.shape[axis])]
    written = tmp_path / "result.nii.gz"
    written.write_bytes(nifti_like(source, np.stack(planes), axis))
    header = nib.load(written).header
    assert (header["cal_min"], header["cal_max"]) == (0, 0), "viewers show all of a mask's numbers"
    before, after = nib.load(source), nib.load(written)
    np.testing.assert_array_equal(np.asarray(after.dataobj), values)
    np.testing.assert_array_equal(after.affine, before.affine)
    for field in ("sform_code", "qform_code", "pixdim", "xyzt_units", "descrip"):
        np.testing.assert_array_equal(after.header[field], before.header[field])


def test_a_volume_gets_a_volume(predictor: SGDNetPredictor, grey: Path, tmp_path: Path) -> None:
    assert run(variant(predictor, tta="flips"), grey, tmp_path / "out", "all").failures == []
    out = tmp_path / "out"
    for ending, kind in (
        ("", "u1"),
        ("_probability", "f4"),
        ("_edge", "f4"),
        ("_uncertainty", "f4"),
        ("_instances", "u2"),
    ):
        stored = nib.load(out / f"scan{ending}.nii.gz")
        assert stored.shape == SHAPE
        assert stored.get_data_dtype() == kind
        np.testing.assert_array_equal(stored.affine, nib.load(grey).affine)
    mask = np.asarray(nib.load(out / "scan.nii.gz").dataobj)
    assert set(np.unique(mask)) == {0, 1}
    plain = variant(predictor, tta="flips").slices(grey)
    for index, one in enumerate(plain):
        np.testing.assert_array_equal(mask[..., index].T > 0, one.mask)
    with Image.open(out / "scan_overlay.tif") as pages:
        assert (pages.n_frames, pages.size) == (3, SHAPE[:2])


def test_tables_tell_the_slice(predictor: SGDNetPredictor, grey: Path, tmp_path: Path) -> None:
    run(predictor, grey, tmp_path / "out", "measurements,coco,geojson")
    out = tmp_path / "out"
    mask = np.asarray(nib.load(out / "scan.nii.gz").dataobj)
    with (out / "measurements.csv").open(newline="") as file:
        objects = list(csv.DictReader(file))
    with (out / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    features = json.loads((out / "scan.geojson").read_text())["features"]
    coco = json.loads((out / "coco.json").read_text())
    assert [image["slice"] for image in coco["images"]] == [0, 1, 2]
    assert (row["slices"], row["width"], row["height"]) == ("3", "40", "52")
    assert float(row["foreground"]) == pytest.approx(mask.mean(), rel=1e-4)
    for index in range(3):
        pixels = mask[..., index].sum()
        here = [one for one in objects if one["slice"] == str(index)]
        assert sum(float(one["area_px"]) for one in here) == pixels
        assert sum(float(one["area_mm2"]) for one in here) == pytest.approx(pixels * 0.3 * 0.2, rel=1e-3)
        assert sum(f["properties"]["area_px"] for f in features if f["properties"]["slice"] == index) == pixels
        assert sum(one["area"] for one in coco["annotations"] if one["image_id"] == index + 1) == pixels


def test_colours_and_batches(predictor: SGDNetPredictor, pictures: Path, tmp_path: Path) -> None:
    """Colour slices are what pictures are, beside a picture in the same run and whatever the batch."""
    planes = [Image.open(one).convert("RGB").resize(SHAPE[:2]) for one in sorted(pictures.iterdir())[:3]]
    stacked = np.stack([np.asarray(plane).transpose(1, 0, 2) for plane in planes], axis=2)
    save(tmp_path / "in" / "colour.nii.gz", np.ascontiguousarray(stacked).view(RGB24)[..., 0])
    planes[1].save(tmp_path / "in" / "picture.png")
    for size in (1, 4):
        outcome = run(predictor, tmp_path / "in", tmp_path / str(size), "probability", size)
        assert (outcome.done, outcome.failures) == (2, [])
        values = nib.load(tmp_path / str(size) / "colour_probability.nii.gz").get_fdata()
        picture = np.asarray(Image.open(tmp_path / str(size) / "picture_probability.png")) / 65535
        np.testing.assert_allclose(values[..., 1].T, picture, atol=2e-4)


def test_pictures_beside_a_volume_keep_their_batches(
    predictor: SGDNetPredictor, grey: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, picture in enumerate(sorted(pictures.iterdir())):
        Image.open(picture).save(grey.parent / f"{'az'[number % 2]}{number}.png")
    sizes, compute = [], predictor.compute
    monkeypatch.setattr(predictor, "compute", lambda batch: (sizes.append(len(batch)), compute(batch))[1])
    outcome = run(predictor, grey.parent, tmp_path / "out", batch_size=4)
    assert outcome.done == 5
    assert sizes == [4, 3]
    assert outcome.clock.network <= outcome.clock.total


def test_confidence_is_that_of_the_whole_volume(predictor: SGDNetPredictor, grey: Path, tmp_path: Path) -> None:
    """Slices without anything do not ask for a review: all voxels count together."""
    run(predictor, grey, tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    slices = predictor.slices(grey)
    inside = sum(float(one.probability[one.mask].sum(dtype=float)) for one in slices)
    both = sum(float(one.probability.sum(dtype=float)) + one.mask.sum() for one in slices)
    assert float(row["confidence"]) == pytest.approx(2 * inside / both, abs=1e-4)
    assert row["review"] == str(int(2 * inside / both < predictor.options.review_below))


def test_the_image_interface_names_the_one_for_volumes(predictor: SGDNetPredictor, grey: Path) -> None:
    with pytest.raises(UserError, match=r"scan\.nii\.gz: a volume; predict it with `slices`"):
        predictor(grey)
