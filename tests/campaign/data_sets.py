"""Small good data sets, which a bad input then spoils."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dicoms import write_dicom
from PIL import Image
from scipy import ndimage
from trees import nifti

SIDE, COUNT = 24, 6


def pixels(number: int) -> np.ndarray:
    """A picture (H, W, 3) unlike the others."""
    noise = ndimage.gaussian_filter(np.random.default_rng(number).standard_normal((SIDE, SIDE)), 1.5)
    return (np.clip(128 + 200 * noise, 0, 255)[..., None] * [1, 0.9, 0.8]).astype(np.uint8)


def mask(number: int) -> np.ndarray:
    """A mask (H, W) of 0 and 255."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[4 : 10 + number, 5:15] = 255
    return drawn


def _folder(root: Path) -> None:
    for number in range(COUNT):
        for part, drawn in (("images", pixels(number)), ("masks", mask(number))):
            (root / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn).save(root / part / f"p{number}.png")


def _datalist(root: Path, image: str = "images/p{}.png", label: str = "masks/p{}.png", **more: Any) -> None:
    items = [{"id": f"p{n}", "image": image.format(n), "label": label.format(n), "fold": n % 3} for n in range(COUNT)]
    (root / "datalist.json").write_text(json.dumps({"training": items, **more}))


def _listed(root: Path) -> None:
    _folder(root)
    _datalist(root)


def _classes(root: Path, kind: str = "classes") -> None:
    _folder(root)
    for number in range(COUNT):
        Image.fromarray(mask(number) // 255 * (1 + number % 2)).save(root / "masks" / f"p{number}.png")
    _datalist(root, label_kind=kind, classes={"1": "one", "2": "two"})


def _instances(root: Path) -> None:
    _classes(root, "instances")
    shutil.copytree(root / "masks", root / "types")
    content = json.loads((root / "datalist.json").read_text())
    for item in content["training"]:
        item["types"] = item["label"].replace("masks", "types")
    (root / "datalist.json").write_text(json.dumps(content))


def _dicom(root: Path) -> None:
    for number in range(COUNT):
        more = {"PatientID": f"patient {number}", "BitsStored": 12, "HighBit": 11}
        write_dicom(root / "images" / f"p{number}.dcm", pixels(number)[..., 0].astype(np.uint16) * 16, **more)
        write_dicom(root / "masks" / f"p{number}.dcm", mask(number))
    _datalist(root, "images/p{}.dcm", "masks/p{}.dcm")


def _nifti(root: Path) -> None:
    for number in range(COUNT):
        nifti(root / "images" / f"p{number}.nii.gz", pixels(number)[..., 0].T.astype(np.float32))
        nifti(root / "masks" / f"p{number}.nii.gz", mask(number).T // 255)
    _datalist(root, "images/p{}.nii.gz", "masks/p{}.nii.gz")


def _table(root: Path) -> None:
    _folder(root)
    lines = ["image,mask", *(f"images/p{n}.png,masks/p{n}.png" for n in range(COUNT))]
    (root / "pairs.csv").write_text("\n".join(lines))


@dataclass(frozen=True)
class Layout:
    """A form that data sets have.

    Attributes:
        write: makes a good one in an empty folder.
        prepare: kind of `sgdnet prepare` that takes it, and what in the folder it is given.
        datalist: the file that names its pairs; empty where the folder itself does.
        ending: of its images.
    """

    write: Callable[[Path], None]
    prepare: tuple[str, str]
    datalist: str = ""
    ending: str = ".png"


LAYOUTS = {
    "folder": Layout(_folder, ("folder", "")),
    "datalist": Layout(_listed, ("", ""), "datalist.json"),
    "classes": Layout(_classes, ("", ""), "datalist.json"),
    "instances": Layout(_instances, ("", ""), "datalist.json"),
    "dicom": Layout(_dicom, ("dicom", ""), "datalist.json", ".dcm"),
    "nifti": Layout(_nifti, ("nifti", ""), "datalist.json", ".nii.gz"),
    "table": Layout(_table, ("csv", "pairs.csv")),
}
