"""What a kind of data set is, and what it finds: cases, each an image with its label, wherever their pixels lie."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from custom_networks.data.formats import Opened, Slice, read, stored_image
from custom_networks.data.images import whole_numbers
from custom_networks.data.pairing import EXTENSIONS
from custom_networks.data.remote import is_remote, object_stamp, read_bytes
from custom_networks.errors import UserError
from custom_networks.files import Stamp, file_stamp


class Picture(Protocol):
    """Something that can be read as an image, a mask or a label map; it travels to other processes."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def file(self) -> str | None:
        """The file that a datalist may name; None where the pixels must be copied out first."""

    def image(self) -> Opened:
        """As `stored_image` of `formats` gives it."""

    def label(self, kind: str) -> Opened:
        """As `read` of `formats` gives it."""


@dataclass(frozen=True)
class Stored:
    """A picture in a file, in a zip archive, or one slice of a volume.

    Args:
        path: the file or the archive.
        member: name within the archive.
        at: the slice of a NIfTI volume.
        image_uid: of the image that a DICOM SEG belongs to.
    """

    path: str
    member: str = ""
    at: Slice | None = None
    image_uid: str = ""

    @property
    def name(self) -> str:
        """See `Picture`."""
        return f"{self.path}/{self.member}" if self.member else self.path

    @property
    def file(self) -> str | None:
        """See `Picture`."""
        stays = not self.member and not is_remote(self.path) and self.path.lower().endswith(EXTENSIONS)
        return self.path if stays else None

    def image(self) -> Opened:
        """See `Picture`."""
        return stored_image(self.name, self._data(), self.at)

    def label(self, kind: str) -> Opened:
        """See `Picture`."""
        return read(self.name, kind, data=self._data(), at=self.at, image_uid=self.image_uid)

    def _data(self) -> bytes | None:
        if is_remote(self.path):
            return read_bytes(self.path)
        if not self.member:
            return None
        try:
            return _archive(self.path, stored_stamp(self.path)).read(self.member)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise UserError(f"{self.name}: cannot be unpacked ({error}); download the archive again") from None


@dataclass(frozen=True)
class ArrayEntry:
    """One entry of a NumPy stack, mapped into memory and never read whole.

    Args:
        path: .npy file of shape (N, H, W, C).
        index: of the entry.
        channel: of a label map; None takes all channels, an RGB image.
    """

    path: str
    index: int
    channel: int | None = None

    @property
    def name(self) -> str:
        """See `Picture`."""
        return f"{self.path}[{self.index}]"

    @property
    def file(self) -> str | None:
        """See `Picture`."""
        return None

    def image(self) -> Opened:
        """See `Picture`."""
        return Opened(Image.fromarray(np.asarray(_stack(self.path, stored_stamp(self.path))[self.index], np.uint8)))

    def label(self, kind: str) -> Opened:
        """See `Picture`."""
        values = _stack(self.path, stored_stamp(self.path))[self.index, ..., self.channel]
        return Opened(
            Image.fromarray((values != 0).astype(np.uint8) if kind == "mask" else whole_numbers(values, self.name))
        )


def stored_stamp(path: str) -> Stamp:
    """Stamp of a file, or of an object in a store."""
    return object_stamp(path) if is_remote(path) else file_stamp(path)


@lru_cache(maxsize=4)
def _archive(path: str, version: tuple[int, int]) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@lru_cache(maxsize=4)
def _stack(path: str, version: tuple[int, int]) -> np.ndarray:
    return np.load(path, mmap_mode="r")


@dataclass(frozen=True)
class Case:
    """One image with its label.

    Args:
        id: unique in the data set.
        image: the image.
        label: the mask, instance map or class map.
        types: per-pixel class map beside an instance map.
        split: official list it belongs to, one of `datalist.SPLITS`.
        columns: further facts for the datalist, such as "diagnosis".
    """

    id: str
    image: Picture
    label: Picture
    types: Picture | None = None
    split: str = "training"
    columns: Mapping[str, Any] = field(default_factory=dict)


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
