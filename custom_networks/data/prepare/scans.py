"""NIfTI pictures and volumes, and DICOM pictures with masks as DICOM SEG, DICOM or PNG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from custom_networks.data.formats import Slice, dicom, nifti, stem
from custom_networks.data.pairing import EXTENSIONS as PICTURES
from custom_networks.data.pairing import IMAGE_FOLDER, MASK_FOLDERS, MASK_SUFFIXES, base_of
from custom_networks.data.prepare.cases import Case, DataSetKind, Stored
from custom_networks.data.prepare.tree import join_pictures, list_pictures, picture_key
from custom_networks.errors import UserError

NIFTI_FOLDERS = (("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr"))


def find_nifti(source: Path, axis: int = 2) -> list[Case]:
    """List the pictures of NIfTI pairs, every slice of a volume as a case of its own.

    Args:
        source: folder with images/ beside masks/ or labels/, imagesTr/ beside labelsTr/, or NAME.nii.gz beside
            NAME_mask.nii.gz.
        axis: of volumes, along which their slices are counted.

    Returns:
        The cases, with "volume" and, where there are several, "slice" as columns.

    Raises:
        UserError: when there are no pairs, or a mask on another grid; and as `join_pictures`.
    """
    folders = next((f for f in NIFTI_FOLDERS if all((source / name).is_dir() for name in f)), None)
    if folders:
        images, masks = (list_pictures(source / name, nifti.EXTENSIONS) for name in folders)
    else:
        found = list_pictures(source, nifti.EXTENSIONS)
        images, masks = _apart(found, [base_of(picture_key(picture)) is not None for picture in found])
    if not images:
        raise UserError(f"{source}: no .nii or .nii.gz images; put them into images/ and their masks into masks/")
    cases: list[Case] = []
    for name, image, mask in join_pictures(images, masks, source):
        if not nifti.same_space(image.path, mask.path):
            raise UserError(f"{mask.path}: not on the grid of its image {image.path}; resample it to the image")
        shape = nifti.volume_shape(image.path)
        if len(shape) == 2:
            cases.append(Case(name, image, mask, columns={"volume": name}))
            continue
        for index in range(shape[axis] if len(shape) == 3 else 1):
            at = Slice(axis, index)
            facts = {"volume": name, "slice": index}
            cases.append(
                Case(f"{name}_{index:03d}", Stored(image.path, at=at), Stored(mask.path, at=at), columns=facts)
            )
    return cases


def find_dicom(source: Path, axis: int = 2) -> list[Case]:
    """List DICOM pictures with their masks.

    A DICOM SEG belongs to the images that it refers to; other masks, DICOM or PNG, lie in masks/ or labels/ or end in
    `_mask` (or another of `MASK_SUFFIXES`), and are named as their image.

    Args:
        source: folder, with subfolders.
        axis: unused.

    Returns:
        The cases. "patient" numbers the patients where the files name them; the identifiers themselves are not kept.

    Raises:
        UserError: when there are no images, an image without mask or with two SEG objects; and as `join_pictures`.
    """
    images: list[Stored] = []
    masks: list[Stored] = []
    patient_of: dict[str, str] = {}
    uid_of: dict[str, str] = {}
    segmentation_of: dict[str, str] = {}
    for picture in list_pictures(source, ()):
        if not dicom.is_dicom(picture.path):
            masks += [picture] if picture.path.lower().endswith(PICTURES) else []
            continue
        header = dicom.read_header(picture.path)
        if dicom.is_segmentation(picture.path):
            for uid in dicom.references(header):
                if segmentation_of.setdefault(uid, picture.path) != picture.path:
                    raise UserError(f"{picture.path}: {segmentation_of[uid]} marks the same image; remove one of them")
        elif _is_mask(Path(picture.path).relative_to(source)):
            masks.append(picture)
        elif "Rows" in header:  # a DICOMDIR or a report is no picture
            images.append(picture)
            uid_of[picture.path] = str(header.get("SOPInstanceUID", ""))
            patient_of[picture.path] = str(header.get("PatientID") or "")
    if not images:
        raise UserError(f"{source}: no DICOM images in it; give the folder that holds them")
    named = [picture for picture in images if uid_of[picture.path] not in segmentation_of]
    pairs = [(image, mask) for _, image, mask in join_pictures(named, masks, source)] if named or masks else []
    for image in images:
        uid = uid_of[image.path]
        if uid in segmentation_of:
            pairs.append((image, Stored(segmentation_of[uid], image_uid=uid)))
    numbers = {name: number for number, name in enumerate(sorted({*patient_of.values()} - {""}), start=1)}
    facts = {path: {"patient": f"patient_{numbers[name]:04d}"} if name else {} for path, name in patient_of.items()}
    pairs.sort(key=lambda pair: pair[0].path)
    names = _unique_names([Path(image.path).relative_to(source) for image, _ in pairs])
    return [Case(n, image, mask, columns=facts[image.path]) for n, (image, mask) in zip(names, pairs, strict=True)]


def _apart(pictures: Sequence[Stored], are_masks: Sequence[bool]) -> tuple[list[Stored], list[Stored]]:
    marked = list(zip(pictures, are_masks, strict=True))
    return [picture for picture, mask in marked if not mask], [picture for picture, mask in marked if mask]


def _is_mask(path: Path) -> bool:
    folders = {part.lower() for part in path.parts[:-1]}
    return bool(folders & set(MASK_FOLDERS)) or stem(path).lower().endswith(MASK_SUFFIXES)


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Names of the files, with their folders (but images/) where a name comes twice."""
    counts = Counter(stem(path) for path in paths)
    folders = [[part for part in path.parts[:-1] if part.lower() != IMAGE_FOLDER] for path in paths]
    return [
        "_".join([*parts, stem(path)]) if counts[stem(path)] > 1 else stem(path)
        for path, parts in zip(paths, folders, strict=True)
    ]


NIFTI = DataSetKind(
    name="nifti",
    layout="images/ and masks/ with .nii or .nii.gz files, or NAME.nii.gz beside NAME_mask.nii.gz",
    find=find_nifti,
    group_by="volume",
)
DICOM = DataSetKind(
    name="dicom",
    layout="DICOM images of one frame, with DICOM SEG objects or masks/ of the same names",
    find=find_dicom,
    group_by="patient",
    grouped_from="PatientID in the DICOM header",
)
