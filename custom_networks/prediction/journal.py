"""What `predict` did in a folder, a line for each image: it goes on from there and overwrites nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue, RootModel

from custom_networks.errors import UserError
from custom_networks.prediction.inputs import Source, inside
from custom_networks.prediction.reading import Stamp, stamp
from custom_networks.typed_files import FileModel, JournalWriter, read_lines

NAME = "predict.jsonl"
Record = dict[str, Any]


class _Settings(FileModel):
    settings: dict[str, JsonValue]


class _Tables(FileModel):
    tables_written: list[str]


class _Image(FileModel):
    name: str
    source: str
    stamp: list[int]
    files: dict[str, str]
    tables: dict[str, list[dict[str, JsonValue]]]
    row: dict[str, JsonValue]


class _Line(RootModel[_Settings | _Tables | _Image]):
    pass


class Journal:
    """The record of an output folder.

    Args:
        folder: output folder; made when the first image is recorded.
        settings: of this run, which decide whether the work of an earlier one counts.
        overwrite: whether files that are there may be replaced.

    Raises:
        UserError: when the folder is a file, or was predicted with other settings and `overwrite` is False.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder, self.path, self.overwrite = folder, folder / NAME, overwrite
        self.settings = json.loads(json.dumps(settings))
        self.tables: set[str] = set()
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: this is a file; give a folder as --output")
        lines = [line.root for line in read_lines(self.path, _Line)]
        earlier = next((line.settings for line in lines if isinstance(line, _Settings)), self.settings)
        changed = [name for name in self.settings if earlier.get(name) != self.settings[name]]
        if changed and not overwrite:
            was = ", ".join(f"{name} {earlier.get(name)!r} (now {self.settings[name]!r})" for name in changed)
            raise UserError(
                f"{folder}: was predicted with {was}; give another --output, or replace its results by --overwrite true"
            )
        self.records: dict[str, Record] = {}
        for line in lines if not changed else ():
            if isinstance(line, _Tables):
                self.tables |= set(line.tables_written)
            elif isinstance(line, _Image):
                self.records[line.name] = line.model_dump()
        self._writer = JournalWriter(self.path, "free some space or give another --output")

    def done(self, source: Source, outputs: Sequence[str]) -> bool:
        """Tell whether an image, as its file is now, has all of some outputs."""
        record = self.records.get(source.name)
        if record is None or self.missing(source.name, outputs):
            return False
        try:
            return _is_of(record, source, stamp(source.path))
        except UserError:  # told when it is read
            return False

    def missing(self, name: str, outputs: Sequence[str]) -> list[str]:
        """Outputs that an image lacks, or whose files are gone."""
        record = self.records.get(name, {"files": {}, "tables": {}})
        files = record["files"]
        return [
            kind
            for kind in outputs
            if kind not in record["tables"] and not (kind in files and (self.folder / files[kind]).is_file())
        ]

    def refuse(self, source: Source, found: Stamp, files: Mapping[str, str]) -> None:
        """Raise UserError where an image's files would replace others, unless that is asked for.

        Args:
            source: the image.
            found: stamp of its file.
            files: what is to be written, by output.
        """
        if self.overwrite:
            return
        record = self.records.get(source.name)
        if record is not None and not _is_of(record, source, found):
            raise UserError(
                f"{source.path}: {self.folder / source.name} was predicted from another file, or before it changed; "
                "add --overwrite true, or give another --output"
            )
        for kind, file in files.items():
            known = record is not None and record["files"].get(kind) == file
            if not known and inside(self.folder, file).exists():
                raise UserError(
                    f"{self.folder / file}: is there already; add --overwrite true, or give another --output"
                )

    def refuse_table(self, file: str) -> None:
        """Raise UserError where a table is there that `predict` did not write, unless it may be replaced."""
        path = self.folder / file
        if path.exists() and file not in self.tables and not self.overwrite:
            raise UserError(f"{path}: not written by `sgdnet predict`; rename it, or add --overwrite true")

    def add(self, record: Record) -> None:
        """Record an image whose files are complete, keeping what was recorded of it before."""
        before = self.records.get(record["name"])
        if before is not None and before["stamp"] == record["stamp"] and before["source"] == record["source"]:
            record = {**record, "files": {**before["files"], **record["files"]}}
            record["tables"] = {**before["tables"], **record["tables"]}
        self.records[record["name"]] = record
        self._append(record)

    def add_tables(self, files: Sequence[str]) -> None:
        """Record the tables that are about to be written."""
        self.tables |= set(files)
        self._append({"tables_written": sorted(self.tables)})

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        if not self._writer.is_open:  # anew, with the settings of this run and the images that still count
            first = ({"settings": self.settings}, {"tables_written": sorted(self.tables)})
            self._writer.start([*first, *self.records.values()])
        self._writer.add(line)


def _is_of(record: Record, source: Source, found: Stamp) -> bool:
    """Tell whether a record is of a file as it is now."""
    return record["source"] == str(source.path.absolute()) and record["stamp"] == list(found)
