"""A run of `sgdnet predict`: what is to be done, and doing it: images that are not done yet, then the tables."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from custom_networks.data.threads import available_cores
from custom_networks.errors import UserError
from custom_networks.prediction.inputs import Source, find_sources, inside, refuse_same_names
from custom_networks.prediction.journal import Journal, Record
from custom_networks.prediction.options import Options
from custom_networks.prediction.outputs import IMAGE_OUTPUTS, TABLE_OUTPUTS, Case
from custom_networks.prediction.outputs.tables import csv_file
from custom_networks.prediction.pipeline import Clock, Stages, run
from custom_networks.prediction.predictor import Prepared, SGDNetPredictor
from custom_networks.prediction.reading import Picture, read_file, stamp
from custom_networks.training.record import write_atomically

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
    """

    sources: Sequence[Source]
    output: Path
    outputs: tuple[str, ...]
    settings: dict[str, Any]
    spacing: float = 0.0
    overwrite: bool = False

    def files(self, source: Source) -> dict[str, str]:
        """Files that an image gets, by output, below the output folder."""
        return {
            name: source.name + IMAGE_OUTPUTS[name].ending(source.path)
            for name in self.outputs
            if name in IMAGE_OUTPUTS
        }

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
            worker = Worker(plan, predictor, journal)
            window = predictor.options.mode == "window"
            ahead, size = (1, 1) if window else (max(READ_AHEAD, batch_size), batch_size)
            workers = 1 if window else num_workers or available_cores(most=4)
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
        contents[file] = TABLE_OUTPUTS[name].encode([(one["row"], one["tables"][name]) for one in having])
    journal.add_tables(list(contents))
    for file, content in contents.items():
        write_atomically(plan.output / file, lambda stream, content=content: stream.write(content))  # type: ignore[misc]


@dataclass
class Worker:
    """The stages of one run.

    Args:
        plan: of the run.
        predictor: computes.
        journal: of the output folder.
    """

    plan: Plan
    predictor: SGDNetPredictor
    journal: Journal

    def read(self, source: Source) -> tuple[Picture, tuple[int, int], Prepared]:
        """Read and prepare an image, after a look at what would be overwritten."""
        found = stamp(source.path)
        self.journal.refuse(source, found, self.plan.files(source))
        picture = read_file(source.path)
        if picture.spacing is None and self.plan.spacing:
            picture = replace(picture, spacing=(self.plan.spacing, self.plan.spacing))
        return picture, found, self.predictor.prepare(picture)

    def compute(self, items: list[tuple[Picture, tuple[int, int], Prepared]]) -> list[Any]:
        """Run the network on a batch."""
        return self.predictor.compute([prepared for _, _, prepared in items])

    def write(self, source: Source, item: tuple[Picture, tuple[int, int], Prepared], maps: Any) -> Record:
        """Write the files of an image that are not there; returns its line of the journal."""
        picture, found, _ = item
        plan, options = self.plan, self.predictor.options
        prediction = self.predictor.finish(picture, maps)
        case = Case(source.path, source.name, prediction, options.threshold, "instances" in plan.outputs)
        files = plan.files(source)
        missing = plan.outputs if plan.overwrite else self.journal.missing(source.name, plan.outputs)
        for name in missing:
            if name in IMAGE_OUTPUTS:
                content = IMAGE_OUTPUTS[name].encode(case)
                path = inside(plan.output, files[name])
                write_atomically(path, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
        return {
            "name": source.name,
            "source": str(source.path.absolute()),
            "stamp": list(found),
            "files": files,
            "tables": {name: TABLE_OUTPUTS[name].rows(case) for name in missing if name in TABLE_OUTPUTS},
            "row": _row(case, files["mask"]),
        }


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
        "confidence": prediction.confidence,
        "review": int(prediction.review),
    }
    if prediction.uncertainty is not None:
        row["uncertainty"] = float(prediction.uncertainty.mean())
    return row


def settings_of(options: Options, checkpoint_sha256: str, outputs: Sequence[str], spacing: float) -> dict[str, Any]:
    """What decides whether earlier results count."""
    objects = "instances" if "instances" in outputs else "regions"
    return {**options.as_dict(), "checkpoint_sha256": checkpoint_sha256, "objects": objects, "spacing": spacing}
