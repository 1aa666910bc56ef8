"""The rows of a slide that are predicted, on the disk as they come, so that a run that was killed resumes there.

A line of JSON says what they are rows of. Each row of windows follows as a line of JSON and its maps, deflated. What a
killed writer left unfinished is cut off when the file is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from custom_networks.errors import UserError
from custom_networks.files import StorageError
from custom_networks.typed_files import FileModel

_LEVEL = 1  # of deflation: fast, and a mask is small anyway


def rows_file(output: Path, name: str) -> Path:
    """File of the rows of a slide that is not complete.

    Args:
        output: folder of the results.
        name: of the slide.
    """
    return output / f".slide-{hashlib.sha256(name.encode()).hexdigest()[:16]}.rows"


class RowOfWindows(FileModel):
    """What was counted in a row of windows, and how its maps are stored.

    Attributes:
        rows: of pixels.
        pixels: of each class from 1 up.
        inside: sum of the probabilities in the mask.
        total: sum of all probabilities.
        windows: how many it has.
        glass: how many of them were left out.
        bytes: of its maps.
        checksum: of them.
    """

    rows: int
    pixels: list[int]
    inside: float
    total: float
    windows: int
    glass: int
    bytes: int = 0
    checksum: int = 0


class SlideRows:
    """The rows of a slide.

    Args:
        path: of the file, which is made anew where it is not of this slide and these settings.
        about: that decides it.
        width: of the maps, pixels.
        maps: how many a row has.

    Raises:
        StorageError: where it cannot be written.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], width: int, maps: int) -> None:
        self.path, self.width, self.maps = path, width, maps
        self.found: list[RowOfWindows] = []
        self._places: list[int] = []
        first = json.dumps({**about, "width": width, "maps": maps}, sort_keys=True).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "r+b" if path.exists() else "x+b")  # noqa: PTH123, SIM115
            if self._file.readline(len(first)) == first:
                self._find()
            else:
                self._file.seek(0)
                self._file.truncate()
                self._file.write(first)
        except OSError as error:
            raise _unwritable(path, error) from error

    def add(self, row: RowOfWindows, maps: Sequence[NDArray[np.uint8]]) -> None:
        """Add a row of windows.

        Args:
            row: what was counted in it.
            maps: (rows, W) each.
        """
        data = zlib.compress(np.stack(maps).tobytes(), _LEVEL)
        row = row.model_copy(update={"bytes": len(data), "checksum": zlib.crc32(data)})
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(json.dumps(row.as_dict()).encode() + b"\n")
            self._places.append(self._file.tell())
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.found.append(row)

    def bands(self, number: int) -> Iterator[NDArray[np.uint8]]:
        """Read one of the maps, (rows, W) each, from top to bottom."""
        for row, place in zip(self.found, self._places, strict=True):
            self._file.seek(place)
            values = np.frombuffer(zlib.decompress(self._file.read(row.bytes)), np.uint8)
            yield values.reshape(self.maps, row.rows, self.width)[number]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find(self) -> None:
        """Find the rows that are complete, and cut off what follows them."""
        end = self._file.tell()
        for line in iter(self._file.readline, b""):
            try:
                row = RowOfWindows.model_validate_json(line)
            except ValidationError:
                break
            place = self._file.tell()
            data = self._file.read(row.bytes)
            if len(data) < row.bytes or zlib.crc32(data) != row.checksum:
                break
            self.found.append(row)
            self._places.append(place)
            end = self._file.tell()
        self._file.seek(end)
        self._file.truncate()


def _unwritable(path: Path, error: OSError) -> UserError:
    return StorageError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or give another --output"
    )
