"""A run of `sgdnet predict`: what is to be done, and doing it: images that are not done yet, then the tables."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from custom_networks.data.threads import available_cores
from custom_networks.errors import UserError
from custom_networks.files import write_atomically
from custom_networks.prediction.inputs import Source, find_sources, inside, refuse_same_names
from custom_networks.prediction.journal import Journal, Record
from custom_networks.prediction.options import Options
from custom_networks.prediction.outputs import TABLE_OUTPUTS, Case, Volume, image_output
from custom_networks.prediction.outputs.tables import csv_file
from custom_networks.prediction.pipeline import Clock, Stages, run
from custom_networks.prediction.predictor import Prepared, SGDNetPredictor
from custom_networks.prediction.reading import Picture, Stamp, is_volume, read_slices, stamp

TABLE = "predictions.csv"
READ_AHEAD = 2  # images, beside a batch


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        sources: all images.
        output: folder of the results.
        outputs: their names.
        settings: that decide whether earlier results count.
        spacing: millimetres a pixel where a file does not say; 0 is unknown.
        overwrite: whether results that are there are replaced.
        axis: of NIfTI volumes, along which their slices are counted.
        names: of the classes, where there are several.
    """

    sources: Sequence[Source]
    output: Path
    outputs: tuple[str, ...]
    settings: dict[str, Any]
    spacing: float = 0.0
    overwrite: bool = False
    axis: int = 2
    names: Mapping[int, str] = field(default_factory=dict)

    def files(self, source: Source) -> dict[str, str]:
        """Files that an image gets, by output, below the output folder."""
        found = ((name, image_output(name)) for name in self.outputs)
        return {name: source.name + output.ending(source.path) for name, output in found if output is not None}

    @property
    def tables(self) -> dict[str, str]:
        """Files for all images, by output."""
        return {name: TABLE_OUTPUTS[name].file for name in self.outputs if name in TABLE_OUTPUTS}


def make_plan(inputs: Sequence[str], output: Path, outputs: tuple[str, ...], **more: Any) -> Plan:
    """Find the images and check the names of their results.

    Args:
        inputs: see `find_sources`.
        output: folder of the results.
        outputs: names, of `chosen_outputs`.
        more: of `Plan`.

    Returns:
        The plan.

    Raises:
        UserError: as `find_sources`, and where two images would write the same file.
    """
    plan = Plan(find_sources(inputs, output), output, outputs, **more)
    refuse_same_names((source, file) for source in plan.sources for file in plan.files(source).values())
    tables = [TABLE, *plan.tables.values()]
    for source in plan.sources:
        clash = next((file for file in plan.files(source).values() if file in tables), None)
        if clash:
            raise UserError(f"{source.path}: would be written as {clash}, the name of a table; rename it")
    return plan


@dataclass
class Outcome:
    """What happened.

    Attributes:
        done: images predicted.
        skipped: images that had all their results.
        failures: images and why they have none.
        review: images flagged among those predicted.
        clock: where the time went.
    """

    done: int
    skipped: int
    failures: list[tuple[Source, str]]
    review: int
    clock: Clock

    def __str__(self) -> str:
        parts = [f"{self.done} predicted"]
        parts += [f"{self.skipped} done before"] if self.skipped else []
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        parts += [f"{self.review} to review"] if self.review else []
        if self.done:
            rate = self.done / max(self.clock.total, 1e-9)
            parts.append(f"{self.clock.total:.1f} s, {rate:.2f} images/s")
            parts.append(f"{100 * self.clock.share:.0f} % of the time in the network")
        return ", ".join(parts)


def describe(plan: Plan) -> list[str]:
    """Say what a run would do, without a look into the images: lines for `--dry_run`."""
    journal = Journal(plan.output, plan.settings, plan.overwrite)
    lines, done = [], 0
    for source in plan.sources:
        files = plan.files(source)
        if not plan.overwrite and journal.done(source, plan.outputs):
            done += 1
            continue
        try:
            journal.refuse(source, stamp(source.path), files)
        except UserError as error:
            lines.append(f"would fail: {error}")
            continue
        lines.append(f"{source.path} -> {', '.join(str(plan.output / file) for file in files.values())}")
    lines.append(f"{len(plan.sources)} images, {done} done before; nothing was written")
    return lines


def execute(
    plan: Plan,
    load: Callable[[], SGDNetPredictor],
    batch_size: int,
    num_workers: int = 0,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Predict the images of a plan.

    Args:
        plan: what to do.
        load: makes the predictor; called when there is something to predict.
        batch_size: images a step.
        num_workers: threads that read, and as many that write; 0 takes one for each core, 4 at most.
        say: called with a line for each image that fails.

    Returns:
        What happened.

    Raises:
        UserError: where nothing can be written, or the folder holds the results of other settings.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # PIL's limit itself is an error
    journal = Journal(plan.output, plan.settings, plan.overwrite)
    tables = [TABLE, *plan.tables.values()]
    for file in tables:
        journal.refuse_table(file)
    to_do = [one for one in plan.sources if plan.overwrite or not journal.done(one, plan.outputs)]
    outcome = Outcome(0, len(plan.sources) - len(to_do), [], 0, Clock())
    try:
        if to_do:
            predictor = load()
            worker = Worker(plan, predictor, journal, batch_size)
            large = predictor.options.mode == "window" or any(is_volume(one.path) for one in to_do)
            ahead, size = (1, 1) if large else (max(READ_AHEAD, batch_size), batch_size)
            workers = 1 if large else num_workers or available_cores(most=4)
            stages: Stages[Source] = Stages(worker.read, worker.compute, worker.write)
            bar = tqdm(total=len(to_do), unit="images", disable=not sys.stderr.isatty())
            with bar:
                for source, result in run(to_do, stages, size, workers, ahead, outcome.clock):
                    bar.update()
                    if isinstance(result, UserError):
                        outcome.failures.append((source, str(result)))
                        say(f"Error: {result}")
                        continue
                    journal.add(result)
                    outcome.done += 1
                    outcome.review += result["row"]["review"]
        if journal.records or outcome.failures:
            write_tables(plan, journal, outcome.failures)
    finally:
        journal.close()
    return outcome


def write_tables(plan: Plan, journal: Journal, failures: Sequence[tuple[Source, str]]) -> None:
    """Write `predictions.csv`, a row for each image of the folder and each failure, and the other tables."""
    records = [journal.records[name] for name in sorted(journal.records)]
    rows = [record["row"] for record in records]
    rows += [{"image": str(source.path), "error": text} for source, text in failures]
    contents = {TABLE: csv_file(rows)}
    for name, file in plan.tables.items():
        having = [record for record in records if name in record["tables"]]
        contents[file] = TABLE_OUTPUTS[name].encode([(one["row"], one["tables"][name]) for one in having], plan.names)
    journal.add_tables(list(contents))
    for file, content in contents.items():
        write_atomically(plan.output / file, lambda stream, content=content: stream.write(content))  # type: ignore[misc]


@dataclass
class ReadFile:
    """A file that was read.

    Attributes:
        pictures: its image, or the slices of a volume.
        stamp: of the file.
        prepared: what the network sees of each.
        volume: whether it is one, of a single slice too.
    """

    pictures: list[Picture]
    stamp: Stamp
    prepared: list[Prepared]
    volume: bool


@dataclass
class Worker:
    """The stages of one run.

    Args:
        plan: of the run.
        predictor: computes.
        journal: of the output folder.
        batch_size: images or slices that the network gets at once.
    """

    plan: Plan
    predictor: SGDNetPredictor
    journal: Journal
    batch_size: int

    def read(self, source: Source) -> ReadFile:
        """Read and prepare a file, after a look at what would be overwritten."""
        found = stamp(source.path)
        self.journal.refuse(source, found, self.plan.files(source))
        pictures = read_slices(source.path, self.plan.axis, self.predictor.options.bit_depth)
        if pictures[0].spacing is None and self.plan.spacing:
            pictures = [replace(one, spacing=(self.plan.spacing, self.plan.spacing)) for one in pictures]
        return ReadFile(pictures, found, [self.predictor.prepare(one) for one in pictures], is_volume(source.path))

    def compute(self, items: list[ReadFile]) -> list[list[Any]]:
        """Run the network on a batch; returns the maps of each slice of each file."""
        prepared = [one for item in items for one in item.prepared]
        maps = [
            one
            for first in range(0, len(prepared), self.batch_size)
            for one in self.predictor.compute(prepared[first : first + self.batch_size])
        ]
        rest = iter(maps)
        return [[next(rest) for _ in item.prepared] for item in items]

    def write(self, source: Source, item: ReadFile, maps: list[Any]) -> Record:
        """Write the files of an image or a volume that are not there; returns its line of the journal."""
        plan, options = self.plan, self.predictor.options
        watershed = replace(options.watershed, threshold=options.threshold) if "instances" in plan.outputs else None
        cases = [
            Case(source.path, source.name, self.predictor.finish(*pair), watershed, plan.names)
            for pair in zip(item.pictures, maps, strict=True)
        ]
        volume = Volume(source.path, source.name, cases, plan.axis)
        files = plan.files(source)
        missing = plan.outputs if plan.overwrite else self.journal.missing(source.name, plan.outputs)
        for name in missing:
            output = image_output(name)
            if output is not None:
                content = output.encode_volume(volume) if item.volume else output.encode(cases[0])
                path = inside(plan.output, files[name])
                write_atomically(path, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
        return {
            "name": source.name,
            "source": str(source.path.absolute()),
            "stamp": list(item.stamp),
            "files": files,
            "tables": {name: _table_rows(name, volume, item.volume) for name in missing if name in TABLE_OUTPUTS},
            "row": _volume_row(volume, files["mask"], options) if item.volume else _row(cases[0], files["mask"]),
        }


def _table_rows(name: str, volume: Volume, several: bool) -> list[dict[str, Any]]:
    """Rows of a table, with the number of their slice in a volume."""
    return [
        {**({"slice": index} if several else {}), **row}
        for index, case in enumerate(volume.slices)
        for row in TABLE_OUTPUTS[name].rows(case)
    ]


def _row(case: Case, mask: str) -> dict[str, Any]:
    """Row of `predictions.csv`."""
    prediction = case.prediction
    width, height = prediction.image.size
    row = {
        "image": str(case.source),
        "mask": mask,
        "width": width,
        "height": height,
        "foreground": float(prediction.mask.mean()),
        **{f"foreground_{name}": float((case.classes == number).mean()) for number, name in case.names.items()},
        "confidence": prediction.confidence,
        "review": int(prediction.review),
    }
    if prediction.uncertainty is not None:
        row["uncertainty"] = float(prediction.uncertainty.mean())
    return row


def _volume_row(volume: Volume, mask: str, options: Options) -> dict[str, Any]:
    """Row of a volume: means over its slices, and the confidence in all of them together."""
    rows = [_row(case, mask) for case in volume.slices]
    means: dict[str, Any] = {
        name: sum(row[name] for row in rows) / len(rows)
        for name in rows[0]
        if name == "uncertainty" or name.startswith("foreground")
    }
    certain = volume.confidence
    review = int(certain < options.review_below)
    return {**rows[0], "slices": len(rows), **means, "confidence": certain, "review": review}


def settings_of(
    options: Options, checkpoint_sha256: str, outputs: Sequence[str], spacing: float, axis: int = 2
) -> dict[str, Any]:
    """What decides whether earlier results count."""
    objects = "instances" if "instances" in outputs else "regions"
    facts = {"checkpoint_sha256": checkpoint_sha256, "objects": objects, "spacing": spacing, "axis": axis}
    return {**options.as_dict(), **facts}
