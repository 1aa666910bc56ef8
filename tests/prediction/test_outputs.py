"""Every output, read back from its file."""

from __future__ import annotations

import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_dicom
from numpy.typing import NDArray
from PIL import Image
from prediction_fixtures import disc, drawn
from pydicom import dcmread

from custom_networks.data.formats import read
from custom_networks.data.formats.dicom import references
from custom_networks.errors import UserError
from custom_networks.metrics import WatershedParameters
from custom_networks.prediction.objects import Object, area
from custom_networks.prediction.outputs import IMAGE_OUTPUTS, TABLE_OUTPUTS, chosen_outputs
from custom_networks.prediction.outputs.coco import run_lengths
from custom_networks.prediction.result import PredictedCase

AFFINE = np.array([[-0.3, 0, 0, 4], [0, 0.2, 0, -7], [0, 0, 5, 1], [0, 0, 0, 1.0]])


@pytest.fixture
def mask() -> NDArray[np.bool_]:
    """A disc with a hole and a second, smaller one; higher than wide so that swapped sides would show."""
    ring = disc((60, 44), (25, 20), 15) & ~disc((60, 44), (25, 20), 4)
    return ring | disc((60, 44), (52, 36), 5)


def case(path: Path, mask: NDArray[np.bool_], spacing: tuple[float, float] | None = None) -> PredictedCase:
    return PredictedCase(path, path.name.split(".")[0], drawn(mask, spacing))


def write(one: PredictedCase, name: str, folder: Path) -> Path:
    path = folder / (one.name + "_result" + IMAGE_OUTPUTS[name].ending(one.source, False))
    path.write_bytes(IMAGE_OUTPUTS[name].encode(one))
    return path


def test_pictures_get_png(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    one = case(tmp_path / "a.jpg", mask)
    saved = Image.open(write(one, "mask", tmp_path))
    assert saved.format == "PNG"
    np.testing.assert_array_equal(np.asarray(saved), 255 * mask.astype(np.uint8))
    probability = Image.open(write(one, "probability", tmp_path))
    assert probability.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(probability), np.where(mask, 58982, 6554))  # 0.9 and 0.1 of 65535
    np.testing.assert_array_equal(np.asarray(Image.open(write(one, "uncertainty", tmp_path))), 16384)
    assert np.asarray(Image.open(write(one, "edge", tmp_path))).max() == 0


def test_nifti_keeps_shape_affine_and_unit(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    source = tmp_path / "a.nii"
    stored = nib.Nifti1Image(np.zeros((44, 60, 1), np.int16), AFFINE)
    stored.header.set_xyzt_units("mm")
    stored.header["scl_slope"], stored.header["scl_inter"] = 3, 1
    nib.save(stored, source)
    one = case(source, mask)
    path = write(one, "mask", tmp_path)
    back = nib.load(path)
    assert path.name.endswith(".nii.gz")
    assert back.shape == (44, 60, 1)
    np.testing.assert_allclose(back.affine, AFFINE)
    opened = read(path, "mask")
    np.testing.assert_array_equal(np.asarray(opened.image) > 0, mask)
    assert opened.spacing == read(source, "image").spacing == pytest.approx((0.2, 0.3))
    values = nib.load(write(one, "probability", tmp_path)).get_fdata()
    np.testing.assert_allclose(values[..., 0].T, one.prediction.probability, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(read(write(one, "instances", tmp_path), "instances").image), one.labels)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_dicom_gets_a_segmentation_that_refers_to_it(
    tmp_path: Path, mask: NDArray[np.bool_], empty: bool, colour: bool
) -> None:
    mask = mask & (not empty)
    values = np.full((*mask.shape, 3) if colour else mask.shape, 100, np.uint8)
    photometric = "RGB" if colour else "MONOCHROME2"
    source = write_dicom(tmp_path / "a.dcm", values, photometric, PixelSpacing=[0.2, 0.4], PatientID="P1")
    path = write(case(source, mask), "mask", tmp_path)
    image, segmentation = dcmread(source), dcmread(path)
    assert segmentation.Modality == "SEG"
    assert segmentation.PatientID == "P1"
    assert segmentation.StudyInstanceUID == image.StudyInstanceUID
    assert references(segmentation) == [image.SOPInstanceUID]
    assert segmentation.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    opened = read(path, "mask", image_uid=image.SOPInstanceUID)
    np.testing.assert_array_equal(np.asarray(opened.image) > 0, mask)


def test_dicom_that_no_segmentation_can_refer_to_is_one_sentence(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    source = write_dicom(tmp_path / "a.dcm", np.zeros(mask.shape, np.uint8))
    dataset = dcmread(source)
    del dataset.StudyInstanceUID
    dataset.save_as(source)
    with pytest.raises(UserError, match=r"a\.dcm: no DICOM SEG can refer to it"):
        write(case(source, mask), "mask", tmp_path)


def test_overlay_draws_the_border_inside_the_mask(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    one = case(tmp_path / "a.png", mask)
    saved = Image.open(write(one, "overlay", tmp_path))
    pixels = np.asarray(saved).astype(int)
    orange = (pixels[..., 0] - pixels[..., 2]) > 100
    assert saved.size == (44, 60)
    assert orange.sum() > 60
    assert (orange & mask).sum() > 0.9 * orange.sum()  # JPEG blurs a little
    assert orange[25, 5:8].any()
    assert not orange[25, :3].any()
    assert not orange[30:33, 26:28].any()


def test_polygons_of_geojson(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    one = case(tmp_path / "a.png", mask)
    content = json.loads(write(one, "geojson", tmp_path).read_text())
    assert content["type"] == "FeatureCollection"
    first, second = content["features"]
    assert [len(each["geometry"]["coordinates"]) for each in (first, second)] == [2, 1]
    total = sum(area(np.array(ring)) for each in content["features"] for ring in each["geometry"]["coordinates"])
    assert total == pytest.approx(mask.sum() - 0.5 + 0.5 - 0.5)  # two outer rings, a hole
    assert first["properties"]["area_px"] + second["properties"]["area_px"] == mask.sum()


def test_coco_holds_polygons_and_run_lengths(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    one = case(tmp_path / "a.png", mask)
    table = TABLE_OUTPUTS["coco"]
    row = {"image": "a.png", "width": 44, "height": 60}
    content = json.loads(table.encode([(row, table.rows(one)), ({**row, "image": "b.png"}, [])], {}))
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    ring, small = content["annotations"]
    assert ring["segmentation"]["size"] == [60, 44]
    assert small["bbox"] == [31, 47, 11, 11]
    assert len(small["segmentation"][0]) % 2 == 0
    assert ring["area"] + small["area"] == mask.sum()
    counts = ring["segmentation"]["counts"]
    assert sum(counts) == mask.size
    values = np.repeat(np.arange(len(counts)) % 2, counts).reshape(44, 60).T
    np.testing.assert_array_equal(values == 1, one.labels == 1)


def test_run_lengths_start_outside() -> None:
    assert run_lengths(Object(1, 0, 0, np.ones((2, 1), bool)), (2, 2)) == [0, 2, 2]
    assert run_lengths(Object(1, 1, 1, np.ones((1, 1), bool)), (2, 2)) == [3, 1]


def test_measurements_have_a_row_for_each_object(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    table = TABLE_OUTPUTS["measurements"]
    rows = table.rows(case(tmp_path / "a.png", mask, (0.5, 0.5)))
    text = table.encode([({"image": "a.png"}, rows), ({"image": "empty.png"}, [])], {}).decode()
    lines = text.splitlines()
    assert lines[0].startswith("image,object,area_px,perimeter_px,diameter_px,longest_diameter_px,asymmetry")
    assert len(lines) == 3
    assert sum(row["area_mm2"] for row in rows) == pytest.approx(mask.sum() / 4)


def test_an_empty_mask_has_no_objects(tmp_path: Path) -> None:
    one = case(tmp_path / "a.png", np.zeros((9, 8), bool))
    assert json.loads(IMAGE_OUTPUTS["geojson"].encode(one))["features"] == []
    assert TABLE_OUTPUTS["coco"].rows(one) == TABLE_OUTPUTS["measurements"].rows(one) == []
    write(one, "overlay", tmp_path)
    assert np.asarray(Image.open(write(one, "instances", tmp_path))).max() == 0


def test_instances_are_cut_by_the_watershed(tmp_path: Path) -> None:
    touching = disc((40, 60), (20, 18), 12) | disc((40, 60), (20, 40), 12)
    one = case(tmp_path / "a.png", touching)
    assert len(one.objects) == 1
    cut = PredictedCase(one.source, one.name, one.prediction, WatershedParameters())
    edge = disc((40, 60), (20, 29), 6)
    object.__setattr__(cut.prediction, "edge", edge.astype(np.float32))
    assert len(cut.objects) == 2
    saved = np.asarray(Image.open(io.BytesIO(IMAGE_OUTPUTS["instances"].encode(cut))))
    np.testing.assert_array_equal(saved > 0, touching)
    assert saved.max() == 2


def test_names_of_outputs() -> None:
    assert chosen_outputs("overlay, mask,coco", "none") == ("mask", "overlay", "coco")
    assert chosen_outputs("edge", "none") == ("mask", "edge")
    assert "uncertainty" not in chosen_outputs("all", "none")
    added = chosen_outputs("probability", "none", [1], ["instances"])
    assert added == ("mask", "probability", "probability_1", "instances")
    assert set(chosen_outputs("all", "flips")) == {*IMAGE_OUTPUTS, *TABLE_OUTPUTS}
    with pytest.raises(UserError, match="did you mean 'overlay'"):
        chosen_outputs("overlya", "none")
    with pytest.raises(UserError, match="add --tta"):
        chosen_outputs("uncertainty", "none")
    assert "edge" not in chosen_outputs("all", "flips", edge=False)
    with pytest.raises(UserError, match="leave edge out"):
        chosen_outputs("mask,edge", "none", edge=False)
