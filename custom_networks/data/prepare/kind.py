"""What a kind of data set is: how it is found, and what its data card says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from custom_networks.data.prepare.cases import Case


@dataclass(frozen=True)
class DataSetKind:
    """A kind of data set that `sgdnet prepare` knows.

    Args:
        name: as the user writes it.
        layout: what SOURCE must hold, in one line.
        find: lists the cases of a source, the volumes' slices counted along the given axis.
        label_kind: of the labels, see `LABEL_KINDS`.
        split: how it is split unless the user says otherwise, see `splits.METHODS`.
        fractions: training, validation and test, of the method "fractions".
        group_by: column that groups its cases, unless the user says otherwise.
        grouped_from: what that column is read from, for the message where it is missing.
        title: of the data card.
        licence: of the data.
        reference: to cite.
        classes: names of the classes of an instance's type or of a class map.
    """

    name: str
    layout: str
    find: Callable[[Path, int], list[Case]]
    label_kind: str = "mask"
    split: str = "kfold"
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    group_by: str = ""
    grouped_from: str = ""
    title: str = ""
    licence: str = ""
    reference: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
