"""Nuclei in histology, as instance maps with a class map: CoNIC (NumPy stacks) and CoNSeP (patches as pictures)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from custom_networks.data.prepare.cases import ArrayEntry, Case, DataSetKind
from custom_networks.data.prepare.folders import user_table
from custom_networks.data.prepare.tree import join_pictures, list_pictures
from custom_networks.errors import UserError

CONIC_CLASSES = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
CONSEP_CLASSES = ("other", "inflammatory", "epithelial", "spindle-shaped")


def find_conic(source: Path, axis: int = 2) -> list[Case]:
    """List the patches of CoNIC; the arrays are mapped, only their headers are read.

    Args:
        source: folder with images.npy (N, 256, 256, 3) and labels.npy (N, 256, 256, 2: instances, classes); counts.csv
            (nuclei of each class) and patch_info.csv (name of each patch, which tells its slide) are read where there.
        axis: unused.

    Returns:
        The cases, with their counts and "slide" as columns.

    Raises:
        UserError: for a missing or damaged array, or one of another shape, or tables of another length.
    """
    images, labels = _map(source / "images.npy"), _map(source / "labels.npy")
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise UserError(f"{source / 'images.npy'}: {images.dtype} of {images.shape}; CoNIC has uint8 (N, 256, 256, 3)")
    if labels.shape != (*images.shape[:3], 2):
        wanted = (*images.shape[:3], 2)
        raise UserError(f"{source / 'labels.npy'}: shape {labels.shape}, but images want {wanted}; download it again")
    columns: list[dict[str, object]] = [{} for _ in range(len(images))]
    for path in (source / "counts.csv", source / "patch_info.csv"):
        if not path.is_file():
            continue
        table = user_table(path)
        if len(table) != len(images):
            raise UserError(f"{path}: {len(table)} rows for {len(images)} patches; download it again")
        for number, row in enumerate(table):
            columns[number] |= _facts(row)
    paths = str(source / "images.npy"), str(source / "labels.npy")
    return [
        Case(
            id=f"conic_{number:04d}",
            image=ArrayEntry(paths[0], number),
            label=ArrayEntry(paths[1], number, 0),
            types=ArrayEntry(paths[1], number, 1),
            columns=columns[number],
        )
        for number in range(len(images))
    ]


def _facts(row: dict[str, str]) -> dict[str, object]:
    """Counts as numbers; of a patch's name such as "consep_1-0000" the part before the hyphen, its slide."""
    facts: dict[str, object] = {name: int(value) for name, value in row.items() if value.isdigit()}
    if "patch_info" in row:
        facts |= {"patch": row["patch_info"], "slide": row["patch_info"].rpartition("-")[0] or row["patch_info"]}
    return facts


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; CoNIC is images.npy and labels.npy in one folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a whole NumPy array ({error}); download it again") from None


def find_consep(source: Path, axis: int = 2) -> list[Case]:
    """List the patches of CoNSeP, cut from tiles: `train/` and `test/`, each with images/, labels/ and types/.

    Args:
        source: the folder that holds them.
        axis: unused.

    Returns:
        The cases, with "tile" as a column.

    Raises:
        UserError: when there is no such folder; and as `join_pictures`.
    """
    cases = []
    for split, name in (("training", "train"), ("test", "test")):
        folder = source / name
        if not folder.is_dir():
            continue
        images, labels, types = (list_pictures(folder / part) for part in ("images", "labels", "types"))
        type_of = {patch: classes for patch, _, classes in join_pictures(images, types, folder / "types")}
        for patch, image, label in join_pictures(images, labels, folder / "labels"):
            tile = patch.rpartition("_")[0] or patch
            cases.append(Case(patch, image, label, type_of[patch], split, {"tile": tile}))
    if not cases:
        raise UserError(
            f"{source}: no patches in it; it must hold train/ and test/, each with images/, labels/ and types/"
        )
    return cases


def _numbered(names: tuple[str, ...]) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names, start=1)}


CONIC = DataSetKind(
    name="conic",
    layout="images.npy, labels.npy and patch_info.csv, and counts.csv where there",
    find=find_conic,
    label_kind="instances",
    split="fractions",
    group_by="slide",
    grouped_from="patch_info.csv beside images.npy",
    title="CoNIC challenge: nuclei in colon tissue, H&E at 20x",
    licence="CC BY-NC-SA 4.0 (non-commercial)",
    reference=(
        "Graham S. et al., CoNIC challenge: pushing the frontiers of nuclear detection, segmentation, classification "
        "and counting, Medical Image Analysis 92 (2024) 103047; Graham S. et al., Lizard, ICCV Workshops 2021"
    ),
    classes=_numbered(CONIC_CLASSES),
)
CONSEP = DataSetKind(
    name="consep",
    layout="train/ and test/, each with images/, labels/ (16-bit instance maps) and types/ (class maps)",
    find=find_consep,
    label_kind="instances",
    split="official",
    group_by="tile",
    title="CoNSeP: nuclei in colorectal adenocarcinoma, H&E at 40x",
    licence="non-commercial research only",
    reference=(
        "Graham S. et al., HoVer-Net: simultaneous segmentation and classification of nuclei in multi-tissue histology "
        "images, Medical Image Analysis 58 (2019) 101563"
    ),
    classes=_numbered(CONSEP_CLASSES),
)
