"""Record of what `prepare` did in a folder, a line for each case: it resumes from there and overwrites nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue, RootModel

from custom_networks.errors import UserError
from custom_networks.files import lock_file, remove_unfinished, write_atomically
from custom_networks.typed_files import FileModel, Inside, JournalWriter, read_lines

NAME, LOCK = "prepare.jsonl", ".prepare.lock"
PATIENCE = 10.0
"""Seconds to wait for the lock: the processes of a killed run hold it until they notice."""
OF_THE_PICTURES = ("kind", "source", "label_kind", "image_size", "fit", "axis")  # the others concern the lists alone


class _Settings(FileModel):
    settings: dict[str, JsonValue]


class _Written(FileModel):
    written: dict[Inside, str]


class _Planned(FileModel):
    planned: list[Inside]


class _Case(FileModel):
    id: str
    image: str
    label: str
    types: str | None = None
    sha256: str
    size: list[int]
    share: float
    objects: int | None = None
    spacing: list[float] | None = None
    bit_depth: int | None = None
    copied: bool
    stamps: list[list[int]]


class _Line(RootModel[_Settings | _Written | _Planned | _Case]):
    pass


class PreparationJournal:
    """The record of an output folder.

    Args:
        folder: output folder.
        settings: of this run, which decide whether the work of an earlier one counts.
        overwrite: replace what an earlier run with other settings wrote.

    Raises:
        UserError: when the folder is a file, cannot be written or is being prepared by another process, or was prepared
            with other settings and `overwrite` is False.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder, self.path, self.settings = folder, folder / NAME, dict(settings)
        self.overwrite = overwrite
        self.cases: dict[str, dict[str, Any]] = {}
        self.written: dict[str, str] = {}
        self.planned: set[str] = set()  # copies that this or a killed run began to write
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: this is a file; give a folder as --output")
        busy = "another `sgdnet prepare` works in this folder; wait for its end, or choose another --output"
        self.lock = lock_file(folder / LOCK, busy, PATIENCE, fix="choose another --output")
        self._writer = JournalWriter(self.path, "free some space and run it again")
        try:
            self._read()
        except UserError:
            self.close()
            raise

    def _read(self) -> None:
        earlier = None
        for line in (line.root for line in read_lines(self.path, _Line)):
            match line:
                case _Settings():
                    earlier = earlier or line.settings
                case _Written():
                    self.written |= line.written
                case _Planned():
                    self.planned |= set(line.planned)
                case _Case():
                    self.cases[line.id] = line.model_dump(exclude_unset=True)
        if earlier is None and self.cases and not self.overwrite:
            raise UserError(
                f"{self.path}: the line with the settings is damaged, so nothing tells how its images were prepared; "
                "choose another --output, or replace them by --overwrite true"
            )
        if (earlier is not None or self.cases) and earlier != self.settings:
            self._replace(earlier or {})

    def start(self, planned: Iterable[str] = ()) -> None:
        """Write the record anew: the settings of this run, the cases that still count, and the copies to be written."""
        self.planned |= set(planned)
        self._remove_unfinished()
        self._writer.start(
            [
                {"settings": self.settings},
                {"written": self.written},
                {"planned": sorted(self.planned)},
                *self.cases.values(),
            ]
        )

    def add(self, facts: dict[str, Any]) -> None:
        """Record one case."""
        self.cases[facts["id"]] = facts
        self._writer.add(facts)

    def write(self, name: str, content: bytes) -> None:
        """Write a list or card, and record it."""
        self._writer.add({"written": {name: hashlib.sha256(content).hexdigest()}})
        write_atomically(self.folder / name, lambda file: file.write(content))

    def close(self) -> None:
        """Close the file, and let others work in the folder."""
        self._writer.close()
        if self.lock is not None:
            self.lock.release()

    def refuse_foreign(self, name: str) -> None:
        """Raise UserError if a file of that name is there that `prepare` did not write, or that was changed since."""
        path = self.folder / name
        if self.overwrite or not path.exists():
            return
        if name not in self.written and name not in self.planned:
            raise UserError(f"{path}: not written by `sgdnet prepare`; choose another --output")
        if name in self.written and hashlib.sha256(path.read_bytes()).hexdigest() != self.written[name]:
            raise UserError(f"{path}: was changed since it was prepared; rename it, or replace it by --overwrite true")

    def _remove_unfinished(self) -> None:
        """Remove what a killed run had begun to write."""
        names: dict[Path, list[str]] = {self.folder: [NAME]}
        for name in (*self.planned, *self.written):
            path = self.folder / name
            names.setdefault(path.parent, []).append(path.name)
        for folder, listed in names.items():
            remove_unfinished(folder, listed)

    def _replace(self, earlier: Mapping[str, Any]) -> None:
        """Drop an earlier run's pictures where they were made otherwise, and nothing that it did not write."""
        changed = [name for name in self.settings if earlier.get(name) != self.settings[name]]
        if not self.overwrite:
            was = ", ".join(f"{name} {earlier.get(name)!r} (now {self.settings[name]!r})" for name in changed)
            raise UserError(
                f"{self.folder}: was prepared with {was}; choose another --output, or replace it by --overwrite true"
            )
        if set(changed) & set(OF_THE_PICTURES):
            self._remove_unfinished()
            for name in self.planned:
                (self.folder / name).unlink(missing_ok=True)
            self.planned = set()
            self.cases = {}
