"""PH2: the original tree of bitmaps, or a folder with images/ and masks/."""

from __future__ import annotations

import re
from pathlib import Path

from custom_networks.data.prepare.cases import Case, DataSetKind
from custom_networks.data.prepare.folders import find_folder, has_pairs_layout, user_table
from custom_networks.data.prepare.tree import join_pictures, list_pictures
from custom_networks.errors import UserError

DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
_LEVELS_UP_TO_TABLE = 2


def find_ph2(source: Path, axis: int = 2) -> list[Case]:
    """List the cases: `IMD003/IMD003_Dermoscopic_Image/IMD003.bmp` with `IMD003/IMD003_lesion/IMD003_lesion.bmp`.

    Args:
        source: the folder of the images, one above it, a zip of either, or a folder with images/ and masks/.
        axis: unused.

    Returns:
        The cases, with "diagnosis" and the other columns of PH2_dataset.txt or .csv where it lies there.

    Raises:
        UserError: when there are no such files; and as `join_pictures`.
    """
    if has_pairs_layout(source):
        cases = find_folder(source, axis)
    else:
        pictures = list_pictures(source)
        in_folder = [(re.split(r"[/\\]", picture.name)[-2].lower(), picture) for picture in pictures]
        images = [picture for folder, picture in in_folder if folder.endswith("_dermoscopic_image")]
        masks = [picture for folder, picture in in_folder if folder.endswith("_lesion")]
        if not images:
            raise UserError(f"{source}: no IMD003/IMD003_Dermoscopic_Image/IMD003.bmp in it; give the folder of PH2")
        cases = [Case(name, image, mask) for name, image, mask in join_pictures(images, masks, source)]
    facts = _facts(source)
    return [Case(case.id, case.image, case.label, split="test", columns=facts.get(case.id, {})) for case in cases]


def _facts(source: Path) -> dict[str, dict[str, str]]:
    """Columns of each case from the table of PH2, by its name; empty where there is no table."""
    folders = [source, *source.absolute().parents[:_LEVELS_UP_TO_TABLE]]
    places = [folder / f"PH2_dataset.{end}" for folder in folders for end in ("csv", "txt")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    facts = {}
    for row in user_table(path) if path.suffix == ".csv" else _read_text_table(path):
        cells = {name.lower().replace(" ", "_"): value.strip() for name, value in row.items()}
        name, diagnosis = cells.pop("name", ""), cells.pop("clinical_diagnosis", "")
        facts[name] = {"diagnosis": DIAGNOSES.get(diagnosis, diagnosis)} | {k: v for k, v in cells.items() if k and v}
    return facts


def _read_text_table(path: Path) -> list[dict[str, str]]:
    """Read PH2_dataset.txt, whose cells lie between double bars."""
    lines = path.read_text(encoding="latin-1").splitlines()
    rows = [[cell.strip() for cell in line.strip().strip("|").split("||")] for line in lines if "||" in line]
    header = next((row for row in rows if row[0] == "Name"), [])
    found = [row for row in rows if len(row) == len(header) and row[0].startswith("IMD")]
    return [dict(zip(header, row, strict=True)) for row in found]


PH2 = DataSetKind(
    name="ph2",
    layout="PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp and IMD003_lesion/IMD003_lesion.bmp",
    find=find_ph2,
    split="official",
    title="PH2: dermoscopic images of the Hospital Pedro Hispano, Matosinhos",
    licence="research and education only",
    reference=(
        "Mendonca T. et al., PH2: a dermoscopic image database for research and benchmarking, EMBC 2013, pp. 5437-5440"
    ),
)
