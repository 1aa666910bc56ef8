"""JSON, JSON Lines and CSV that are read again: each is a typed model, and each fault is one sentence.

A file may come from a stranger, be cut off by a full disk, or be no file at all. Every reader of this package takes one
of these functions, so that each such fault names the file, the key and the fix.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, TextIO, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from custom_networks.errors import UserError, nearest
from custom_networks.files import open_regular, write_atomically

logger = logging.getLogger(__name__)

MAXIMUM_BYTES = 1 << 30
"""Of a file that is read whole: a datalist of 100,000 images has 60 MB."""
RESTORE = "put back the file that sgdnet wrote"


class FileModel(BaseModel):
    """Base of everything that is read from a file: unchangeable, without conversion of types, without NaN or infinity.

    A model that may change declares `version: Literal[...]`; a file of another version is refused by its number.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the content as JSON knows it."""
        return self.model_dump(mode="json")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("Input should be a finite number")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(part)
    return value


Json = Annotated[JsonValue, AfterValidator(_finite)]
"""Anything that JSON can say, numbers finite."""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("input should be a number")
    return _finite(value)


Number = Annotated[Any, AfterValidator(_number)]
"""A finite number, whole or not, as it stands in the file."""


def _inside(name: str) -> str:
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("a file outside the folder")
    return name


Inside = Annotated[str, AfterValidator(_inside)]
"""Path of a file below the folder of the journal that names it."""

Model = TypeVar("Model", bound=BaseModel)


def read_text(path: str | Path, *, fix: str = RESTORE, limit: int = MAXIMUM_BYTES) -> str:
    """Read a text file whole; a byte order mark at its start is left out.

    Args:
        path: the file.
        fix: what to do about a fault, for the message.
        limit: bytes it may have.

    Returns:
        Its text.

    Raises:
        UserError: for a file that is missing, no file, cannot be read, is larger or not UTF-8.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        try:
            siblings = [name for name in os.listdir(path.parent) if Path(name).suffix == path.suffix]  # noqa: PTH208
        except OSError:
            siblings = []
        raise UserError(f"{path}: no such file{nearest(path.name, siblings) or f'; {fix}'}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {fix}") from None
    if len(data) > limit:
        raise UserError(f"{path}: larger than {limit / 1e6:,.0f} MB, too large for such a file; {fix}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 (byte {error.start}); {fix}") from None


def read_model(path: str | Path, model: type[Model], *, fix: str = RESTORE, limit: int = MAXIMUM_BYTES) -> Model:
    """Read a JSON file.

    Args:
        path: the file.
        model: what it must be.
        fix: what to do about a fault, for the message.
        limit: bytes it may have.

    Returns:
        Its content.

    Raises:
        UserError: as `read_text`; for text that is no JSON; naming the key that is missing, of another type or out of
            its range; for a version that this package does not know.
    """
    return parse_model(read_text(path, fix=fix, limit=limit), model, path, fix=fix)


def parse_model(text: str, model: type[Model], source: str | Path, *, fix: str = RESTORE) -> Model:
    """Read JSON; see `read_model`.

    Args:
        text: the JSON.
        model: what it must be.
        source: where it comes from, for the message.
        fix: what to do about a fault, for the message.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{source}: {_sentence(error.errors(include_url=False)[0], fix)}") from None


def read_lines(path: str | Path, model: type[Model], *, limit: int = MAXIMUM_BYTES) -> list[Model]:
    """Read a journal, an object a line.

    Args:
        path: the file.
        model: what each line must be.
        limit: bytes it may have.

    Returns:
        The lines that fit the model. A last line that its writer could not finish is left out silently, any other that
        does not fit with a warning; empty where there is no file.

    Raises:
        UserError: for a file that cannot be read.
    """
    if not os.path.lexists(path):
        return []
    lines = []
    for number, line in enumerate(
        read_text(path, fix="remove it to start anew", limit=limit).splitlines(keepends=True), 1
    ):
        try:
            lines.append(model.model_validate_json(line))
        except ValidationError:
            if line.endswith("\n"):
                _tell_damaged(str(path), number)
    return lines


@functools.lru_cache(maxsize=64)  # a journal is read several times in a run
def _tell_damaged(path: str, number: int) -> None:
    logger.warning("%s: line %d is damaged and left out; what it recorded is done again", path, number)


class JournalWriter:
    """Writes a journal, an object a line, each complete on the disk's side before the next.

    Args:
        path: the file.
        fix: what to do where it cannot be written, for the message.
    """

    def __init__(self, path: Path, fix: str) -> None:
        self.path, self.fix = path, fix
        self._file: TextIO | None = None

    def start(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write the journal anew, whole, and keep it open.

        Args:
            lines: with which it begins.

        Raises:
            UserError: where it cannot be written.
        """
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        write_atomically(self.path, lambda file: file.write(text.encode()))
        self._file = self.path.open("a", encoding="utf-8")

    @property
    def is_open(self) -> bool:
        """Whether it was started and not closed."""
        return self._file is not None

    def add(self, line: Mapping[str, Any], durable: bool = False) -> None:
        """Append a line to a journal that was started.

        Args:
            line: to append.
            durable: whether it must be on the disk before what comes next, which a power failure would show.

        Raises:
            UserError: where the disk is full.
        """
        assert self._file is not None
        try:
            self._file.write(f"{json.dumps(line)}\n")
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror or error}); {self.fix}") from error

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_table(
    path: str | Path,
    columns: Iterable[str] = (),
    *,
    separators: str = ",",
    fix: str = RESTORE,
    limit: int = MAXIMUM_BYTES,
) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: the file.
        columns: that it must have.
        separators: of cells; the one that the header has most often is taken.
        fix: what to do about a fault, for the message.
        limit: bytes it may have.

    Returns:
        A dictionary a row, cells as text, by the names of the header.

    Raises:
        UserError: as `read_text`; for a header that is missing, repeats a name or lacks a column; naming the row that
            has another number of cells.
    """
    text = read_text(path, fix=fix, limit=limit)
    separator = max(separators, key=text.lstrip().partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV table ({error}); {fix}") from None
    header, *body = [(number, row) for number, row in enumerate(rows, start=1) if row] or [(1, [])]
    names = [name.strip() for name in header[1]]
    if not any(names):
        raise UserError(f"{path}: an empty table; {fix}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: the column {twice!r} stands twice in the header; {fix}")
    for wanted in columns:
        if wanted not in names:
            raise UserError(f"{path}: no column {wanted!r} in the header ({', '.join(names)}); {fix}")
    for number, row in body:
        if len(row) != len(names):
            raise UserError(f"{path}: row {number} has {len(row)} cells, the header has {len(names)}; {fix}")
    return [dict(zip(names, row, strict=True)) for _, row in body]


def _sentence(error: ErrorDetails, fix: str) -> str:
    """Say what is wrong with a file, where, and what to do, from pydantic's first finding."""
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "json_invalid":
        return f"not valid JSON ({error['ctx']['error']}); {fix}"
    where = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"] if part != "[key]"
    ).lstrip(".")
    if kind == "missing":
        wanted, present = str(error["loc"][-1]), error["input"] if isinstance(error["input"], dict) else {}
        near = next((key for key in present if nearest(key.lower(), [wanted])), None)
        return f'"{where}" is missing; ' + (f"rename {near!r} to {wanted!r}" if near else fix)
    got = repr(error["input"])
    got = got if len(got) <= 40 else f"{got[:37]}..."
    if where.endswith("version") and kind == "literal_error":
        known = error.get("ctx", {}).get("expected", "")
        return f"written in version {got} of this file; this sgdnet reads {known}; update the package, or {fix}"
    if kind == "literal_error" and isinstance(error["input"], str):
        known = re.findall("'(.+?)'", error["ctx"]["expected"])
        fix = nearest(error["input"], known).removeprefix("; ") or fix
    place = f'"{where}": ' if where else ""
    return place + message + ("" if kind == "value_error" else f", got {got}") + f"; {fix}"
