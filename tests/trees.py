"""Tiny data sets in the layouts in which the real ones come."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """RGB noise of size (width, height)."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def square(side: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Mask with a square of that side in its upper left corner."""
    values = np.zeros((size[1], size[0]), np.uint8)
    values[:side, :side] = 255
    return Image.fromarray(values)


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def isic2018(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    """`counts` of "Training", "Validation" and "Test" pairs."""
    number = first
    for part, count in counts.items():
        for _ in range(count):
            name = f"ISIC_{number:07d}"
            save(picture(number), root / f"ISIC2018_Task1-2_{part}_Input" / f"{name}.jpg")
            masks = root / f"ISIC2018_Task1_{part}_GroundTruth"
            save(square(1 + number % 25), masks / f"{name}_segmentation.png")
            number += 1
        (root / f"ISIC2018_Task1-2_{part}_Input" / "LICENSE.txt").write_text("CC")
    return root


def isic2016(root: Path, counts: dict[str, int]) -> Path:
    number = 0
    for part, count in counts.items():
        for _ in range(count):
            name = f"ISIC_{number:07d}"
            save(picture(number), root / f"ISBI2016_ISIC_Part1_{part}_Data" / f"{name}.jpg")
            masks = root / f"ISBI2016_ISIC_Part1_{part}_GroundTruth"
            save(square(1 + number % 25), masks / f"{name}_Segmentation.png")
            number += 1
    return root


def zipped(folder: Path) -> Path:
    """Replace a folder by a zip archive that holds it."""
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, path.relative_to(folder.parent))
    shutil.rmtree(folder)
    return archive


def ph2(root: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        folder = root / "PH2 Dataset images" / name
        save(picture(number), folder / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        save(square(5 + number), folder / f"{name}_lesion" / f"{name}_lesion.bmp")
        save(square(3), folder / f"{name}_roi" / f"{name}_R1_Label4.bmp")
    lines = [f"|| {name} ||    ||     {number % 3}     ||  0  ||" for number, name in enumerate(names)]
    header = "||   Name ||   Histological Diagnosis   ||   Clinical Diagnosis  ||   Asymmetry   ||"
    (root / "PH2_dataset.txt").write_text("\n".join([header, *lines, "", "Legends: ..."]), encoding="latin-1")
    return root


def conic(root: Path, count: int, side: int = 16) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = np.zeros((count, side, side, 2), np.uint16)
    for number in range(count):
        for instance in range(number % 4):
            labels[number, 4 * instance : 4 * instance + 3, 2:9] = (instance + 1 + 300 * (number % 2), 1 + instance)
    np.save(root / "images.npy", rng.integers(0, 256, (count, side, side, 3), np.uint8))
    np.save(root / "labels.npy", labels)
    counts = ["neutrophil,epithelial", *(f"{number},{number % 4}" for number in range(count))]
    (root / "counts.csv").write_text("\n".join(counts))
    slides = ["patch_info", *(f"crag_{number // 3}-{number:04d}" for number in range(count))]
    (root / "patch_info.csv").write_text("\n".join(slides))
    return root


def consep(root: Path, tiles: dict[str, int], patches: int = 2) -> Path:
    for split, count in tiles.items():
        for number in range(count * patches):
            name = f"{split}_{number // patches + 1}_{number % patches:03d}"
            labels = np.zeros((24, 24), np.uint16)
            labels[2:8, 2:8], labels[2:8, 8:12] = 1, 700
            save(picture(number, (24, 24)), root / split / "images" / f"{name}.jpg")
            save(Image.fromarray(labels), root / split / "labels" / f"{name}.png")
            types = Image.fromarray(np.where(labels > 0, 1 + labels % 4, 0).astype(np.uint8))
            save(types, root / split / "types" / f"{name}.png")
    return root


def nifti(path: Path, values: np.ndarray, zooms: tuple[float, ...] = (1.0, 1.0, 1.0), unit: str = "mm") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, np.diag([*zooms, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path
