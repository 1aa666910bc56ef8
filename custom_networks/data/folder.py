"""Find the image and mask pairs of a folder, or read them from a MONAI datalist, and split them into folds."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from monai.config import PathLike
from monai.data import partition_dataset, select_cross_validation_folds

from custom_networks.data.remote import as_url, fetch, fetch_items, is_remote, remote_base, scan
from custom_networks.errors import UserError, nearest
from custom_networks.files import open_regular

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = ("_segmentation", "_mask", "_lesion")
IMAGE_FOLDER = "images"
MASK_FOLDERS = ("masks", "labels")
PARTS = ("image", "label", "types")  # files of a datalist's item; "types" is the class map of an instance map
LAYOUT = "images/ and masks/ with files of the same name, or NAME.jpg beside NAME_mask.png"

Item = dict[str, str]


def find_pairs(dataset_dir: PathLike, fetch: bool = True) -> list[Item]:
    """Find the pairs of a data set folder.

    Layout A: `images/` and `masks/` (or `labels/`); a mask is named as its image, or with a suffix of `MASK_SUFFIXES`.
    Layout B: the masks lie beside the images and carry such a suffix. Extensions and suffixes may be in any case;
    hidden files, folders and files of other kinds are passed over.

    Args:
        dataset_dir: the folder, which may lie in a store (`s3://bucket/folder`).
        fetch: false leaves the files of a store there, and names them so.

    Returns:
        `{"image": path, "label": path}` for each pair, with absolute paths, sorted by the image's file name.

    Raises:
        UserError: when there is no such folder or no pair in it, when an image or a mask lacks its partner, or when two
            images or two masks share a name.
    """
    if fetch and is_remote(dataset_dir):
        return fetch_items(find_pairs(dataset_dir, fetch=False), PARTS)
    folder = _folder(dataset_dir)
    subfolders, pictures = _scan(folder)
    by_name = {name.lower(): folder / name for name in subfolders}
    mask_folders = [by_name[name] for name in MASK_FOLDERS if name in by_name]
    if IMAGE_FOLDER in by_name and mask_folders:
        if len(mask_folders) > 1:
            raise UserError(f"{folder}: both masks/ and labels/ are there; rename the one that is not to be used")
        return _pairs_in_two_folders(by_name[IMAGE_FOLDER], mask_folders[0])
    if any(_base(_stem(path)) for path in pictures):
        return _pairs_in_one_folder(folder, pictures)
    raise UserError(f"{folder}: no image and mask pairs; {_layout_fix(folder, subfolders)}")


def load_datalist(
    dataset_dir: PathLike, datalist: PathLike | None = None, fold: int = 0, folds: int = 5, seed: int = 0
) -> tuple[list[Item], list[Item]]:
    """List the training and the validation pairs.

    Without `datalist`, the pairs of the folder are shuffled by `seed` and dealt into `folds` folds. With it, the file
    decides: by its "validation" list when it has one (`fold` is then unused), or else by the "fold" of each item, or
    else by the same seeded folds.

    Args:
        dataset_dir: the data set folder, from which relative paths in `datalist` start where the file does not lie
            beside the datalist.
        datalist: a MONAI datalist, a JSON file `{"training": [{"image": ..., "label": ..., "fold": 0}, ...]}`.
        fold: the fold to validate on; all others train.
        folds: how many folds to deal when the data have none.
        seed: the seed of that deal.

    Returns:
        (training, validation), each a list of `{"image": path, "label": path}` with absolute paths, and "types" where
        the datalist has it. Its other keys are left out.

    Raises:
        UserError: for a folder as in `find_pairs`; for a datalist that cannot be read, lacks keys, names missing files
            or gives only some items a fold; for a fold out of range or empty; for an image in both lists.
    """
    if datalist is None:
        return _deal(find_pairs(dataset_dir), fold, folds, seed, source=_folder(dataset_dir))
    source = Path(os.path.expanduser(datalist))  # noqa: PTH111
    content = read_datalist(source)
    training, training_folds = _listed_items(content, "training", source, dataset_dir)
    if "validation" in content:
        split = training, _listed_items(content, "validation", source, dataset_dir)[0]
    elif any(number is not None for number in training_folds):
        split = _select_fold(training, training_folds, fold, source)
    else:
        split = _deal(training, fold, folds, seed, source)
    _refuse_overlap(*split, source=source)
    return split


def load_test_list(dataset_dir: PathLike, datalist: PathLike) -> list[Item]:
    """List the test pairs of a datalist.

    Args:
        dataset_dir: see `load_datalist`.
        datalist: see `load_datalist`; its "training" list may be empty here.

    Returns:
        `{"image": path, "label": path}` for each item of "test", with absolute paths.

    Raises:
        UserError: for a datalist that cannot be read, has no test list, lacks keys or names missing files; for an image
            that is also in its training or validation list.
    """
    source = Path(os.path.expanduser(datalist))  # noqa: PTH111
    content = read_datalist(source)
    if "test" not in content:
        raise UserError(f'{source}: no list of pairs under the key "test"; {_rename("test", content)}')
    test = _listed_items(content, "test", source, dataset_dir)[0]
    for key in ("training", "validation"):
        if content.get(key):
            _refuse_overlap(_listed_items(content, key, source, dataset_dir)[0], test, source, "testing")
    return test


def listed_columns(
    dataset_dir: PathLike, datalist: PathLike, keys: Iterable[str] = ("training", "validation")
) -> dict[str, dict[str, Any]]:
    """Read what a datalist says of each image beside its files.

    Args:
        dataset_dir: see `load_datalist`.
        datalist: see `load_datalist`.
        keys: of the lists to read, where they are there.

    Returns:
        Each item as it stands in the file, by the absolute path of its image.

    Raises:
        UserError: as `load_datalist`.
    """
    source = Path(os.path.expanduser(datalist))  # noqa: PTH111
    content = read_datalist(source)
    columns: dict[str, dict[str, Any]] = {}
    for key in keys:
        if content.get(key):
            pairs = _listed_items(content, key, source, dataset_dir)[0]
            columns |= {pair["image"]: item for pair, item in zip(pairs, content[key], strict=True)}
    return columns


def find_images(dataset_dir: PathLike) -> list[Item]:
    """Find the images of a folder to predict: those in `images/` where there is one, else its own, masks left out.

    Args:
        dataset_dir: the folder.

    Returns:
        `{"image": path}` for each, with absolute paths, sorted by file name.

    Raises:
        UserError: when there is no such folder or no image in it, or two images share a name.
    """
    folder = _folder(dataset_dir)
    subfolders, pictures = _scan(folder)
    inside = next((folder / name for name in subfolders if name.lower() == IMAGE_FOLDER), None)
    if inside is not None:
        folder, pictures = inside, _scan(inside)[1]
    stems = {_stem(path) for path in pictures}
    images = [path for path in pictures if _base(_stem(path)) not in stems]
    if not images:
        raise UserError(f"{folder}: no images in it; give a folder with {', '.join(EXTENSIONS)} files")
    found = [{"image": str(path)} for path in _unique([(_stem(path), path) for path in images], "images").values()]
    return fetch_items(found, PARTS) if is_remote(folder) else found


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
    _unique([(case, Path(path)) for path, case in given.items()], "files")
    root = _folder(folder)
    found = _unique([(_case(path), path) for path in _scan(root)[1]], "files")
    lonely = [path for path, case in given.items() if case not in found]
    if lonely:
        raise UserError(
            f"{lonely[0]}: no {what} of this name in {root}{_more(lonely)}; put {given[lonely[0]]}.png there"
        )
    return {path: str(found[case]) for path, case in given.items()}


def find_pictures(folder: PathLike) -> list[str]:
    """List the pictures of a folder; raises UserError when there is no such folder or none in it."""
    root = _folder(folder)
    pictures = _scan(root)[1]
    if not pictures:
        raise UserError(f"{root}: no pictures in it; put {', '.join(EXTENSIONS)} files there")
    return [str(path) for path in pictures]


def _case(path: Path) -> str:
    """Name of the case that a file of an image, a label or a prediction belongs to."""
    stem = _stem(path).removesuffix("_0000")
    return _base(stem) or stem


# ---------------------------------------------------------------------------------------------- folders


def _folder(dataset_dir: PathLike) -> Path:
    """Make the path absolute and check that it is a folder."""
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


def _stem(path: Path) -> str:
    """Name without extension, composed, since macOS writes accents decomposed."""
    return unicodedata.normalize("NFC", path.stem)


def _base(stem: str) -> str | None:
    """Name of the image that a suffixed mask belongs to, or None without a suffix."""
    suffix = next((suffix for suffix in MASK_SUFFIXES if stem.lower().endswith(suffix)), "")
    return stem[: -len(suffix)] or None if suffix else None


def _pairs_in_two_folders(image_folder: Path, mask_folder: Path) -> list[Item]:
    images, masks = _scan(image_folder)[1], _scan(mask_folder)[1]
    for folder, found in ((image_folder, images), (mask_folder, masks)):
        if not found:
            raise UserError(f"{folder}: no pictures in it; put {', '.join(EXTENSIONS)} files there")
    image_stems = {_stem(path) for path in images}
    keyed_masks = []
    for path in masks:
        stem = _stem(path)
        keyed_masks.append((stem if stem in image_stems else _base(stem) or stem, path))
    return _join([(_stem(path), path) for path in images], keyed_masks, mask_folder)


def _pairs_in_one_folder(folder: Path, pictures: list[Path]) -> list[Item]:
    bases = {_base(_stem(path)) for path in pictures}
    images, masks = [], []
    for path in pictures:
        stem = _stem(path)
        base = _base(stem)
        if base is None or stem in bases:  # "left_lesion.jpg" is an image where "left_lesion_mask.png" exists
            images.append((stem, path))
        else:
            masks.append((base, path))
    return _join(images, masks, folder)


def _join(images: list[tuple[str, Path]], masks: list[tuple[str, Path]], mask_folder: Path) -> list[Item]:
    """Join images and masks, each a list of (key, path), on their keys."""
    image_of, mask_of = _unique(images, "images"), _unique(masks, "masks")
    lonely = [path for key, path in image_of.items() if key not in mask_of]
    if lonely:
        beside = mask_folder == lonely[0].parent
        wanted = mask_folder / f"{lonely[0].stem}{'_mask' if beside else ''}.png"
        raise UserError(
            f"{lonely[0]}: no mask for this image{_more(lonely)}; add it as {wanted} (its name may end in "
            f"{', '.join(MASK_SUFFIXES)}), or remove the image"
        )
    lonely = [path for key, path in mask_of.items() if key not in image_of]
    if lonely:
        raise UserError(f"{lonely[0]}: no image for this mask{_more(lonely)}; add the image, or remove the mask")
    return [{"image": str(path), "label": str(mask_of[key])} for key, path in image_of.items()]


def _unique(keyed: list[tuple[str, Path]], what: str) -> dict[str, Path]:
    unique: dict[str, Path] = {}
    for key, path in keyed:
        if key in unique:
            raise UserError(
                f"{path}: {unique[key].name} has the same name, so two {what} would count as one; remove one"
            )
        unique[key] = path
    return unique


def _more(found: list[Any]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


# ---------------------------------------------------------------------------------------------- datalists


def read_datalist(datalist: PathLike) -> dict[str, Any]:
    """Read a MONAI datalist as it stands.

    Args:
        datalist: a JSON file with a list under "training"; it may lie in a store.

    Returns:
        Its content.

    Raises:
        UserError: when it is missing, no JSON, or has no such list.
    """
    source = Path(fetch([datalist])[0] if is_remote(datalist) else os.path.expanduser(datalist))  # noqa: PTH111
    try:
        with open_regular(source) as file:
            content = json.loads(file.read().decode("utf-8-sig"))
    except RecursionError:
        raise UserError(f"{source}: nested too deeply for a datalist; correct it") from None
    except FileNotFoundError:
        siblings = [path.name for path in source.parent.glob("*.json")]
        hint = nearest(source.name, siblings) or "; give a MONAI datalist, or none to use the folder's own pairs"
        raise UserError(f"{source}: no such datalist file{hint}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{source}: not valid JSON, line {error.lineno}: {error.msg}; correct that line") from None
    except UnicodeDecodeError:
        raise UserError(f"{source}: not a text file in UTF-8; save the datalist as UTF-8 JSON") from None
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}); give a MONAI datalist file") from None
    if not isinstance(content, dict) or "training" not in content:
        keys = list(content) if isinstance(content, dict) else []
        raise UserError(f'{source}: no list of pairs under the key "training"; {_rename("training", keys)}')
    if not isinstance(content["training"], list):
        raise UserError(f'{source}: "training" must be a list; list image and label of each pair')
    return content


def _listed_items(
    content: dict[str, Any], key: str, source: Path, dataset_dir: PathLike
) -> tuple[list[Item], list[int | None]]:
    """Read one list of a datalist; returns its pairs, with absolute paths, and the fold of each."""
    listed = content[key]
    if not isinstance(listed, list) or not listed:
        raise UserError(f'{source}: "{key}" must be a list of at least one pair; list image and label of each')
    for number, item in enumerate(listed, start=1):
        _check_item(item, f'{source}: item {number} of "{key}"')
    listed = fetch_items(listed, PARTS, remote_base(source, dataset_dir))
    parts = [(number, part) for number, item in enumerate(listed) for part in PARTS if part in item]
    names = [listed[number][part] for number, part in parts]
    beside = Path(os.path.abspath(source)).parent  # noqa: PTH100  links stay as they are
    paths = [os.path.normpath(beside / name) for name in names]
    if not all(map(os.path.isfile, paths)):  # strings: 20,000 of them in 0.1 s
        root = Path() if all(os.path.isabs(name) for name in names) else _folder(dataset_dir)  # noqa: PTH117
        elsewhere = [os.path.normpath(root / name) for name in names]
        paths = [near if os.path.isfile(near) else far for near, far in zip(paths, elsewhere, strict=True)]  # noqa: PTH113
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        raise UserError(
            f"{missing[0]}: listed in {source}, but no such file{_more(missing)}; correct the list (relative paths "
            f"start from {dataset_dir} where they are not beside the list) or put the file there"
        )
    pairs: list[Item] = [{} for _ in listed]
    for (number, part), path in zip(parts, paths, strict=True):
        pairs[number][part] = path
    return pairs, [item.get("fold") for item in listed]


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise UserError(f'{where} is not a pair; write {{"image": "...", "label": "..."}}')
    for part in ("image", "label"):
        if part not in item:
            raise UserError(f'{where} has no "{part}"; {_rename(part, item)}')
    for part in PARTS:
        if part in item and (not isinstance(item[part], str) or not item[part]):
            raise UserError(f'{where}: "{part}" is not a file name; give one file name in quotes')
    if type(item.get("fold", 0)) is not int:
        raise UserError(f'{where}: "fold" is {item["fold"]!r}; give a whole number, without quotes')


# ---------------------------------------------------------------------------------------------- splits


def _deal(items: list[Item], fold: int, folds: int, seed: int, source: Path) -> tuple[list[Item], list[Item]]:
    """Deal items into seeded folds whose sizes differ by one at most; both lists keep the order of `items`."""
    if folds < 2:
        raise UserError(f"{source}: folds is {folds}; set it to 2 or more")
    if fold not in range(folds):
        raise UserError(f"{source}: fold is {fold}, but there are {folds} folds; set fold from 0 to {folds - 1}")
    if not 0 <= seed < 2**32:
        raise UserError(f"{source}: the seed of the folds is {seed}; set it from 0 to {2**32 - 1}")
    if len(items) < folds:
        fix = f"set folds to {len(items)} or add pairs" if len(items) > 1 else "add pairs, 2 at least"
        raise UserError(
            f"{source}: {len(items)} pair{'s' * (len(items) != 1)} cannot be dealt into {folds} folds; {fix}"
        )
    seen: set[str] = set()
    for item in items:
        if item["image"] in seen:
            raise UserError(f"{item['image']}: listed twice in {source}; list it once, so that it lands in one fold")
        seen.add(item["image"])
    dealt = partition_dataset(range(len(items)), num_partitions=folds, shuffle=True, seed=seed)
    validation = set(select_cross_validation_folds(dealt, folds=fold))
    return (
        [item for index, item in enumerate(items) if index not in validation],
        [item for index, item in enumerate(items) if index in validation],
    )


def _select_fold(
    items: list[Item], numbers: list[int | None], fold: int, source: Path
) -> tuple[list[Item], list[Item]]:
    """Take the items of one fold for validation and all others for training."""
    if None in numbers:
        image = items[numbers.index(None)]["image"]
        raise UserError(f'{source}: {image} has no "fold", but other items have; give every item one')
    known = sorted({number for number in numbers if number is not None})
    if fold not in known:
        raise UserError(f"{source}: fold {fold} has no items; set fold to one that has: {', '.join(map(str, known))}")
    if len(known) == 1:
        raise UserError(f"{source}: every item is in fold {fold}, so none is left to train on; use at least two folds")
    return (
        [item for item, number in zip(items, numbers, strict=True) if number != fold],
        [item for item, number in zip(items, numbers, strict=True) if number == fold],
    )


def _refuse_overlap(training: list[Item], validation: list[Item], source: Path, purpose: str = "validation") -> None:
    trained = {item["image"] for item in training}
    both = [item["image"] for item in validation if item["image"] in trained]
    if both:
        raise UserError(f"{both[0]}: in {source} for training and for {purpose}{_more(both)}; keep it in one of them")
