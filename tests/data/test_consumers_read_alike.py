"""Training, check, preparation, contact sheet, evaluation, prediction and annotation read odd files alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dicoms import write_dicom
from numpy.typing import NDArray
from PIL import Image
from pipelines import compose, training_config
from trees import nifti

from annotate.labels import read_label
from custom_networks.data.checking import sheet
from custom_networks.data.checking.examine import Labels, examine
from custom_networks.data.prepare.cache import CaseJob, read_case
from custom_networks.data.prepare.cases import Case, Stored
from custom_networks.evaluation.handler import Evaluation
from custom_networks.prediction.reading import read_file

SIDE = 64
NUMBERS = np.random.default_rng(0).integers(0, 3, (SIDE, SIDE))
ONES = NUMBERS % 2
TURNED = np.rot90(NUMBERS * 100, -1)
TURN = Image.Exif()
TURN[274] = 6  # shown turned by 90 degrees clockwise
Saved = Callable[[Path], Path]


def saved(array: NDArray, name: str, mode: str | None = None, **options: Any) -> Saved:
    def save(folder: Path) -> Path:
        picture = Image.fromarray(array.astype(np.uint8) if array.dtype == np.int64 else array)
        if mode is not None:
            picture = picture.convert(mode)
        picture.save(folder / name, **options)
        return folder / name

    return save


def one_bit(folder: Path) -> Path:
    Image.fromarray(ONES.astype(bool)).save(folder / "a.png")
    return folder / "a.png"


def palette(folder: Path) -> Path:
    picture = Image.fromarray(NUMBERS.astype(np.uint8), mode="P")
    picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    picture.save(folder / "a.png")
    return folder / "a.png"


def in_dicom(folder: Path) -> Path:
    return write_dicom(folder / "a.dcm", NUMBERS.astype(np.uint16))


def in_nifti(folder: Path) -> Path:
    return nifti(folder / "a.nii.gz", NUMBERS.T.astype(np.float32))


LABELS: dict[str, tuple[Saved, NDArray, NDArray]] = {  # file, numbers, and the mask that they are
    "1-bit": (one_bit, ONES, ONES),
    "8-bit": (saved(NUMBERS, "a.png"), NUMBERS, None),
    "8-bit 0 and 1": (saved(ONES, "a.png"), ONES, ONES),
    "16-bit": (saved(NUMBERS.astype(np.uint16) * 20000, "a.png"), NUMBERS * 20000, NUMBERS == 2),
    "32-bit": (saved(NUMBERS.astype(np.int32) * 40000, "a.tif"), NUMBERS * 40000, None),
    "grey in RGB": (saved(NUMBERS * 100, "a.png", "RGB"), NUMBERS * 100, NUMBERS == 2),
    "grey and opaque": (saved(NUMBERS * 100, "a.png", "LA"), NUMBERS * 100, NUMBERS == 2),
    "palette": (palette, NUMBERS, None),
    "floating point": (saved(NUMBERS.astype(np.float32), "a.tif"), NUMBERS, None),
    "PNG turned by EXIF": (saved(NUMBERS * 100, "a.png", exif=TURN), TURNED, TURNED == 200),
    "TIFF turned": (saved(NUMBERS * 100, "a.tif", exif=TURN), TURNED, TURNED == 200),
    "DICOM": (in_dicom, NUMBERS, None),
    "NIfTI": (in_nifti, NUMBERS, NUMBERS > 0),
}  # fmt: skip


def image_beside(label: Path) -> Path:
    path = label.with_name("image.png")
    Image.new("RGB", (SIDE, SIDE), (90, 80, 70)).save(path)
    return path


def labels_in_training(path: Path, kind: str) -> NDArray:
    item = {"image": str(image_beside(path)), "label": str(path)}
    return compose(training_config(label_kind=kind, image_size=SIDE), "load")(item)["label"][0].numpy().T


def labels_in_preparation(path: Path, kind: str) -> NDArray:
    return np.asarray(Stored(str(path)).label(kind).image)


def labels_in_copies(path: Path, kind: str) -> NDArray:
    case = Case("copy", Stored(str(image_beside(path))), Stored(str(path)))
    facts = read_case(CaseJob(case, path.parent / "out", kind, image_size=SIDE))
    values = np.asarray(Image.open(path.parent / "out" / facts["label"]))
    return values // 255 if kind == "mask" else values


def labels_on_the_sheet(path: Path, kind: str) -> NDArray:
    drawn = sheet._labels(str(path), kind, (SIDE, SIDE))
    assert drawn is not None
    return drawn


def labels_in_evaluation(path: Path, kind: str) -> NDArray:
    whole = SimpleNamespace(resolution="original", labels={"i": str(path)}, set=SimpleNamespace(label_kind=kind))
    return Evaluation.truths(whole, "i", None)[0]  # type: ignore[arg-type]


def labels_in_annotation(path: Path, kind: str) -> NDArray:
    return read_label(path.read_bytes(), (SIDE, SIDE), 65535)


CONSUMERS = [labels_in_training, labels_in_preparation, labels_in_copies, labels_on_the_sheet, labels_in_evaluation]


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("kind", ["mask", "classes", "instances"])
def test_labels(tmp_path: Path, name: str, kind: str) -> None:
    write, numbers, mask = LABELS[name]
    if kind == "mask" and mask is None:
        pytest.skip("no mask; the check refuses it")
    path = write(tmp_path)
    expected = np.asarray(mask if kind == "mask" else numbers).astype(int)
    consumers = list(CONSUMERS)
    if kind != "mask" and path.suffix != ".dcm" and ".nii" not in path.name and expected.max() <= 65535:
        consumers.append(labels_in_annotation)
    if expected.max() > (255 if kind == "classes" else 65535):
        consumers.remove(labels_in_copies)  # a PNG cannot hold them, which is refused
    for consumer in consumers:
        np.testing.assert_array_equal(consumer(path, kind).astype(int), expected, err_msg=consumer.__name__)
    examined = examine({"image": str(image_beside(path)), "label": str(path)}, Labels(kind))
    assert not [finding for finding in examined.findings if finding.kind.is_error]
    assert examined.foreground == ((expected > 0).sum(), SIDE**2)
    if kind == "classes":
        assert examined.class_pixels == dict(zip(*np.unique(expected, return_counts=True), strict=True))


GREY = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
GREY[0, :2] = 0, 255
WIDE = (GREY.astype(np.uint16) * 16 + 7).clip(0, 4095)
WHITE = np.uint8(255)


def scaled(values: NDArray, white: int) -> NDArray[np.uint8]:
    return np.rint(values * (255 / white)).astype(np.uint8)


IMAGES: dict[str, tuple[Saved, NDArray]] = {  # file, and its grey levels
    "1-bit": (saved(GREY > 99, "a.png"), np.where(GREY > 99, WHITE, 0)),
    "8-bit": (saved(GREY, "a.png"), GREY),
    "transparent": (saved(np.dstack([np.zeros_like(GREY)] * 3 + [255 - GREY]), "a.png"), GREY),
    "turned by EXIF": (saved(GREY, "a.png", exif=TURN), np.rot90(GREY, -1)),
    "TIFF turned": (saved(GREY, "a.tif", exif=TURN), np.rot90(GREY, -1)),
    "floating point": (saved(GREY.astype(np.float32), "a.tif"), GREY),
    "12 bits in PNG": (saved(WIDE, "a.png"), scaled(WIDE, 4095)),
    "12 bits in TIFF": (saved(WIDE, "a.tif"), scaled(WIDE, 4095)),
    "12 bits in PNG, turned": (saved(WIDE, "a.png", exif=TURN), np.rot90(scaled(WIDE, 4095), -1)),
    "12 bits in DICOM": (
        lambda folder: write_dicom(folder / "a.dcm", WIDE, BitsStored=12, HighBit=11),
        scaled(WIDE, 4095),
    ),
    "12 bits in DICOM that declares 16": (lambda folder: write_dicom(folder / "a.dcm", WIDE), scaled(WIDE, 4095)),
    "NIfTI": (lambda folder: nifti(folder / "a.nii", GREY.T), GREY),
}


def images_in_training(path: Path) -> NDArray:
    item = {"image": str(path), "label": str(label_beside(path))}
    config = training_config(label_kind="mask", image_size=SIDE, image_depth=12)
    return compose(config, "load")(item)["image"].numpy().transpose(2, 1, 0)


def images_in_copies(path: Path) -> NDArray:
    case = Case("copy", Stored(str(path)), Stored(str(label_beside(path))))
    facts = read_case(CaseJob(case, path.parent / "out", "mask", image_size=SIDE))
    assert facts.get("bit_depth") in (None, 12)
    return read_file(path.parent / "out" / facts["image"], 12).pixels


def images_in_prediction(path: Path) -> NDArray:
    return read_file(path, 12).pixels


def label_beside(image: Path) -> Path:
    path = image.with_name("mask.png")
    Image.fromarray(ONES.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", IMAGES)
def test_images(tmp_path: Path, name: str) -> None:
    write, grey = IMAGES[name]
    path = write(tmp_path)
    expected = np.dstack([grey] * 3)
    for consumer in (images_in_training, images_in_copies, images_in_prediction):
        np.testing.assert_array_equal(consumer(path), expected, err_msg=consumer.__name__)
    digest = hashlib.blake2b(expected.tobytes(), digest_size=16, salt=str((SIDE, SIDE))[:16].encode()).digest()
    examined = examine({"image": str(path), "label": str(label_beside(path))})
    assert not [finding for finding in examined.findings if finding.kind.is_error]
    assert examined.pixels_digest == digest
