"""The kinds of data set, and what a user asks of `sgdnet prepare`, checked before anything is read.

A new kind is a `DataSetKind` in its own file and a name in `KINDS` here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from custom_networks.data.datalist import LABEL_KINDS
from custom_networks.data.prepare.cache import FITS
from custom_networks.data.prepare.cases import DataSetKind
from custom_networks.data.prepare.folders import CSV, FOLDER
from custom_networks.data.prepare.isic import ISIC2016, ISIC2018
from custom_networks.data.prepare.nuclei import CONIC, CONSEP
from custom_networks.data.prepare.ph2 import PH2
from custom_networks.data.prepare.scans import DICOM, NIFTI
from custom_networks.data.prepare.splits import METHODS, parse_fractions
from custom_networks.data.remote import as_url, is_remote
from custom_networks.errors import UserError, nearest

KINDS = {kind.name: kind for kind in (ISIC2016, ISIC2018, PH2, CONIC, CONSEP, FOLDER, CSV, NIFTI, DICOM)}


def kind_of(name: str) -> DataSetKind:
    """Return the kind of that name; raises UserError with the nearest one where there is none."""
    if name not in KINDS:
        raise UserError(f"{name}: no such kind of data set; use {', '.join(KINDS)}{nearest(name, KINDS)}")
    return KINDS[name]


@dataclass(frozen=True)
class Settings:
    """All that decides what is written; empty texts take the kind's own value.

    Args:
        kind: a name of `KINDS`.
        source: the data set as downloaded.
        image_size: short side (or both sides) of the copies in pixels; 0 keeps their size.
        fit: "short" or "exact".
        label_kind: "mask", "instances" or "classes".
        axis: of NIfTI volumes, along which slices are counted.
        split: one of `METHODS`.
        folds: of the training list.
        fractions: of training, validation and test, such as "7:1:2".
        seed: of the split.
        group_by: column or pattern, see `group_names`; empty takes the kind's own column.
        near_duplicates: keep images that show the same in one fold.
        table: CSV file with further columns, whose first column holds the ids.
        test_datalist: datalist of another prepared data set whose images become the test list.

    Raises:
        UserError: for a value that cannot be.
    """

    kind: str
    source: str
    image_size: int = 0
    fit: str = "short"
    label_kind: str = ""
    axis: int = 2
    split: str = ""
    folds: int = 5
    fractions: str | Sequence[float] = ""
    seed: int = 0
    group_by: str = ""
    near_duplicates: bool = True
    table: str = ""
    test_datalist: str = ""

    def __post_init__(self) -> None:
        known = kind_of(self.kind)
        source = Path(os.path.expanduser(self.source)).absolute()  # noqa: PTH111  ~nouser stays as it is
        if is_remote(self.source):
            if known.name != "folder":
                raise UserError(f"{self.source}: of a store the kind folder alone is read; copy the data set to a disk")
        elif not self.source or not os.path.exists(source):  # noqa: PTH110  a name may be too long
            raise UserError(f"{self.source or 'SOURCE'}: no such file or folder; give the data set: {known.layout}")
        if source.is_file() != (self.kind == "csv") and source.suffix.lower() != ".zip":
            what = "a CSV file" if self.kind == "csv" else "the folder of the data set"
            raise UserError(f"{self.source}: kind {self.kind} needs {what}: {known.layout}")
        text = ":".join(map(str, self.fractions)) if not isinstance(self.fractions, str) else self.fractions
        filled = {
            "source": as_url(self.source) if is_remote(self.source) else str(source),
            "label_kind": self.label_kind or known.label_kind,
            "split": self.split or known.split,
            "fractions": parse_fractions(text) if text else known.fractions,
        }
        for name, value in filled.items():
            object.__setattr__(self, name, value)
        for name, allowed in (("split", METHODS), ("fit", FITS), ("label_kind", LABEL_KINDS)):
            value = str(getattr(self, name))
            if value not in allowed:
                raise UserError(f"--{name} {value}: must be one of {', '.join(allowed)}{nearest(value, allowed)}")
        for name, least in (("image_size", 0), ("folds", 2), ("seed", 0)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise UserError(f"--{name} {number}: must be a whole number from {least} up")
        if self.axis not in (0, 1, 2):
            raise UserError(f"--axis {self.axis}: must be 0, 1 or 2, along which a volume's slices are counted")
        if not isinstance(self.near_duplicates, bool):
            raise UserError(f"--near_duplicates {self.near_duplicates}: must be true or false")

    def as_dict(self) -> dict[str, Any]:
        """Every setting, as JSON gives it back."""
        return asdict(self) | {"fractions": list(self.fractions)}
