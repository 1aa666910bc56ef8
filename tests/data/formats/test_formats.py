"""DICOM and NIfTI pictures against hand-worked values, and what cannot be read in one sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dicoms import write_dicom, write_segmentation
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from custom_networks.data.formats import Slice, dicom, read, stem
from custom_networks.data.formats.dicom import references
from custom_networks.errors import UserError


def grey(path: Path) -> list[list[int]]:
    values = np.asarray(read(path, "image").image)
    assert values.shape[2] == 3
    assert (values == values[..., :1]).all()
    return values[..., 0].tolist()


@pytest.mark.parametrize(
    ("values", "more", "expected"),
    [
        pytest.param(np.array([[0, 7, 255]], np.uint8), {}, [0, 7, 255], id="8-bit"),
        pytest.param(np.array([[0, 7, 255]], np.uint8), {"photometric": "MONOCHROME1"}, [255, 248, 0], id="inverted"),
        pytest.param(np.array([[0, 819, 4095]], np.uint16), {}, [0, 51, 255], id="12 bits, though 16 are declared"),
        pytest.param(
            np.array([[0, 819, 4095]], np.uint16), {"photometric": "MONOCHROME1"}, [255, 204, 0], id="12 bits, inverted"
        ),
        # window of PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255, here 0 at 50 and 255 at 150
        pytest.param(
            np.array([[0, 50, 70, 150, 900]], np.uint16),
            {"WindowCenter": 100.5, "WindowWidth": 101},
            [0, 0, 51, 255, 255],
            id="window",
        ),
        pytest.param(
            np.array([[-1024, 0, 40, 3000]], np.int16),
            {"RescaleSlope": 2, "RescaleIntercept": -10, "WindowCenter": [40.5, 7], "WindowWidth": [101, 9]},
            [0, 0, 204, 255],  # 40 -> 70: (70 - 40) / 100 + 0.5 = 0.8
            id="rescale and two windows",
        ),
        pytest.param(
            np.array([[0, 819, 1000]], np.uint16), {"BitsStored": 12, "HighBit": 11}, [0, 51, 62], id="12-bit declared"
        ),
        pytest.param(
            np.array([[0, 1023, 341]], np.uint16),
            {"BitsStored": 10, "HighBit": 9, "photometric": "MONOCHROME1"},
            [255, 0, 170],
            id="10-bit inverted",
        ),
        pytest.param(np.array([[-100, 100, 300]], np.int16), {}, [0, 128, 255], id="signed, stretched"),
        pytest.param(np.full((1, 2), 700, np.int16), {}, [0, 0], id="flat"),
    ],
)
def test_grey_dicom(tmp_path: Path, values: np.ndarray, more: dict[str, Any], expected: list[int]) -> None:
    assert grey(write_dicom(tmp_path / "a.dcm", values, **more)) == [expected]


def test_colour_dicom_and_its_spacing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    path = write_dicom(tmp_path / "1.2.840.10008.7", values, "RGB", PixelSpacing=[0.25, 0.5])
    opened = read(path, "image")
    assert np.array_equal(np.asarray(opened.image), values)
    assert opened.spacing == (0.25, 0.5)
    assert stem(path) == "1.2.840.10008.7"


def test_a_window_of_an_unknown_function_is_linear(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dicom._tell_unknown.cache_clear()
    values = np.array([[0, 50, 70, 150, 900]], np.uint16)
    for name in ("a.dcm", "b.dcm"):
        path = write_dicom(tmp_path / name, values, WindowCenter=100.5, WindowWidth=101, VOILUTFunction="GAMMA")
        assert grey(path) == [[0, 0, 51, 255, 255]]
    assert [record.getMessage() for record in caplog.records] == [
        "DICOM window of the unknown function GAMMA: shown as LINEAR"
    ]


def test_dicom_seg_without_the_empty_frame_of_an_image(tmp_path: Path) -> None:
    images = [write_dicom(tmp_path / f"{n}.dcm", np.zeros((8, 10), np.uint8), PixelSpacing=[1, 1]) for n in "ab"]
    mask = np.zeros((8, 10), np.uint8)
    mask[2:4, 3:6] = 1
    path = write_segmentation(tmp_path / "seg.dcm", images[0], mask)
    segmentation, uid = dcmread(path), dcmread(images[1]).SOPInstanceUID
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = dcmread(images[1]).SOPClassUID, uid
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence.append(reference)
    segmentation.save_as(path)
    assert np.asarray(read(path, "mask", image_uid=dcmread(images[0]).SOPInstanceUID).image).sum() == 6
    for kind in ("mask", "classes"):
        assert np.asarray(read(path, kind, image_uid=uid).image).shape == (8, 10)
        assert not np.asarray(read(path, kind, image_uid=uid).image).any()


def test_nifti_is_shown_between_its_declared_levels(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.array([[-50, 0], [51, 300]], np.float32), np.eye(4))
    image.header["cal_min"], image.header["cal_max"] = 0, 255
    nib.save(image, tmp_path / "a.nii")
    assert grey(tmp_path / "a.nii") == [[0, 51], [0, 255]]


def test_palette_dicom(tmp_path: Path) -> None:
    table = np.array([0, 65535, 257 * 10], "<u2")
    entries = {f"{name}PaletteColorLookupTableDescriptor": [3, 0, 16] for name in ("Red", "Green", "Blue")}
    entries |= {f"{name}PaletteColorLookupTableData": table.tobytes() for name in ("Red", "Green", "Blue")}
    path = write_dicom(tmp_path / "a.dcm", np.array([[0, 1], [2, 0]], np.uint8), "PALETTE COLOR", **entries)
    assert apply_color_lut(np.array([[1]], np.uint8), dcmread(path)).max() == 65535
    assert grey(path) == [[0, 255], [10, 0]]


def jpeg(path: Path, syntax: str = JPEGBaseline8Bit) -> Path:
    """A DICOM picture compressed as JPEG (YBR), flat blue."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (20, 40, 200)).save(buffer, "JPEG", quality=95, subsampling=0)
    write_dicom(path, np.zeros((16, 16, 3), np.uint8), "YBR_FULL")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path


def test_jpeg_dicom_comes_back_as_rgb(tmp_path: Path) -> None:
    values = np.asarray(read(jpeg(tmp_path / "a.dcm"), "image").image).astype(int)
    assert np.abs(values - [20, 40, 200]).max() <= 3


def test_dicom_seg_as_mask_and_as_segments(tmp_path: Path) -> None:
    image = write_dicom(tmp_path / "a.dcm", np.zeros((8, 10, 3), np.uint8), "RGB")
    other = write_dicom(tmp_path / "b.dcm", np.zeros((8, 10, 3), np.uint8), "RGB")
    mask = np.zeros((1, 8, 10, 2), np.uint8)
    mask[0, 1:3, 2:5, 0], mask[0, 2:6, 6:9, 1] = 1, 1
    path = write_segmentation(tmp_path / "seg.dcm", image, mask)
    uid = dcmread(image).SOPInstanceUID
    assert references(dcmread(path)) == [uid]
    labels = np.asarray(read(path, "instances", image_uid=uid).image)
    assert np.array_equal(labels, mask[0, ..., 0] + 2 * mask[0, ..., 1])
    assert np.array_equal(np.asarray(read(path, "mask").image), labels > 0)
    with pytest.raises(UserError, match="drawn on other images"):
        read(path, "mask", image_uid=dcmread(other).SOPInstanceUID)


def test_dicom_masks_that_are_no_seg(tmp_path: Path) -> None:
    values = np.array([[0, 1], [1, 0]], np.uint16)
    path = write_dicom(tmp_path / "m.dcm", values)
    assert np.array_equal(np.asarray(read(path, "mask").image), values)
    assert np.array_equal(np.asarray(read(path, "instances").image), values)
    path = write_dicom(tmp_path / "c.dcm", np.zeros((2, 2, 3), np.uint8), "RGB")
    with pytest.raises(UserError, match=r"c\.dcm: the mask is coloured"):
        read(path, "mask")


def test_dicom_that_cannot_be_read(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "cut.dcm", np.zeros((8, 8), np.uint8)).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-40])
    (tmp_path / "text.dcm").write_text("no picture")
    write_dicom(tmp_path / "frames.dcm", np.zeros((8, 8), np.uint8), NumberOfFrames=3)
    jpeg(tmp_path / "lossless.dcm", JPEGLosslessSV1)
    report = dcmread(write_dicom(tmp_path / "report.dcm", np.zeros((8, 8), np.uint8)))
    del report.PixelData
    report.save_as(tmp_path / "report.dcm")
    for name, sentence in (
        ("cut", "damaged or cut short"),
        ("text", "not a DICOM file"),
        ("frames", "3 frames in one file"),
        ("report", "without a picture"),
        ("none", "no such file"),
    ):
        with pytest.raises(UserError, match=sentence) as caught:
            read(tmp_path / f"{name}.dcm", "image")
        assert f"{name}.dcm: " in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"lossless\.dcm: (compressed as JPEG Lossless|damaged)"):
        read(tmp_path / "lossless.dcm", "image")


def nifti(path: Path, values: np.ndarray, unit: str = "mm") -> Path:
    image = nib.Nifti1Image(values, np.diag([0.5, 0.25, 3.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def test_nifti_picture(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(4, 3)  # 4 along a row, 3 rows
    opened = read(nifti(tmp_path / "a.nii.gz", values[..., None]), "image")
    assert opened.image.size == (4, 3)
    assert np.array_equal(np.asarray(opened.image)[..., 0], values.T)
    assert opened.spacing == (0.25, 0.5)
    assert read(nifti(tmp_path / "b.nii", values, unit="unknown"), "image").spacing is None
    assert read(nifti(tmp_path / "c.nii", values, unit="micron"), "image").spacing == pytest.approx((0.25e-3, 0.5e-3))


def test_nifti_colours(tmp_path: Path) -> None:
    colours = np.zeros((2, 3, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"][1, 2], colours["B"][0, 1] = 9, 200
    shown = np.asarray(read(nifti(tmp_path / "a.nii", colours), "image").image)
    assert shown.shape == (3, 2, 3)
    assert shown[2, 1].tolist() == [9, 0, 0]
    assert shown[1, 0].tolist() == [0, 0, 200]


def test_nifti_slices_share_one_scale(tmp_path: Path) -> None:
    values = np.zeros((4, 3, 200), np.float32)
    values[..., 100:] = 1000.0
    path = nifti(tmp_path / "v.nii", values)
    assert np.asarray(read(path, "image", at=Slice(2, 3)).image).max() == 0
    assert np.asarray(read(path, "image", at=Slice(2, 150)).image).min() == 255
    assert read(path, "image", at=Slice(0, 1)).image.size == (3, 200)
    assert read(path, "image", at=Slice(0, 1)).spacing == (3.0, 0.25)
    labels = read(nifti(tmp_path / "m.nii", (values / 500).astype(np.int16)), "instances", at=Slice(2, 120))
    assert np.unique(np.asarray(labels.image)).tolist() == [2]


def test_an_unknown_type_of_nifti_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """nibabel would print it a second time, without the file's name; what it only warns of is still printed."""
    nib.save(nib.Nifti1Image(np.ones((4, 4), np.uint8), np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[70:72] = (999).to_bytes(2, "little")  # datatype
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii: .*data code 999"):
        read(tmp_path / "a.nii", "image")
    assert not caplog.records
    content[70:72] = (2).to_bytes(2, "little")
    content[80:84] = np.float32(-1).tobytes()  # the size of a pixel
    (tmp_path / "a.nii").write_bytes(content)
    read(tmp_path / "a.nii", "image")
    assert "pixdim" in caplog.text


def test_nifti_that_cannot_be_read(tmp_path: Path) -> None:
    path = nifti(tmp_path / "v.nii.gz", np.random.default_rng(0).normal(size=(8, 8, 8)))
    with pytest.raises(UserError, match=r"v\.nii\.gz: a volume of 8 x 8 x 8; name the axis"):
        read(path, "image")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="damaged or cut short"):
        read(path, "image", at=Slice(0, 0))
    with pytest.raises(UserError, match=r"labels|whole numbers"):
        read(nifti(tmp_path / "half.nii", np.array([[0.5, 1.0]])), "instances")
    with pytest.raises(UserError, match="not finite"):
        read(nifti(tmp_path / "nan.nii", np.array([[np.nan, 1.0]])), "image")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[0, 700]], np.uint16)), [[0, 700]]),
        (Image.fromarray(np.array([[0, 3]], np.uint8)), [[0, 3]]),
        (Image.fromarray(np.array([[0, 3]], np.uint8)).convert("P"), [[0, 3]]),
    ],
)
def test_label_pictures_keep_their_numbers(tmp_path: Path, image: Image.Image, expected: list[list[int]]) -> None:
    image.save(tmp_path / "a.png")
    assert np.asarray(read(tmp_path / "a.png", "instances").image).tolist() == expected


def test_coloured_label_pictures_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "a.png")
    with pytest.raises(UserError, match="coloured"):
        read(tmp_path / "a.png", "instances")
