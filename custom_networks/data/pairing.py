"""Find the image and mask pairs of a folder, or its images alone."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from custom_networks.data.remote import as_url, fetch, is_remote, scan
from custom_networks.errors import UserError, nearest
from custom_networks.files import PathLike

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = ("_segmentation", "_mask", "_lesion")
IMAGE_FOLDER = "images"
MASK_FOLDERS = ("masks", "labels")
LAYOUT = "images/ and masks/ with files of the same name, or NAME.jpg beside NAME_mask.png"

Item = dict[str, str]
P = TypeVar("P")


def find_pairs(dataset_dir: PathLike, fetched: bool = True) -> list[Item]:
    """Find the pairs of a data set folder.

    Layout A: `images/` and `masks/` (or `labels/`); a mask is named as its image, or with a suffix of `MASK_SUFFIXES`.
    Layout B: the masks lie beside the images and carry such a suffix. Extensions and suffixes may be in any case;
    hidden files, folders and files of other kinds are passed over.

    Args:
        dataset_dir: the folder, which may lie in a store (`s3://bucket/folder`).
        fetched: false leaves the files of a store there, and names them so.

    Returns:
        `{"image": path, "label": path}` for each pair, with absolute paths, sorted by the image's file name.

    Raises:
        UserError: when there is no such folder or no pair in it, when an image or a mask lacks its partner, or when two
            images or two masks share a name.
    """
    if fetched and is_remote(dataset_dir):
        return _fetched(find_pairs(dataset_dir, fetched=False))
    folder = existing_folder(dataset_dir)
    subfolders, pictures = _scan(folder)
    by_name = {name.lower(): folder / name for name in subfolders}
    mask_folders = [by_name[name] for name in MASK_FOLDERS if name in by_name]
    if IMAGE_FOLDER in by_name and mask_folders:
        if len(mask_folders) > 1:
            raise UserError(f"{folder}: both masks/ and labels/ are there; rename the one that is not to be used")
        return _pairs_in_two_folders(by_name[IMAGE_FOLDER], mask_folders[0])
    if any(base_of(_stem(path)) for path in pictures):
        return _pairs_in_one_folder(folder, pictures)
    raise UserError(f"{folder}: no image and mask pairs; {_layout_fix(folder, subfolders)}")


def find_images(dataset_dir: PathLike) -> list[Item]:
    """Find the images of a folder to predict: those in `images/` where there is one, else its own, masks left out.

    Args:
        dataset_dir: the folder.

    Returns:
        `{"image": path}` for each, with absolute paths, sorted by file name.

    Raises:
        UserError: when there is no such folder or no image in it, or two images share a name.
    """
    folder = existing_folder(dataset_dir)
    subfolders, pictures = _scan(folder)
    inside = next((folder / name for name in subfolders if name.lower() == IMAGE_FOLDER), None)
    if inside is not None:
        folder, pictures = inside, _scan(inside)[1]
    stems = {_stem(path) for path in pictures}
    images = [path for path in pictures if base_of(_stem(path)) not in stems]
    if not images:
        raise UserError(f"{folder}: no images in it; give a folder with {', '.join(EXTENSIONS)} files")
    found = [{"image": str(path)} for path in unique(((_stem(path), path) for path in images), "images").values()]
    return _fetched(found) if is_remote(folder) else found


def find_partners(paths: Iterable[PathLike], folder: PathLike, what: str) -> dict[str, str]:
    """Find for each file the picture of a folder that is of the same case.

    Names are of one case where they are the same without extension, a suffix of `MASK_SUFFIXES` and nnU-Net's channel
    number: `case_0000.png`, `case.png` and `case_mask.tif`. Pictures of other cases are passed over.

    Args:
        paths: files, such as labels.
        folder: that holds their partners, such as predictions.
        what: the partners are, for messages.

    Returns:
        Absolute paths of the partners by the files' own.

    Raises:
        UserError: when there is no such folder, a file has no partner, or two files are of one case.
    """
    given = {str(path): _case(Path(path)) for path in paths}
    unique(((case, path) for path, case in given.items()), "files")
    root = existing_folder(folder)
    found = unique(((_case(path), path) for path in _scan(root)[1]), "files")
    lonely = [path for path, case in given.items() if case not in found]
    if lonely:
        raise UserError(
            f"{lonely[0]}: no {what} of this name in {root}{and_more(lonely)}; put {given[lonely[0]]}.png there"
        )
    return {path: str(found[case]) for path, case in given.items()}


def find_pictures(folder: PathLike) -> list[str]:
    """List the pictures of a folder; raises UserError when there is no such folder or none in it."""
    root = existing_folder(folder)
    pictures = _scan(root)[1]
    if not pictures:
        raise UserError(f"{root}: no pictures in it; put {', '.join(EXTENSIONS)} files there")
    return [str(path) for path in pictures]


def _case(path: Path) -> str:
    """Name of the case that a file of an image, a label or a prediction belongs to."""
    stem = _stem(path).removesuffix("_0000")
    return base_of(stem) or stem


# ---------------------------------------------------------------------------------------------- folders


def existing_folder(dataset_dir: PathLike) -> Path:
    """Make the path of a data set absolute; raises UserError where it is no folder, with the nearest name."""
    if not str(dataset_dir):
        raise UserError(f"dataset_dir is empty; give the folder that holds {LAYOUT}")
    if is_remote(dataset_dir):
        return Path(as_url(dataset_dir))
    # os.path: links stay as they are, and a closed folder on the way raises nothing
    folder = Path(os.path.abspath(os.path.expanduser(dataset_dir)))  # noqa: PTH100, PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        return folder
    if os.path.exists(folder):  # noqa: PTH110
        raise UserError(f"{folder}: this is a file; give the folder that holds {LAYOUT}")
    siblings = _scan(folder.parent)[0] if os.path.isdir(folder.parent) else []  # noqa: PTH112
    hint = nearest(folder.name, siblings) or f"; give the folder that holds {LAYOUT}"
    raise UserError(f"{folder}: no such folder{hint}")


def _fetched(items: list[Item]) -> list[Item]:
    """Fetch the files of items from a store."""
    local = iter(fetch([path for item in items for path in item.values()]))
    return [{part: next(local) for part in item} for item in items]


def _scan(folder: Path) -> tuple[list[str], list[Path]]:
    """List a folder's subfolders (names) and pictures (paths), sorted, without the hidden ones."""
    if is_remote(folder):
        folders, files = scan(folder)
        return folders, [folder / name for name in files if name.lower().endswith(EXTENSIONS)]
    subfolders, pictures = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if is_folder(entry):
                    subfolders.append(entry.name)
                elif entry.name.lower().endswith(EXTENSIONS):
                    pictures.append(entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from None
    return sorted(subfolders), [folder / name for name in sorted(pictures)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _layout_fix(folder: Path, subfolders: list[str]) -> str:
    """Say what to do about a folder without pairs, from what else lies in and around it."""
    inside = [name for name in subfolders if (folder / name / IMAGE_FOLDER).is_dir()]
    if inside:
        return f"did you mean {str(folder / inside[0])!r}?"
    known = (IMAGE_FOLDER, *MASK_FOLDERS)
    if folder.name.lower() in known:
        return f"give the folder above it, {str(folder.parent)!r}"
    present = [name.lower() for name in subfolders if name.lower() in known]
    if not present:
        return f"give a folder that holds {LAYOUT}"
    missing = MASK_FOLDERS[0] if IMAGE_FOLDER in present else IMAGE_FOLDER
    others = [name for name in subfolders if name.lower() not in known]
    return f"{missing}/ is missing beside {present[0]}/; {_rename(missing, others)}"


def _rename(wanted: str, present: Iterable[str]) -> str:
    """Propose to rename what looks like a misspelt `wanted`, or else to add it."""
    near = next((name for name in present if nearest(name.lower(), [wanted])), None)
    return f"rename {near!r} to {wanted!r}" if near else f"add {wanted!r}"


# ---------------------------------------------------------------------------------------------- pairs


def base_of(mask: str) -> str | None:
    """Return the name of the image that a mask belongs to by its suffix, or None without one; no extensions."""
    suffix = next((suffix for suffix in MASK_SUFFIXES if mask.lower().endswith(suffix)), "")
    return mask[: -len(suffix)] or None if suffix else None


def composed(name: str) -> str:
    """Return a name composed, since macOS writes accents decomposed."""
    return unicodedata.normalize("NFC", name)


def pair_by_name(
    images: Iterable[tuple[str, P]],
    masks: Iterable[tuple[str, P]],
    name: Callable[[P], str] = str,
    fix: Callable[[P], str] = lambda image: "add it",
) -> list[tuple[str, P, P]]:
    """Join images and masks on their names, the mask's with or without one of `MASK_SUFFIXES`.

    Args:
        images: each with its name, without extension.
        masks: likewise.
        name: what messages call one.
        fix: what to do where an image has no mask.

    Returns:
        (name, image, mask) of each pair in the order of the images.

    Raises:
        UserError: for an image or a mask without partner, and for two of one name.
    """
    image_of = unique(images, "images", name)
    mask_of = unique(((key if key in image_of else base_of(key) or key, mask) for key, mask in masks), "masks", name)
    lonely = [image for key, image in image_of.items() if key not in mask_of]
    if lonely:
        raise UserError(
            f"{name(lonely[0])}: no mask for this image{and_more(lonely)}; {fix(lonely[0])}, or remove the image"
        )
    lonely = [mask for key, mask in mask_of.items() if key not in image_of]
    if lonely:
        raise UserError(
            f"{name(lonely[0])}: no image for this mask{and_more(lonely)}; add the image, or remove the mask"
        )
    return [(key, image, mask_of[key]) for key, image in image_of.items()]


def unique(keyed: Iterable[tuple[str, P]], what: str, name: Callable[[P], str] = str) -> dict[str, P]:
    """Key what has names; raises UserError for two of one name."""
    found: dict[str, P] = {}
    for key, one in keyed:
        if key in found:
            other = Path(name(found[key])).name
            raise UserError(f"{name(one)}: {other} has the same name, so two {what} would count as one; remove one")
        found[key] = one
    return found


def _stem(path: Path) -> str:
    return composed(path.stem)


def _pairs_in_two_folders(image_folder: Path, mask_folder: Path) -> list[Item]:
    images, masks = _scan(image_folder)[1], _scan(mask_folder)[1]
    for folder, found in ((image_folder, images), (mask_folder, masks)):
        if not found:
            raise UserError(f"{folder}: no pictures in it; put {', '.join(EXTENSIONS)} files there")
    return _joined(images, masks, lambda image: mask_folder / f"{image.stem}.png")


def _pairs_in_one_folder(folder: Path, pictures: list[Path]) -> list[Item]:
    bases = {base_of(_stem(path)) for path in pictures}
    images: list[Path] = []
    masks: list[Path] = []
    for path in pictures:  # "left_lesion.jpg" is an image where "left_lesion_mask.png" exists
        (images if base_of(_stem(path)) is None or _stem(path) in bases else masks).append(path)
    return _joined(images, masks, lambda image: folder / f"{image.stem}_mask.png")


def _joined(images: list[Path], masks: list[Path], wanted: Callable[[Path], Path]) -> list[Item]:
    def fix(image: Path) -> str:
        return f"add it as {wanted(image)} (its name may end in {', '.join(MASK_SUFFIXES)})"

    pairs = pair_by_name([(_stem(path), path) for path in images], [(_stem(path), path) for path in masks], fix=fix)
    return [{"image": str(image), "label": str(mask)} for _, image, mask in pairs]


def and_more(found: Sequence[Any]) -> str:
    """Say how many others there are of what a sentence names one of."""
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
