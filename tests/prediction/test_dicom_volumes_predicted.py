"""DICOM volumes predicted: a SEG object that refers to the right frames and files, maps as pages, rows for slices."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import tifffile
from dicoms import change, write_dicom, write_enhanced, write_frames, write_series
from numpy.typing import NDArray
from PIL import Image
from prediction_fixtures import variant
from pydicom import Dataset, dcmread

from custom_networks.prediction import SGDNetPredictor
from custom_networks.prediction.execution import Outcome, execute
from custom_networks.prediction.outputs import chosen_outputs
from custom_networks.prediction.outputs.frame_positions import complete_thickness, has_positions
from custom_networks.prediction.plan import make_plan, settings_of


@pytest.fixture(scope="module")
def values(pictures: Path) -> NDArray[np.uint8]:
    """Five slices of 52 rows and 40 columns, the third one without a lesion."""
    files = sorted(pictures.iterdir())
    planes = [
        np.asarray(Image.open(files[i % len(files)]).convert("L").rotate(20 * i).resize((40, 52))) for i in range(5)
    ]
    return np.stack(planes)


def run(predictor: SGDNetPredictor, source: Path, output: Path, outputs: str = "mask", batch_size: int = 2) -> Outcome:
    chosen = chosen_outputs(outputs, predictor.options.tta)
    plan = make_plan([str(source)], output, chosen, settings=settings_of(predictor.options, "0", chosen, 0.0))
    return execute(plan, lambda: predictor, batch_size, 1, lambda line: None)


def masks(predictor: SGDNetPredictor, values: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.stack([predictor(plane).mask for plane in values])


def test_the_slices_of_a_series(predictor: SGDNetPredictor, values: NDArray[np.uint8], tmp_path: Path) -> None:
    """One SEG object for the folder; each of its frames refers to the file that it was drawn on, and lies there."""
    files = write_series(tmp_path / "in" / "scan", values)
    outcome = run(predictor, tmp_path / "in", tmp_path / "out", "probability,instances,overlay,geojson,measurements")
    assert (outcome.done, outcome.failures) == (1, [])
    expected = masks(predictor, values)
    assert expected.any()
    segmentation = hd.seg.segread(tmp_path / "out" / "scan.dcm")
    uids = [dcmread(file).SOPInstanceUID for file in files]
    found = segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    np.testing.assert_array_equal(found[..., 0].astype(bool), expected)
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert place == dcmread(files[uids.index(uid)]).ImagePositionPatient
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(one) for one in measures.PixelSpacing] == [0.5, 0.25]
    probability = tifffile.imread(tmp_path / "out" / "scan_probability.tif", key=range(5))
    plain = np.stack([predictor(plane).probability for plane in values])
    np.testing.assert_allclose(probability / 65535, plain, atol=2e-4)
    assert tifffile.imread(tmp_path / "out" / "scan_instances.tif", key=range(5)).shape == values.shape
    with (tmp_path / "out" / "measurements.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for index in range(5):
        areas = [float(row["area_mm2"]) for row in rows if row["slice"] == str(index)]
        assert sum(areas) == pytest.approx(expected[index].sum() * 0.125, rel=0.05)  # instances drop a little
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["slices"], row["mask"]) == ("5", "scan.dcm")


@pytest.mark.parametrize("write", [write_enhanced, write_frames])
def test_the_frames_of_a_file(predictor: SGDNetPredictor, values: NDArray[np.uint8], tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    """With positions in space and, as ultrasound, without them."""
    source = write(tmp_path / "cine.dcm", values)
    low = variant(predictor, threshold=0.45)
    assert run(low, source, tmp_path / "out", "mask,overlay").failures == []
    segmentation = hd.seg.segread(tmp_path / "out" / "cine.dcm")
    found = segmentation.get_pixels_by_source_frame(
        dcmread(source).SOPInstanceUID, [1, 2, 3, 4, 5], assert_missing_frames_are_empty=True
    )
    expected = masks(low, values)
    np.testing.assert_array_equal(found[..., 0].astype(bool), expected)
    assert ("FrameOfReferenceUID" in segmentation) == (write is write_enhanced)
    if write is write_frames:
        contents = [group.FrameContentSequence[0] for group in segmentation.PerFrameFunctionalGroupsSequence]
        assert [one.InStackPositionNumber for one in contents] == [i for i in range(1, 6) if expected[i - 1].any()]
        assert [one.DimensionIndexValues[1] for one in contents] == list(range(1, len(contents) + 1))
    with Image.open(tmp_path / "out" / "cine_overlay.tif") as pages:
        assert pages.n_frames == 5
    assert [one.mask.shape for one in predictor.slices(source)] == [(52, 40)] * 5


def test_a_faulty_series_fails_alone(predictor: SGDNetPredictor, values: NDArray[np.uint8], tmp_path: Path) -> None:
    """And its files, given by a pattern, are predicted one by one."""
    write_series(tmp_path / "in" / "good", values)
    bad = write_series(tmp_path / "in" / "bad", values)
    bad[2].unlink()
    outcome = run(predictor, tmp_path / "in", tmp_path / "out")
    assert (outcome.done, len(outcome.failures)) == (1, 1)
    assert "is missing between" in outcome.failures[0][1]
    assert run(predictor, tmp_path / "in" / "bad" / "*", tmp_path / "single").done == 4


def test_names_of_series(predictor: SGDNetPredictor, values: NDArray[np.uint8], tmp_path: Path) -> None:
    """Of the folder where it holds nothing else, given itself too; else of the series."""
    write_series(tmp_path / "in" / "one", values)
    first, second = (write_series(tmp_path / name, values) for name in ("x", "y"))
    (tmp_path / "in" / "two").mkdir()
    for number, path in enumerate((*first, *second)):
        shutil.copy(path, tmp_path / "in" / "two" / f"{number}.dcm")
    write_dicom(tmp_path / "in" / "two" / "photograph.dcm", values[0])
    uids = [str(dcmread(files[0]).SeriesInstanceUID) for files in (first, second)]
    run(predictor, tmp_path / "in", tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out").with_suffix("")) for path in (tmp_path / "out").rglob("*.dcm")}
    assert names == {"one", "two/photograph", *(f"two/{uid}" for uid in uids)}
    run(predictor, tmp_path / "in" / "one", tmp_path / "alone")
    assert (tmp_path / "alone" / "one.dcm").is_file()


def test_a_changed_slice_is_seen(predictor: SGDNetPredictor, values: NDArray[np.uint8], tmp_path: Path) -> None:
    """Whichever of the files it is; unchanged, nothing is done twice; no result replaces a file of the series."""
    files = write_series(tmp_path / "scan", values)
    assert run(predictor, tmp_path / "scan", tmp_path / "out").done == 1
    assert run(predictor, tmp_path / "scan", tmp_path / "out").skipped == 1
    change(files[3], PatientName="another")
    ((_, told),) = run(predictor, tmp_path / "scan", tmp_path / "out").failures
    assert "before it changed" in told


def test_frames_have_positions_where_each_has_one_in_a_frame_of_reference() -> None:
    placed, bare = Dataset(), Dataset()
    placed.PlanePositionSequence = [Dataset()]
    for groups, reference, expected in (
        ([placed, placed], "1.2", True),
        ([placed, placed], None, False),
        ([placed, bare], "1.2", False),
        ([], "1.2", False),
        (None, "1.2", False),
    ):
        image = Dataset()
        if groups is not None:
            image.PerFrameFunctionalGroupsSequence = groups
        if reference:
            image.FrameOfReferenceUID = reference
        assert has_positions(image) is expected


def test_the_thickness_that_slices_do_not_say_is_their_distance() -> None:
    images = [Dataset(), Dataset(), Dataset()]
    for image, position in zip(images, ([0, 3, 1], [0, 0, 5], [0, -3, 9]), strict=True):
        image.ImagePositionPatient = position
    complete_thickness(images)
    assert [float(image.SliceThickness) for image in images] == [5, 5, 5]
    images[0].SliceThickness = 4
    del images[1].SliceThickness
    complete_thickness(images)
    assert [float(image.SliceThickness) for image in images] == [4, 5, 5], "what they say stays"
    complete_thickness(images[2:])
    assert images[2].SliceThickness == 5
    alone = Dataset()
    complete_thickness([alone])
    assert "SliceThickness" in alone
    assert alone.SliceThickness is None
