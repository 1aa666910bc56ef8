"""A run of `sgdnet predict`: what is to be done, and doing it: images that are not done yet, then the tables."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from custom_networks.data.formats.slides import Slide, is_slide
from custom_networks.data.resources import available_cores
from custom_networks.errors import UserError
from custom_networks.export.images import spread
from custom_networks.files import file_stamp, printable
from custom_networks.prediction.choice import CHECKED, WORTH
from custom_networks.prediction.engine import AUTO
from custom_networks.prediction.geometry import VIEWS
from custom_networks.prediction.inputs import ImageSource
from custom_networks.prediction.journal import ENGINES, PredictionJournal
from custom_networks.prediction.pipeline import Clock, Stages, run
from custom_networks.prediction.plan import TABLE, PredictionPlan
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.prediction.reading import ReadImage, is_volume, read_slices
from custom_networks.prediction.sharing import claimed, join_tables
from custom_networks.prediction.slide_rows import rows_file
from custom_networks.prediction.slides import SlideGrid
from custom_networks.prediction.window import starts, window_count
from custom_networks.prediction.worker import Worker

READ_AHEAD = 2  # images, beside a batch


@dataclass
class Outcome:
    """What happened.

    Attributes:
        done: images predicted.
        skipped: images that had all their results.
        failures: images and why they have none.
        review: images flagged among those predicted.
        clock: where the time went.
        waiting: images of other parts that are still to be predicted.
        engine: that computed; "" where nothing was predicted.
        windows: of slides.
        glass: of them left out, as they show nothing but glass.
    """

    done: int
    skipped: int
    failures: list[tuple[ImageSource, str]]
    review: int
    clock: Clock
    waiting: int = 0
    engine: str = ""
    windows: int = 0
    glass: int = 0

    def __str__(self) -> str:
        parts = [f"{self.done} predicted"]
        parts += [f"{self.skipped} done before"] if self.skipped else []
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        parts += [f"{self.review} to review"] if self.review else []
        parts += [f"{self.glass} of {self.windows} windows of slides left out as glass"] if self.glass else []
        parts += [f"{self.waiting} left to other parts"] if self.waiting else []
        if self.done:
            rate = self.done / max(self.clock.total, 1e-9)
            parts.append(f"{self.clock.total:.1f} s, {rate:.2f} images/s")
            parts.append(f"{100 * self.clock.share:.0f} % of the time in the network, by {self.engine}")
        return ", ".join(parts)


def dry_run_lines(plan: PredictionPlan) -> list[str]:
    """Say what a run would do, without a look into the images: lines for `--dry_run`."""
    journal = PredictionJournal(plan.output, plan.settings, plan.overwrite, plan.part)
    lines, done = [], 0
    for source in plan.own:
        if not plan.overwrite and journal.done(source, plan.outputs_of(source)):
            done += 1
            continue
        files = plan.files(source).values()
        try:
            journal.refuse(source, file_stamp(*source.files), files)
        except UserError as error:
            lines.append(f"would fail: {error}")
            continue
        lines.append(f"{printable(source.path)} -> {', '.join(printable(plan.output / file) for file in files)}")
    lines.append(f"{len(plan.own)} images, {done} done before; nothing was written")
    return lines


def execute(
    plan: PredictionPlan,
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
        UserError: where nothing can be written, another process works in the folder, or it holds the results of other
            settings.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # PIL's limit itself is an error
    before = PredictionJournal(
        plan.output, plan.settings, plan.overwrite, plan.part
    )  # mistakes are told before anything is made
    _check(plan, before)
    to_do = _to_do(plan, before)
    predictor = load() if to_do else None
    if predictor is not None:
        earlier = None if plan.overwrite else before.engine
        predictor.choose_engine(*first_images(plan, to_do, predictor, earlier), earlier, say)
    plan = replace(plan, settings=plan.settings | {ENGINES: _engines(before, predictor)})
    with claimed(plan) as journal:
        _check(plan, journal)
        to_do = _to_do(plan, journal)
        outcome = Outcome(0, len(plan.own) - len(to_do), [], 0, Clock())
        if to_do:
            worker = Worker(plan, predictor or load(), journal, batch_size)
            _predict(to_do, worker, num_workers, outcome, say)
            outcome.engine = worker.predictor.engine
        outcome.waiting = join_tables(plan, journal)
    return outcome


def _check(plan: PredictionPlan, journal: PredictionJournal) -> None:
    for file in (TABLE, *plan.tables.values()):
        journal.refuse_table(file)
    journal.refuse_mixed_objects(source.name for source in plan.sources)


def _to_do(plan: PredictionPlan, journal: PredictionJournal) -> list[ImageSource]:
    return [one for one in plan.own if plan.overwrite or not journal.done(one, plan.outputs_of(one))]


def _engines(journal: PredictionJournal, predictor: SGDNetPredictor | None) -> list[str]:
    """Engines that will have computed the results of a folder."""
    if predictor is None:
        return journal.engines
    earlier = [] if journal.overwrite else [name for name in journal.engines if name != predictor.engine]
    return [*earlier, predictor.engine]


def _predict(
    to_do: list[ImageSource], worker: Worker, num_workers: int, outcome: Outcome, say: Callable[[str], None]
) -> None:
    """Predict images, record each and count it; those that fill the memory one at a time, after the others."""
    windows = worker.predictor.options.mode == "window"
    large = [one for one in to_do if windows or one.series or is_volume(one.path) or is_slide(one.path)]
    apart = set(large)
    small = [one for one in to_do if one not in apart]
    several = num_workers or available_cores(most=4)
    stages: Stages[ImageSource] = Stages(worker.read, worker.compute, worker.write)
    with tqdm(total=len(to_do), unit="images", disable=not sys.stderr.isatty()) as bar:
        for sources, size, workers, ahead in (
            (small, worker.batch_size, several, max(READ_AHEAD, worker.batch_size)),
            (large, 1, 1, 1),
        ):
            for source, result in run(sources, stages, size, workers, ahead, outcome.clock):
                bar.update()
                _record(source, result, worker, outcome, say)


def _record(source: ImageSource, result: Any, worker: Worker, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Record what came of an image, its line of the journal or what ended it."""
    if isinstance(result, Exception):
        text = failure_sentence(source, result)
        worker.journal.fail(source, text)
        outcome.failures.append((source, text))
        say(f"Error: {text}")
        return
    worker.journal.add(result)
    rows_file(worker.plan.output, source.name).unlink(missing_ok=True)  # of a slide, until it is recorded
    row = result["row"]
    outcome.done += 1
    outcome.review += row["review"]
    outcome.windows += row.get("windows", 0)
    outcome.glass += row.get("windows_of_glass", 0)


def failure_sentence(source: ImageSource, error: Exception) -> str:
    """Say in one sentence why an image failed.

    Args:
        source: the image.
        error: what ended it.
    """
    path = printable(source.path)
    reason = printable(" ".join(str(error).split()))
    if isinstance(error, UserError):
        return reason if path in reason else f"{path}: {reason}"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in reason:
        return f"{path}: there is not enough memory for it; try a smaller --batch_size, or --mode window"
    return f"{path}: cannot be predicted ({type(error).__name__}: {reason[:200]}); check the file"


def first_images(
    plan: PredictionPlan, sources: Sequence[ImageSource], predictor: SGDNetPredictor, earlier: str | None = None
) -> tuple[list[ReadImage], int]:
    """Read some images, where an engine is to be chosen.

    Args:
        plan: of the run.
        sources: images to predict; those that cannot be read are left out.
        predictor: that will predict them.
        earlier: engine of the folder.

    Returns:
        `CHECKED` images, slices or windows of a slide, or one image that windows are cut from; about how many squares
        all images are.
    """
    options = predictor.options
    windows, views = options.mode == "window", len(VIEWS[options.tta])
    large = windows or any(one.series or is_volume(one.path) or is_slide(one.path) for one in sources)
    few = len(sources) * views < WORTH and not large
    if predictor.is_chosen or (predictor.engine == AUTO and earlier is None and few):
        return [], len(sources) * views
    pictures: list[ReadImage] = []
    squares: list[int] = []
    for source in sources[: 2 * CHECKED]:
        if len(pictures) >= (1 if windows else CHECKED):
            break
        try:
            if is_slide(source.path):
                found, count = _of_slide(plan, source, predictor)
            else:
                found = read_slices(source.path, plan.axis, options.bit_depth, source.series)
                count = len(found)
                if windows:
                    count *= window_count(found[0].size, options.image_size, options.overlap, options.scale)
        except Exception:  # told when it is predicted
            continue
        squares.append(count)
        pictures += spread(found, CHECKED - len(pictures))
    return pictures, round(len(sources) * views * sum(squares) / max(1, len(squares)))


def _of_slide(plan: PredictionPlan, source: ImageSource, predictor: SGDNetPredictor) -> tuple[list[ReadImage], int]:
    """Windows along the diagonal of a slide, and how many it has."""
    options = predictor.options
    with Slide(source.path) as slide:
        given = (plan.spacing, plan.spacing) if plan.spacing else None
        grid = SlideGrid(slide, options, slide.spacing or given)
        tops, lefts = grid.tops(), starts(grid.padded[0], options.image_size, options.overlap)
        shares = [(number + 1) / (CHECKED + 1) for number in range(CHECKED)]
        places = [(lefts[int(share * len(lefts))], tops[int(share * len(tops))]) for share in shares]
        return [ReadImage(grid.window(*place)) for place in places], len(tops) * len(lefts)
