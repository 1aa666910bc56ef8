"""What `predict` did in a folder, a line for each image: it resumes from there and overwrites nothing else.

A file is recorded, with the hash of its content, before it is written. A run that is killed at any moment leaves files
that the next run knows as its own, and replaces without being asked.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import Field, JsonValue, RootModel

from custom_networks.errors import UserError
from custom_networks.files import Stamp, StorageError, file_stamp, of_storage, printable, sha256, write_atomically
from custom_networks.prediction.inputs import ImageSource, inside
from custom_networks.prediction.outputs import follows_objects
from custom_networks.prediction.parts import Part, refuse_other_division
from custom_networks.typed_files import FileModel, Inside, JournalWriter, read_lines
from custom_networks.weights.record import Software

Record = dict[str, Any]
JobSettings = dict[str, Any]
ENGINES = "engines"  # setting: what computed results of the folder, the last one last; they differ as devices do
NORMALIZATION, CLASSES = "normalization", "classes"  # settings of the weights' record; earlier versions wrote none
INSTANCES = "instances"  # setting: how instances are cut out, None where objects are connected regions


class _Settings(FileModel):
    settings: dict[str, JsonValue]
    software: list[Software] = Field(default_factory=list)


class _Tables(FileModel):
    tables_written: list[str]


class _Write(FileModel):
    write: Inside
    image: str
    sha256: str


class _Failure(FileModel):
    failed: str
    image: str
    error: str


class _Image(FileModel):
    name: str
    source: str
    stamp: list[int]
    files: dict[str, Inside]
    tables: dict[str, list[dict[str, JsonValue]]]
    row: dict[str, JsonValue]
    objects: str


class _Line(RootModel[_Settings | _Tables | _Write | _Failure | _Image]):
    pass


@dataclass
class Content:
    """What a journal holds.

    Attributes:
        settings: of the run; None where there is no journal.
        software: all that predicted with them.
        tables: files for all images that were written.
        writes: for each image by name, its files and the hashes of what was written there, the last one last.
        failures: for each image that failed, its path and why.
        records: of the images that are complete, by name.
    """

    settings: JobSettings | None = None
    software: list[Software] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    writes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Content:
        """Read a journal; raises UserError where it cannot be read."""
        content = cls()
        for line in (each.root for each in read_lines(path, _Line)):
            if isinstance(line, _Settings):
                content.settings, content.software = dict(line.settings), list(line.software)
            elif isinstance(line, _Tables):
                content.tables |= set(line.tables_written)
            elif isinstance(line, _Write):
                content.add_write(line.image, line.write, line.sha256)
            elif isinstance(line, _Failure):
                content.failures[line.failed] = (line.image, line.error)
            else:
                content.add_record(line.model_dump())
        return content

    def add_write(self, image: str, file: str, digest: str) -> None:
        """Add the hash of what is about to be written."""
        self.writes.setdefault(image, {}).setdefault(file, []).append(digest)

    def add_record(self, record: Record) -> None:
        """Add an image that is complete."""
        self.records[record["name"]] = record
        self.failures.pop(record["name"], None)
        for digests in self.writes.get(record["name"], {}).values():
            del digests[:-1]  # what is there now is the last

    def lines(self) -> list[Mapping[str, Any]]:
        """Lines of a journal of this content."""
        writes = [
            {"write": file, "image": image, "sha256": digest}
            for image, files in self.writes.items()
            for file, digests in files.items()
            for digest in digests
        ]
        failures = [{"failed": name, "image": image, "error": error} for name, (image, error) in self.failures.items()]
        software = [one.as_dict() for one in self.software]
        first = ({"settings": self.settings, "software": software}, {"tables_written": sorted(self.tables)})
        return [*first, *writes, *failures, *self.records.values()]


def changes(earlier: JobSettings | None, now: JobSettings) -> list[str]:
    """Name the settings that differ; instances may be added to an earlier run, and what an earlier version lacked."""
    if earlier is None:
        return []
    added = INSTANCES in earlier and earlier[INSTANCES] is None
    allowed = {ENGINES, *([INSTANCES] if added else []), *({NORMALIZATION, CLASSES} - earlier.keys())}
    return [name for name in now if earlier.get(name) != now[name] and name not in allowed]


def has_instances(folder: Path, part: Part) -> bool:
    """Tell whether a folder, or any part of the same division, was predicted with instances."""
    return any((Content.read(folder / one.journal).settings or {}).get(INSTANCES) for one in part.all)


class PredictionJournal:
    """The record of an output folder, or of one part of its images.

    Args:
        folder: output folder; made when the journal is started.
        settings: of this run, which decide whether the work of an earlier one counts.
        overwrite: whether files that are there may be replaced.
        part: whose journal it is.

    Raises:
        UserError: when the folder is a file, was predicted in another number of parts, or with other settings and
            `overwrite` is False.
    """

    def __init__(self, folder: Path, settings: JobSettings, overwrite: bool = False, part: Part | None = None) -> None:
        self.part = part or Part()
        self.folder, self.path, self.overwrite = folder, folder / self.part.journal, overwrite
        self.settings: JobSettings = json.loads(json.dumps(settings))
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder}: this is a file; give a folder as --output")
        refuse_other_division(folder, self.part)
        self.content = Content.read(self.path)
        others = [Content.read(folder / one.journal).settings for one in self.part.all if one != self.part]
        self.engines: list[str] = (self.content.settings or {}).get(ENGINES, [])
        of_parts = (name for settings in others if settings for name in settings.get(ENGINES, [])[-1:])
        self.engine = next(iter([*self.engines[::-1], *of_parts]), None)
        for earlier in (self.content.settings, *others):
            changed = changes(earlier, self.settings)
            if changed and earlier and not overwrite:
                was = ", ".join(f"{name} {earlier.get(name)!r} (now {self.settings[name]!r})" for name in changed)
                raise UserError(
                    f"{folder}: was predicted with {was}; give another --output, or replace its results by "
                    "--overwrite true"
                )
        unknown = self.content.settings is None and bool(self.content.records)
        if unknown and not overwrite:
            raise UserError(
                f"{self.path}: the line with the settings is damaged, so nothing tells how its images were predicted; "
                "give another --output, or replace its results by --overwrite true"
            )
        if unknown or changes(self.content.settings, self.settings):
            self.content.records.clear()
            self.content.software.clear()
        self.had_failures = bool(self.content.failures)
        self.content.failures.clear()  # they are tried again
        self.content.settings = self.settings
        self._writer = JournalWriter(self.path, "free some space or give another --output")
        self._mutex = threading.Lock()

    @property
    def objects(self) -> str:
        """What the objects of this run are: instances or regions."""
        return "regions" if self.settings.get(INSTANCES) is None else "instances"

    def done(self, source: ImageSource, outputs: Sequence[str]) -> bool:
        """Tell whether an image, as its file is now, has all of some outputs."""
        record = self.content.records.get(source.name)
        if record is None or self.missing(source.name, outputs):
            return False
        try:
            return _is_of(record, source, file_stamp(*source.files))
        except UserError:  # told when it is read
            return False

    def missing(self, name: str, outputs: Sequence[str]) -> list[str]:
        """Outputs that an image lacks, all where it has no record; see `lacking`."""
        record = self.content.records.get(name)
        return list(outputs) if record is None else self.lacking(record, outputs)

    def lacking(self, record: Record, outputs: Sequence[str]) -> list[str]:
        """Outputs that a record lacks: not made, gone, or, of those that it has, made of other objects than now."""
        files = record["files"]
        made = [*record["tables"], *(kind for kind in files if (self.folder / files[kind]).is_file())]
        if record["objects"] == self.objects:
            return [kind for kind in outputs if kind not in made]
        outdated = [kind for kind in (*record["tables"], *files) if follows_objects(kind)]
        return list(dict.fromkeys([*(kind for kind in outputs if kind not in made), *outdated]))

    def refuse(self, source: ImageSource, found: Stamp, files: Iterable[str]) -> None:
        """Raise UserError where an image's files would replace others, unless that is asked for.

        Args:
            source: the image.
            found: stamp of its file.
            files: that are to be written.
        """
        if self.overwrite:
            return
        record = self.content.records.get(source.name)
        if record is not None and not _is_of(record, source, found):
            raise UserError(
                f"{source.path}: {self.folder / source.name} was predicted from another file, or before it changed; "
                "add --overwrite true, or give another --output"
            )
        for file in files:
            self._refuse_file(source.name, file)

    def refuse_table(self, file: str) -> None:
        """Raise UserError where a table is there that `predict` did not write, unless it may be replaced."""
        path = self.folder / file
        if path.exists() and not self.overwrite:
            known = set().union(*(Content.read(self.folder / one.journal).tables for one in self.part.all))
            if file not in known:
                raise UserError(f"{path}: not written by `sgdnet predict`; rename it, or add --overwrite true")

    def refuse_mixed_objects(self, names: Iterable[str]) -> None:
        """Raise UserError where other images than these would keep measurements of other objects in the tables."""
        mine = set(names)
        for name, record in self.content.records.items():
            if name not in mine and record["objects"] != self.objects and record["tables"] and not self.overwrite:
                raise UserError(
                    f"{self.folder}: {name} was measured without instances and is not among these images; predict all "
                    "of them again, or give another --output"
                )

    def start(self, sources: Iterable[ImageSource]) -> None:
        """Write the journal anew: with the settings of this run, without what it is going to replace.

        Args:
            sources: that will be predicted; records of what their files were before they changed go.
        """
        for source in sources if self.overwrite else ():
            record = self.content.records.get(source.name)
            if record is not None and not _is_current(record, source):
                del self.content.records[source.name]
        if Software.at_work() not in self.content.software:
            self.content.software.append(Software.at_work())
        try:
            self._writer.start(self.content.lines())
        except UserError as error:
            raise StorageError(str(error)) from error

    def write(self, name: str, file: str, data: bytes) -> None:
        """Write a file of an image, recorded first.

        Args:
            name: of the image.
            file: below the folder.
            data: its content.

        Raises:
            StorageError: where the disk is full, read-only or gone.
            UserError: where the file would replace one that is not a result, leave the folder or cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        self._write(name, file, lambda opened: opened.write(data), lambda _: digest)

    def write_large(self, name: str, file: str, write: Callable[[Path], Any]) -> None:
        """Write a file that is not held in memory, recorded before it gets its name.

        Args:
            name: of the image.
            file: below the folder.
            write: called with a temporary file, which it fills.

        Raises:
            StorageError: as `write`.
            UserError: as `write`.
        """
        self._write(name, file, lambda opened: write(Path(opened.name)), sha256)

    def _write(self, name: str, file: str, write: Callable[[IO[bytes]], Any], digest_of: Callable[[Path], str]) -> None:
        path = inside(self.folder, file)
        if not self.overwrite:
            self._refuse_file(name, file)
        if not self.path.is_file():
            raise StorageError(f"{self.folder}: is gone, or its {self.path.name}; bring it back and start again")

        def record(made: Path) -> None:
            digest = digest_of(made)
            with self._mutex:
                self.content.add_write(name, file, digest)
            self._append({"write": file, "image": name, "sha256": digest}, durable=True)

        try:
            write_atomically(path, write, record)
        except UserError as error:
            raise StorageError(str(error)) if of_storage(error) else error from error

    def add(self, record: Record) -> None:
        """Record an image whose files are complete, keeping what was recorded of it before.

        Files of it that an earlier run with other settings left are removed, so that no results are mixed.
        """
        before = self.content.records.get(record["name"])
        if before is not None and before["stamp"] == record["stamp"] and before["source"] == record["source"]:
            record = {**record, "files": {**before["files"], **record["files"]}}
            record["tables"] = {**before["tables"], **record["tables"]}
        with self._mutex:
            for file in set(self.content.writes.get(record["name"], ())) - set(record["files"].values()):
                if self._is_own(record["name"], file):
                    (self.folder / file).unlink(missing_ok=True)
                del self.content.writes[record["name"]][file]
            self.content.add_record(record)
        self._append(record)

    def fail(self, source: ImageSource, error: str) -> None:
        """Record an image that failed."""
        image = printable(source.path)
        self.content.failures[source.name] = (image, error)
        self._append({"failed": printable(source.name), "image": image, "error": printable(error)})

    def add_tables(self, files: Iterable[str]) -> None:
        """Record the tables that are about to be written."""
        self.content.tables |= set(files)
        if not self._writer.is_open:
            self.start(())
        else:
            self._append({"tables_written": sorted(self.content.tables)}, durable=True)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _append(self, line: Mapping[str, Any], durable: bool = False) -> None:
        with self._mutex:
            try:
                self._writer.add(line, durable)
            except UserError as error:
                raise StorageError(str(error)) from error

    def _refuse_file(self, name: str, file: str) -> None:
        if inside(self.folder, file).exists() and not self._is_own(name, file):
            raise UserError(f"{self.folder / file}: is there already; add --overwrite true, or give another --output")

    def _is_own(self, name: str, file: str) -> bool:
        """Tell whether a file is what this journal says was written there."""
        path = self.folder / file
        digests = self.content.writes.get(name, {}).get(file, [])
        return bool(digests) and path.is_file() and sha256(path) in digests


def _is_current(record: Record, source: ImageSource) -> bool:
    try:
        return _is_of(record, source, file_stamp(*source.files))
    except UserError:
        return True  # told when it is read


def _is_of(record: Record, source: ImageSource, found: Stamp) -> bool:
    """Tell whether a record is of a file as it is now."""
    return record["source"] == str(source.path.absolute()) and record["stamp"] == list(found)
