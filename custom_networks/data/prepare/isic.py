"""ISIC 2016 and 2018, lesion segmentation: the challenge's folders or zip archives as they are downloaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from custom_networks.data.prepare.cases import Case, DataSetKind
from custom_networks.data.prepare.folders import find_folder, has_pairs_layout
from custom_networks.data.prepare.tree import join_pictures, list_pictures
from custom_networks.errors import UserError

Parts = dict[str, tuple[str, str]]

PARTS_2016: Parts = {
    "training": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
    "test": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
}
PARTS_2018: Parts = {
    split: (f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth")
    for split, part in (("training", "Training"), ("validation", "Validation"), ("test", "Test"))
}


def find_challenge(source: Path, axis: int, parts: Parts) -> list[Case]:
    """List the cases of the challenge's parts that are there, or of a folder with images/ and masks/.

    Args:
        source: folder that holds the parts, unpacked or as .zip, or itself the pairs.
        axis: unused.
        parts: names of the image and the mask folder of each official list.

    Returns:
        The cases.

    Raises:
        UserError: when no part, or only one half of a part, is there; and as `join_pictures`.
    """
    if has_pairs_layout(source):
        return find_folder(source, axis)
    cases = []
    for split, names in parts.items():
        places = [_place(source, name) for name in names]
        if not any(places):
            continue
        images, masks = places
        if images is None or masks is None:
            missing, present = (names[0], masks) if images is None else (names[1], images)
            raise UserError(f"{source}: {missing} is missing beside {present}; download it, or move the latter away")
        photographs = [p for p in list_pictures(images) if "_superpixels" not in Path(p.name).name]
        pairs = join_pictures(photographs, list_pictures(masks), masks)
        cases += [Case(name, image, mask, split=split) for name, image, mask in pairs]
    if not cases:
        raise UserError(f"{source}: no pictures of this challenge; put {' and '.join(parts['training'])} there")
    return cases


def _place(source: Path, name: str) -> Path | None:
    """Folder or archive of that name."""
    return next((path for path in (source / name, source / f"{name}.zip") if path.exists()), None)


ISIC2016 = DataSetKind(
    name="isic2016",
    layout="ISBI2016_ISIC_Part1_Training_Data and _GroundTruth, the same for Test; folders or .zip",
    find=partial(find_challenge, parts=PARTS_2016),
    split="official",
    title="ISIC 2016 challenge, part 1: lesion segmentation in dermoscopy",
    licence="CC0 1.0",
    reference=(
        "Gutman D. et al., Skin lesion analysis toward melanoma detection: a challenge at the International Symposium "
        "on Biomedical Imaging (ISBI) 2016, arXiv:1605.01397"
    ),
)
ISIC2018 = DataSetKind(
    name="isic2018",
    layout="ISIC2018_Task1-2_Training_Input and ISIC2018_Task1_Training_GroundTruth, the same for Validation and Test; "
    "folders or .zip",
    find=partial(find_challenge, parts=PARTS_2018),
    title="ISIC 2018 challenge, task 1: lesion segmentation in dermoscopy",
    licence="CC BY-NC 4.0 (non-commercial)",
    reference=(
        "Codella N. et al., Skin lesion analysis toward melanoma detection 2018, arXiv:1902.03368; Tschandl P. et al., "
        "The HAM10000 dataset, Scientific Data 5:180161 (2018)"
    ),
)
