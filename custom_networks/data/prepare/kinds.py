"""The kinds of data set that `sgdnet prepare` knows; a new one is a `DataSetKind` in its own file and a name here."""

from __future__ import annotations

from custom_networks.data.prepare.cases import DataSetKind
from custom_networks.data.prepare.folders import CSV, FOLDER
from custom_networks.data.prepare.isic import ISIC2016, ISIC2018
from custom_networks.data.prepare.nuclei import CONIC, CONSEP
from custom_networks.data.prepare.ph2 import PH2
from custom_networks.data.prepare.scans import DICOM, NIFTI
from custom_networks.errors import UserError, nearest

KINDS = {kind.name: kind for kind in (ISIC2016, ISIC2018, PH2, CONIC, CONSEP, FOLDER, CSV, NIFTI, DICOM)}


def kind_of(name: str) -> DataSetKind:
    """Return the kind of that name; raises UserError with the nearest one where there is none."""
    if name not in KINDS:
        raise UserError(f"{name}: no such kind of data set; use {', '.join(KINDS)}{nearest(name, KINDS)}")
    return KINDS[name]
