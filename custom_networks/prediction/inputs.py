"""Find the images to predict, and name their results so that none leaves the output folder."""

from __future__ import annotations

import contextlib
import glob
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from custom_networks.data.formats import dicom, dicom_volumes, nifti, slides, stem
from custom_networks.data.pairing import EXTENSIONS, IMAGE_FOLDER, MASK_FOLDERS, MASK_SUFFIXES
from custom_networks.errors import UserError, nearest


@dataclass(frozen=True)
class ImageSource:
    """An image to predict.

    Attributes:
        path: of its file.
        name: of its results below the output folder, with `/` and without ending.
        series: files of a DICOM series, `path` being one of them; empty for an image of one file.
    """

    path: Path
    name: str
    series: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All of its files."""
        return self.series or (self.path,)


def find_sources(inputs: Sequence[str], output: Path) -> list[ImageSource]:
    """Find the images that a command line names.

    Args:
        inputs: files, folders (searched to the bottom, links followed once) and patterns such as `scans/**/*.png`.
        output: folder of the results, which is not searched.

    Returns:
        Each image once, in the order of the inputs, those of a folder sorted; each link to a file is one. Results keep
        the folders below what was given. In folders hidden files are passed over, and masks: `masks/` and `labels/`
        beside `images/`, `a_mask.png` beside `a.jpg`, DICOM SEG objects. DICOM files of a folder that are slices of one
        series are one image, named after the folder, or by the UID of the series where the folder holds other images
        too.

    Raises:
        UserError: for an input that does not exist or holds no image, and for two images with the same results.
    """
    if not inputs:
        raise UserError("no image given; write `sgdnet predict IMAGE_OR_FOLDER ... --output DIR`")
    found: list[ImageSource] = []
    seen: set[tuple[str, ...]] = set()
    for text in inputs:
        path = Path(os.path.expanduser(text))  # noqa: PTH111
        if path.is_dir():
            if os.path.realpath(path) == os.path.realpath(output):
                raise UserError(f"{text}: is the output folder, which is not searched; give another --output")
            images = list(_in_folder(path, output))
        elif path.exists():
            images = [ImageSource(path, stem(path))]
        else:
            images = list(_matching(str(path), output))
        if not images:
            known = ", ".join((*EXTENSIONS, ".dcm", *nifti.EXTENSIONS, *slides.EXTENSIONS))
            raise UserError(f"{text}: no images in it; known are {known}")
        for image in images:
            keys = _keys(image)
            if seen.isdisjoint(keys):
                found.append(image)
            seen |= keys
    return found


def _keys(image: ImageSource) -> set[tuple[str, ...]]:
    """What two images may not share: where their files lie, and what these lead to where the results have one name."""
    places = (os.path.join(os.path.realpath(path.parent), path.name) for path in image.files)  # noqa: PTH118
    return {tuple(places), (image.name, *(os.path.realpath(path) for path in image.files))}


def refuse_same_names(paths: Iterable[tuple[ImageSource, str]]) -> None:
    """Raise UserError where two images would write the same file.

    Args:
        paths: each image with a file that it will write, below the output folder.
    """
    taken: dict[str, ImageSource] = {}
    for source, file in paths:
        key = unicodedata.normalize("NFC", file).casefold()  # on some disks a.png and A.PNG are one file
        if key in taken and taken[key] != source:
            raise UserError(
                f"{source.path}: {taken[key].path} would be written as {file} too; rename one, or predict them into "
                "two folders"
            )
        taken[key] = source


def refuse_sources_as_targets(sources: Iterable[ImageSource], targets: Iterable[Path]) -> None:
    """Raise UserError where a result would replace an image, whichever link or other name leads to it.

    Args:
        sources: all images.
        targets: all files that will be written.
    """
    images = {identity for source in sources for path in source.files for identity in _identities(path)}
    for target in targets:
        if not images.isdisjoint(_identities(target)):
            raise UserError(f"{target}: is an image that is to be predicted; give another --output")


def _identities(path: Path) -> set[tuple[int, int]]:
    """Device and inode of a path and, for a symlink, of what it leads to; none where nothing is there."""
    found = set()
    for look in (os.lstat, os.stat):
        with contextlib.suppress(OSError):
            status = look(path)
            found.add((status.st_dev, status.st_ino))
    return found


def inside(output: Path, file: str) -> Path:
    """Path of a result, which must not leave the output folder, through a link in it either.

    Args:
        output: the folder.
        file: below it.

    Returns:
        The path.

    Raises:
        UserError: where it would lie elsewhere.
    """
    path = output / PurePosixPath(file)
    root, parent = Path(os.path.realpath(output)), Path(os.path.realpath(path.parent))
    if ".." in PurePosixPath(file).parts or PurePosixPath(file).is_absolute() or not parent.is_relative_to(root):
        raise UserError(f"{path}: lies outside {output}; remove the link that leads there, or give another --output")
    return path


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith("."):
        return False
    if name.endswith((*EXTENSIONS, *nifti.EXTENSIONS, *slides.EXTENSIONS)):
        return True
    return dicom.is_dicom(path) and not _is_segmentation(path)


def _is_segmentation(path: Path) -> bool:
    try:
        return dicom.is_segmentation(path)
    except UserError:  # damaged, which is told when it is read
        return False


def _in_folder(folder: Path, output: Path) -> Iterator[ImageSource]:
    """Images of a folder and those below; one seen already, as links can lead back, is left out."""
    seen: set[str] = {os.path.realpath(output)}
    for place, below, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        lower = {name.lower() for name in below}
        masks = MASK_FOLDERS if IMAGE_FOLDER in lower else ()
        below[:] = sorted(name for name in below if not name.startswith(".") and name.lower() not in masks)
        stems = {stem(name) for name in files}
        paths = [Path(place, name) for name in sorted(files) if not _is_mask_of(stem(name), stems)]
        yield from _with_series([path for path in paths if _is_image(path)], folder)


def _with_series(paths: list[Path], folder: Path) -> Iterator[ImageSource]:
    """Images of one folder below another, the slices of a DICOM series being one."""
    series = dicom_volumes.find_series(path for path in paths if dicom.is_dicom(path))
    of_series = {path: uid for uid, files in series.items() for path in files}
    for path in paths:
        uid = of_series.get(path)
        if uid is None:
            yield ImageSource(path, _below(path, folder))
        elif path == series[uid][0]:
            parent = PurePosixPath(_below(path, folder)).parent
            alone = len(series[uid]) == len(paths)
            whole = parent if parent.name else PurePosixPath(os.path.abspath(folder)).name  # noqa: PTH100
            yield ImageSource(path, str(whole if alone else parent / uid), tuple(series[uid]))


def _is_mask_of(name: str, others: set[str]) -> bool:
    suffix = next((suffix for suffix in MASK_SUFFIXES if name.lower().endswith(suffix)), "")
    return bool(suffix) and name[: -len(suffix)] in others


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from None


def _matching(pattern: str, output: Path) -> Iterator[ImageSource]:
    if not glob.has_magic(pattern):
        parent = Path(pattern).parent
        siblings = [path.name for path in parent.iterdir()] if parent.is_dir() else []
        raise UserError(f"{pattern}: no such file or folder{nearest(Path(pattern).name, siblings)}")
    plain = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        plain.append(part)
    start = Path(*plain) if plain else Path()
    root, place = Path(os.path.realpath(output)), Path(os.path.realpath(start))
    below_it = place != root and place.is_relative_to(root)  # as a folder there is searched that is given
    found = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
    images = [path for path in found if path.is_file() and _is_image(path)]
    outside = [path for path in images if below_it or not Path(os.path.realpath(path)).is_relative_to(root)]
    if images and not outside:
        raise UserError(f"{pattern}: lies in the output folder, which is not searched; give another --output")
    for path in outside:
        yield ImageSource(path, _below(path, start))


def _below(path: Path, folder: Path) -> str:
    """Name of a file's results: its path below a folder, its own name where it lies elsewhere."""
    parent = os.path.relpath(os.path.abspath(path.parent), os.path.abspath(folder))  # noqa: PTH100
    parts = Path(parent).parts
    return str(PurePosixPath(*([] if ".." in parts else parts), stem(path)))
