"""The stages of an image: read, through the network, written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from custom_networks.data.formats.slides import is_slide
from custom_networks.errors import UserError
from custom_networks.files import Stamp, file_stamp, printable
from custom_networks.prediction.inputs import ImageSource
from custom_networks.prediction.journal import PredictionJournal, Record
from custom_networks.prediction.options import Options
from custom_networks.prediction.outputs import TABLE_OUTPUTS, image_output
from custom_networks.prediction.plan import PredictionPlan
from custom_networks.prediction.predictor import Prepared, SGDNetPredictor
from custom_networks.prediction.reading import ReadImage, is_volume, read_slices
from custom_networks.prediction.result import PredictedCase, Volume
from custom_networks.prediction.slide_worker import ReadSlide, SlideWorker


@dataclass
class ReadFile:
    """A file that was read.

    Attributes:
        pictures: its image, or the slices of a volume.
        stamp: of the file.
        prepared: what the network sees of each.
        volume: whether it is one, of a single slice too.
    """

    pictures: list[ReadImage]
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

    plan: PredictionPlan
    predictor: SGDNetPredictor
    journal: PredictionJournal
    batch_size: int

    def read(self, source: ImageSource) -> ReadFile | ReadSlide:
        """Read and prepare a file, after a look at what would be overwritten."""
        if printable(source.path) != str(source.path):
            raise UserError(f"{printable(source.path)}: its name is no UTF-8, which tables and journal need; rename it")
        found = file_stamp(*source.files)
        missing = self._missing(source)
        self.journal.refuse(source, found, self._files(source, missing).values())
        if is_slide(source.path):
            return self._slides.read(source, found, missing)
        pictures = read_slices(source.path, self.plan.axis, self.predictor.options.bit_depth, source.series)
        if pictures[0].spacing is None and self.plan.spacing:
            pictures = [replace(one, spacing=(self.plan.spacing, self.plan.spacing)) for one in pictures]
        volume = bool(source.series) or is_volume(source.path)
        return ReadFile(pictures, found, [self.predictor.prepare(one) for one in pictures], volume)

    def compute(self, items: list[ReadFile | ReadSlide]) -> list[Any]:
        """Run the network on a batch; returns the maps of each slice of each file, or the rows of each slide."""
        files = [item for item in items if isinstance(item, ReadFile)]
        if len(files) < len(items):
            return [
                self._slides.compute(one) if isinstance(one, ReadSlide) else self.compute([one])[0] for one in items
            ]
        prepared = [one for item in files for one in item.prepared]
        maps = [
            one
            for first in range(0, len(prepared), self.batch_size)
            for one in self.predictor.compute(prepared[first : first + self.batch_size])
        ]
        rest = iter(maps)
        return [[next(rest) for _ in item.prepared] for item in files]

    def write(self, source: ImageSource, item: ReadFile | ReadSlide, maps: Any) -> Record:
        """Write the files of an image, a volume or a slide that are not there; returns its line of the journal."""
        if isinstance(item, ReadSlide):
            return self._slides.write(item, maps)
        plan, options = self.plan, self.predictor.options
        watershed = replace(options.watershed, threshold=options.threshold) if "instances" in plan.outputs else None
        cases: list[PredictedCase] = []
        for pair in zip(item.pictures, maps, strict=True):
            above = cases[-1] if cases else None
            prediction = self.predictor.finish(*pair)
            cases.append(PredictedCase(source.path, source.name, prediction, watershed, plan.names, plan.codes, above))
        volume = Volume(source.path, source.name, cases, plan.axis, source.series)
        missing = self._missing(source)
        files = self._files(source, missing)
        for name, file in files.items():
            output = image_output(name)
            assert output is not None  # a table has no file
            content = output.encode_volume(volume) if item.volume else output.encode(cases[0])
            self.journal.write(source.name, file, content)
        mask = plan.files(source)["mask"]
        return {
            "name": source.name,
            "source": str(source.path.absolute()),
            "stamp": list(item.stamp),
            "files": files,
            "tables": {name: _table_rows(name, volume, item.volume) for name in missing if name in TABLE_OUTPUTS},
            "row": _volume_row(volume, mask, options) if item.volume else _row(cases[0], mask),
            "objects": self.journal.objects,
        }

    @cached_property
    def _slides(self) -> SlideWorker:
        return SlideWorker(self.plan, self.predictor, self.journal, self.batch_size)

    def _missing(self, source: ImageSource) -> list[str]:
        """Outputs that are to be made."""
        outputs = self.plan.outputs_of(source)
        missing = self.journal.missing(source.name, outputs)
        return list(dict.fromkeys([*outputs, *missing])) if self.plan.overwrite else missing

    def _files(self, source: ImageSource, outputs: list[str]) -> dict[str, str]:
        """Files of some outputs."""
        return {kind: file for kind, file in self.plan.files(source, outputs).items() if kind in outputs}


def _table_rows(name: str, volume: Volume, several: bool) -> list[dict[str, Any]]:
    """Rows of a table, with the number of their slice in a volume."""
    return [
        {**({"slice": index} if several else {}), **row}
        for index, case in enumerate(volume.slices)
        for row in TABLE_OUTPUTS[name].rows(case)
    ]


def _row(case: PredictedCase, mask: str) -> dict[str, Any]:
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
