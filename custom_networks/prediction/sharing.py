"""An output folder that several processes may want: a lock for each part, and the tables of all parts together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from custom_networks.errors import UserError
from custom_networks.files import lock_file, remove_unfinished, write_bytes
from custom_networks.prediction.journal import Content, JobSettings, PredictionJournal, Record, changes
from custom_networks.prediction.outputs import TABLE_OUTPUTS
from custom_networks.prediction.outputs.tables import csv_file
from custom_networks.prediction.parts import WHOLE_LOCK
from custom_networks.prediction.plan import TABLE, PredictionPlan
from custom_networks.prediction.slide_rows import rows_file

BUSY = "another `sgdnet predict` works in this folder; wait for its end, or give another --output"
BUSY_PART = "another `sgdnet predict` works on part {} of this folder; give another part, or wait for its end"
PATIENCE = 10.0
"""Seconds to wait while another part begins or joins the tables."""


@contextmanager
def claimed(plan: PredictionPlan) -> Iterator[PredictionJournal]:
    """Hold an output folder, or the share of one part, against other processes.

    Args:
        plan: of the run.

    Yields:
        The journal, started where there is something to predict.

    Raises:
        UserError: while another process works on it, and as `PredictionJournal`.
    """
    folder, part = plan.output, plan.part
    with ExitStack() as held:
        with _gate(folder, 0.0 if part.count == 1 else PATIENCE) as gate:
            if part.count > 1:
                _keep(held, lock_file(folder / part.lock, BUSY_PART.format(part)))
            elif gate is not None:  # once more, until the end of the run
                gate.acquire()
                _keep(held, gate)
            journal = PredictionJournal(folder, plan.settings, plan.overwrite, part)
            held.callback(journal.close)
            to_do = [one for one in plan.own if plan.overwrite or not journal.done(one, plan.outputs_of(one))]
            if to_do or journal.had_failures or part.count > 1:
                journal.start(to_do)
            if part.count == 1:
                _remove_unfinished(plan, journal, [journal.content])
        yield journal


def join_tables(plan: PredictionPlan, journal: PredictionJournal) -> int:
    """Write the tables of all parts, as far as they are: a row for each image of the folder and each failure.

    Measurements of regions are left out of tables of instances until their part has made them anew.

    Args:
        plan: of the run.
        journal: of this part.

    Returns:
        Images of other parts that are still to be predicted or measured.
    """
    with ExitStack() as held:
        if plan.part.count > 1:
            held.enter_context(_gate(plan.output, None))
        contents = [journal.content]
        for other in (one for one in plan.part.all if one != plan.part):
            content = Content.read(plan.output / other.journal)
            if _goes_together(content.settings, journal.settings):
                contents.append(content)
        records = _records(contents)
        failures = {name: told for content in contents for name, told in content.failures.items()}
        rows = [record["row"] for _, record in sorted(records.items())]
        rows += [{"image": image, "error": error} for image, error in sorted(failures.values())]
        outdated = {name for name, one in records.items() if one["tables"] and one["objects"] != journal.objects}
        measured = [record for name, record in sorted(records.items()) if name not in outdated]
        for file, data in _tables(plan, rows, measured).items():
            journal.add_tables([file])
            write_bytes(plan.output / file, data)
        known = (records.keys() - (outdated if plan.tables else set())) | failures.keys()
        waiting = sum(one.name not in known for one in plan.sources)
        if plan.part.count > 1 and not waiting:
            _remove_unfinished_of_parts(plan, journal, contents)
    return waiting


def _goes_together(one: JobSettings | None, other: JobSettings) -> bool:
    """Tell whether results of two parts belong into one table; either may have added instances."""
    return one is not None and not (changes(one, other) and changes(other, one))


def _records(contents: list[Content]) -> dict[str, Record]:
    """Records of all journals, by the image's name."""
    return {name: record for content in contents for name, record in content.records.items()}


def _tables(plan: PredictionPlan, rows: list[dict[str, Any]], measured: list[Record]) -> dict[str, bytes]:
    """Content of each table, by its file, of the rows of all images and the records of those measured as now."""
    contents = {TABLE: csv_file(rows)}
    for name, file in plan.tables.items():
        having = [record for record in measured if name in record["tables"]]
        contents[file] = TABLE_OUTPUTS[name].encode([(one["row"], one["tables"][name]) for one in having], plan.names)
    return contents


@contextmanager
def _gate(folder: Path, patience: float | None) -> Iterator[FileLock | None]:
    """Hold the lock of the folder: a whole run for all its time, a part while it begins and while it joins."""
    lock = lock_file(folder / WHOLE_LOCK, BUSY if patience is not None else None, patience or 0.0)
    try:
        yield lock
    finally:
        if lock is not None:
            lock.release()


def _keep(held: ExitStack, lock: FileLock | None) -> None:
    """Release a lock, which is held, when the stack is left."""
    if lock is not None:
        held.callback(lock.release)


def _remove_unfinished(plan: PredictionPlan, journal: PredictionJournal, contents: list[Content]) -> None:
    """Remove what killed runs left half written; no other process may write the folder meanwhile."""
    names: dict[str, set[str]] = {".": {*plan.tables.values(), TABLE, *(one.journal for one in plan.part.all)}}
    if any(plan.output.glob(".slide-*.rows")):
        records = _records(contents)
        for source in (one for one in plan.sources if one.name in records):
            if not journal.lacking(records[source.name], plan.outputs_of(source)):  # else an output was being added
                rows_file(plan.output, source.name).unlink(missing_ok=True)
    planned = (file for source in plan.sources for file in plan.files(source).values())
    written = (file for content in contents for files in content.writes.values() for file in files)
    for file in (*planned, *written):
        path = PurePosixPath(file)
        names.setdefault(str(path.parent), set()).add(path.name)
    for below, files in names.items():
        remove_unfinished(plan.output / below, files)


def _remove_unfinished_of_parts(plan: PredictionPlan, journal: PredictionJournal, contents: list[Content]) -> None:
    """Remove what killed processes of the parts left, unless one of them is at work again."""
    with ExitStack() as held:
        for other in (one for one in plan.part.all if one != plan.part):
            try:
                _keep(held, lock_file(plan.output / other.lock, "busy"))
            except UserError:
                return
        _remove_unfinished(plan, journal, contents)
