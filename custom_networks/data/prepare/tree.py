"""List the pictures of a folder or a zip archive, and join images with their masks by name."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from custom_networks.data.formats import stem
from custom_networks.data.pairing import EXTENSIONS, composed, is_folder, pair_by_name
from custom_networks.data.prepare.cases import Stored
from custom_networks.errors import UserError

_LARGEST_MEMBER = 2**30  # bytes; no picture of these data sets comes near


def list_pictures(place: Path, extensions: tuple[str, ...] = EXTENSIONS) -> list[Stored]:
    """List the pictures of a folder, with its subfolders, or of a zip archive.

    Hidden files and folders are passed over, linked folders are not entered.

    Args:
        place: folder or .zip file.
        extensions: of the files wanted, lower case; an empty tuple takes all.

    Returns:
        The pictures in the order of their names.

    Raises:
        UserError: for a folder that cannot be listed, or an archive that is damaged or reaches outside its folder.
    """
    if place.suffix.lower() == ".zip":
        return [Stored(str(place), name) for name in sorted(_members(place)) if _wanted(name, extensions)]
    return [Stored(path) for path in sorted(_walk(str(place))) if _wanted(path, extensions)]


def join_pictures(images: Iterable[Stored], masks: Iterable[Stored], where: Path) -> list[tuple[str, Stored, Stored]]:
    """Join images and masks on the names of their files.

    Args:
        images: the images.
        masks: the masks.
        where: what to call the place in messages.

    Returns:
        (name without extension, image, mask) of each pair in the order of the names.

    Raises:
        UserError: as `pair_by_name`.
    """
    pairs = pair_by_name(
        [(picture_key(image), image) for image in images],
        [(picture_key(mask), mask) for mask in masks],
        name=lambda picture: picture.name,
        fix=lambda _: f"add it in {where}",
    )
    return sorted(pairs, key=lambda pair: pair[0])


def picture_key(picture: Stored) -> str:
    """Name of a picture's file without extension, composed, since macOS writes accents decomposed."""
    return composed(stem(picture.member or picture.path))


def _wanted(path: str, extensions: tuple[str, ...]) -> bool:
    return not extensions or path.lower().endswith(extensions)


def _walk(folder: str) -> Iterable[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path)
                elif not is_folder(entry):  # a link to a folder might lead back here
                    yield entry.path
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from None


def _members(archive: Path) -> list[str]:
    """Names of an archive's files, after a check that none could be written outside its folder."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except FileNotFoundError:
        raise UserError(f"{archive}: no such archive; download it again") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive}: not a whole zip archive ({error}); download it again") from None
    for member in members:
        name = member.orig_filename
        parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
        if ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
            raise UserError(f"{archive}: {name} would lie outside the archive's folder; do not use this archive")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{archive}: {name} is a link, not a file; do not use this archive")
        if member.file_size > _LARGEST_MEMBER:
            raise UserError(f"{archive}: {name} unpacks to {member.file_size} bytes; do not use this archive")
        if member.flag_bits & 1:
            raise UserError(f"{archive}: {name} is encrypted; unpack the archive and give the folder")
    names = [member.filename for member in members if not member.is_dir()]
    return [name for name in names if not any(p.startswith((".", "__MACOSX")) for p in PurePosixPath(name).parts)]
