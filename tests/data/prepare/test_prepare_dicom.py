"""The kind "dicom": SEG by reference, PNG by name, patients numbered and never named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from dicoms import write_dicom, write_segmentation
from PIL import Image


def test_dicom_with_seg_and_png_masks(tmp_path: Path, sgdnet: Callable[..., tuple[int, str, str]]) -> None:
    source = tmp_path / "dicom"
    rng = np.random.default_rng(0)
    for number in range(6):
        folder = source / f"visit{number}"
        values = rng.integers(0, 256, (10, 12, 3), np.uint8)
        patient = f"SECRET-{number // 2}"
        image = write_dicom(folder / "IM1.dcm", values, "RGB", PatientID=patient, PixelSpacing=[0.1, 0.2])
        mask = np.zeros((1, 10, 12, 1), np.uint8)
        mask[0, : 1 + number, :3] = 1
        if number < 5:
            write_segmentation(folder / "any name.dcm", image, mask)
        else:
            image.rename(source / "alone.dcm")
            (source / "masks").mkdir()
            Image.fromarray(mask[0, ..., 0] * np.uint8(255)).save(source / "masks" / "alone.png")
    output = tmp_path / "out"
    words = ("--near_duplicates", "false", "--folds", 3, "--image_size", 5)
    code, _, err = sgdnet("prepare", "dicom", source, "--output", output, *words)
    assert code == 0, err
    items = json.loads((output / "datalist.json").read_text())["training"]
    assert [item["id"] for item in items] == ["alone", *(f"visit{number}_IM1" for number in range(5))]
    assert {item["patient"] for item in items} == {"patient_0001", "patient_0002", "patient_0003"}
    assert len({(item["patient"], item["fold"]) for item in items}) == 3
    assert all(item["spacing"] == [0.2, 0.4] for item in items)
    assert all("SECRET" not in path.read_text() for path in output.iterdir() if path.is_file())
    assert Image.open(output / items[0]["image"]).size == (6, 5)
    code, _, err = sgdnet("prepare", "dicom", source / "visit5", "--output", tmp_path / "none")
    assert code == 1
    assert "no DICOM images in it" in err
