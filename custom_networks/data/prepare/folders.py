"""Your own data: a folder of pairs, or a CSV file that lists them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from custom_networks.data.datalist import SPLITS, ListedImage
from custom_networks.data.formats import stem
from custom_networks.data.pairing import EXTENSIONS, IMAGE_FOLDER, MASK_FOLDERS, find_pairs
from custom_networks.data.prepare.cases import Case, DataSetKind, Stored
from custom_networks.data.prepare.tree import picture_key
from custom_networks.data.remote import as_url, is_remote
from custom_networks.errors import UserError
from custom_networks.files import is_file
from custom_networks.typed_files import read_table

IMAGE_COLUMNS = ("image", "image_path", "input", "path", "file")
LABEL_COLUMNS = ("label", "mask", "label_path", "mask_path", "segmentation")
GROUP = "group"
"""Column of a user's table that says what is not torn apart."""
_SPLIT_NAMES: dict[str, str] = {
    "train": "training",
    "val": "validation",
    "valid": "validation",
    **{name: name for name in SPLITS},
}


def has_pairs_layout(folder: Path) -> bool:
    """Tell whether a folder has images/ beside masks/ or labels/."""
    names = {entry.name.lower() for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()
    return IMAGE_FOLDER in names and bool(names & set(MASK_FOLDERS))


def find_folder(source: Path, axis: int = 2) -> list[Case]:
    """List the pairs of a folder, which may lie in a store, as `sgdnet train` finds them; raises UserError so."""
    found = [(_stored(pair["image"]), _stored(pair["label"])) for pair in find_pairs(source, fetched=False)]
    return [Case(picture_key(image), image, label) for image, label in found]


def _stored(path: str) -> Stored:
    return Stored(as_url(path) if is_remote(path) else path)


def user_table(path: Path) -> list[dict[str, str]]:
    """Read a user's table: CSV, separated by commas, semicolons or tabs; raises UserError as `read_table`."""
    return read_table(path, separators=",;\t", fix="save it as CSV in UTF-8, with the names of the columns first")


def check_columns(source: Path, names: Iterable[str]) -> None:
    """Raise UserError for a further column that the datalist would lose, since it writes another value by that name."""
    for name in names:
        if name in ListedImage.model_fields and name != GROUP:
            hint = "; a column split names the official lists" if name == "fold" else ""
            raise UserError(f"{source}: column {name!r} has a name that the datalist fills itself; rename it{hint}")


def find_listed(source: Path, axis: int = 2) -> list[Case]:
    """List the pairs that a CSV file names.

    Its columns "image" and "label" (or "mask"), else the first two, hold paths that start at the file's own folder. A
    column "id" names the cases (else the image's file name does), "split" gives the official list, "group" says what
    is not torn apart, and all others are passed on.

    Args:
        source: the CSV file.
        axis: unused.

    Returns:
        The cases in the order of the rows.

    Raises:
        UserError: for a table without two columns or rows, a column whose name the datalist fills itself, a missing
            file, or an unknown split.
    """
    table = user_table(source)
    header = list(table[0]) if table else []
    if len(header) < 2:
        raise UserError(f"{source}: no pairs in it; list image and label of each in two columns")
    file = next(
        (
            name
            for name in header
            if name.lower().endswith(EXTENSIONS) or ("." in name and is_file(str(source.parent / name)))
        ),
        None,
    )
    if file is not None:
        raise UserError(f"{source}: line 1 names the file {file}, so there is no header; write image,label above it")
    names = {name.lower(): name for name in header}
    image_column = next((names[name] for name in IMAGE_COLUMNS if name in names), header[0])
    label_column = next((names[name] for name in LABEL_COLUMNS if name in names), header[1])
    special = {names.get("id", ""), names.get("split", ""), image_column, label_column}
    check_columns(source, (name for name in header if name not in special))
    cases = []
    for line, row in enumerate(table, start=2):
        paths = [os.path.normpath(source.parent / row[column].strip()) for column in (image_column, label_column)]
        for path, column in zip(paths, (image_column, label_column), strict=True):
            if not row[column].strip() or not is_file(path):
                raise UserError(f"{source}: line {line}, column {column!r}: no such file as {path}; correct the line")
        split = row[names["split"]].strip().lower() if "split" in names else "training"
        if split not in _SPLIT_NAMES:
            raise UserError(f"{source}: line {line}: split {split!r}; use one of {', '.join(SPLITS)}")
        columns = {name: value for name, value in row.items() if name not in special}
        name = row[names["id"]].strip() if "id" in names else stem(paths[0])
        cases.append(Case(name, Stored(paths[0]), Stored(paths[1]), split=_SPLIT_NAMES[split], columns=columns))
    return cases


FOLDER = DataSetKind(
    "folder", "images/ and masks/ with files of the same name, or NAME.jpg beside NAME_mask.png", find_folder
)
CSV = DataSetKind("csv", "a CSV file with the columns image and label, and any others to keep", find_listed)
