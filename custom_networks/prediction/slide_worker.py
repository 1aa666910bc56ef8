"""The stages of a slide: opened, through the network onto the disk, written as pyramids and polygons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from custom_networks.array_types import Spacing
from custom_networks.data.formats.slides import Slide
from custom_networks.errors import UserError
from custom_networks.files import Stamp, file_stamp
from custom_networks.prediction.inputs import ImageSource, inside
from custom_networks.prediction.journal import PredictionJournal, Record
from custom_networks.prediction.outputs.geojson import write_traced
from custom_networks.prediction.outputs.pyramid import read_bands, write_pyramid
from custom_networks.prediction.plan import PredictionPlan
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.prediction.slide_rows import SlideRows, rows_file
from custom_networks.prediction.slides import SlideGrid, predict_rows
from custom_networks.prediction.tracing import trace

MAPS = ("mask", "probability")  # that come from the network, in the order in which `SlideRows` has them
CLEANING = {"fill_holes": False, "min_area": 0, "keep_largest": False}


@dataclass(frozen=True)
class ReadSlide:
    """A slide that is to be predicted.

    Attributes:
        source: of it.
        stamp: of the file.
        missing: outputs that are to be made.
    """

    source: ImageSource
    stamp: Stamp
    missing: list[str]


@dataclass
class SlideWorker:
    """The stages of the slides of one run.

    Args:
        plan: of the run.
        predictor: computes.
        journal: of the output folder.
        batch_size: windows that the network gets at once.
    """

    plan: PredictionPlan
    predictor: SGDNetPredictor
    journal: PredictionJournal
    batch_size: int

    def read(self, source: ImageSource, found: Stamp, missing: list[str]) -> ReadSlide:
        """Look whether a slide can be predicted."""
        options = self.predictor.options
        for name, off in CLEANING.items():
            if getattr(options, name) != off:
                raise UserError(f"{source.path}: the mask of a slide is not cleaned; leave --{name} out")
        with self._grid(source) as grid:
            _ = grid.size  # its resolution
        return ReadSlide(source, found, missing)

    def compute(self, item: ReadSlide) -> SlideRows | None:
        """Predict the windows that are not done yet; None where the maps are there and only polygons are missing."""
        if not set(MAPS) & set(item.missing):
            return None
        probability = "probability" in item.missing
        with self._grid(item.source) as grid:
            about: dict[str, Any] = {
                "source": str(item.source.path.absolute()),
                "stamp": list(item.stamp),
                "rows": grid.tops(),
            }
            about |= {"settings": self.journal.settings}
            rows = SlideRows(rows_file(self.plan.output, item.source.name), about, grid.size[0], 1 + probability)
            try:
                predict_rows(self.predictor.maps, grid, self.batch_size, rows, probability)
            except BaseException:
                rows.close()
                raise
        return rows

    def write(self, item: ReadSlide, rows: SlideRows | None) -> Record:
        """Write the files of a slide that are not there; returns its line of the journal."""
        source, journal = item.source, self.journal
        if file_stamp(source.path) != item.stamp:
            raise UserError(f"{source.path}: changed while it was read; predict it again when it is complete")
        planned = self.plan.files(source, item.missing)
        files = {kind: file for kind, file in planned.items() if kind in item.missing}
        mask = inside(self.plan.output, planned["mask"])
        with self._grid(source) as grid:
            for number, kind in enumerate(MAPS):
                if rows is not None and kind in files:
                    write = partial(write_pyramid, bands=rows.bands(number), size=grid.size, spacing=grid.pixel)
                    journal.write_large(source.name, files[kind], write)
            if "geojson" in files:
                regions = trace(read_bands(mask))
                journal.write_large(
                    source.name,
                    files["geojson"],
                    lambda path: write_traced(path, regions, grid.enlargement, grid.spacing, self.plan.names),
                )
            row = self._row(source, grid, rows)
        if rows is not None:
            rows.close()
        return {
            "name": source.name,
            "source": str(source.path.absolute()),
            "stamp": list(item.stamp),
            "files": files,
            "tables": {},
            "row": row,
            "objects": journal.objects,
        }

    @contextmanager
    def _grid(self, source: ImageSource) -> Iterator[SlideGrid]:
        with Slide(source.path) as slide:
            given: Spacing | None = (self.plan.spacing, self.plan.spacing) if self.plan.spacing else None
            yield SlideGrid(slide, self.predictor.options, slide.spacing or given)

    def _row(self, source: ImageSource, grid: SlideGrid, rows: SlideRows | None) -> dict[str, Any]:
        """Row of `predictions.csv`."""
        if rows is None:
            return dict(self.journal.content.records[source.name]["row"])
        width, height = grid.size
        pixels = [sum(counts) for counts in zip(*(row.pixels for row in rows.found), strict=True)]
        inner, total = (sum(getattr(row, name) for row in rows.found) for name in ("inside", "total"))
        certain = 2 * inner / (total + sum(pixels)) if any(pixels) else 0.0  # as `result.confidence`
        named = zip(self.plan.names.values(), pixels, strict=False)
        return {
            "image": str(source.path),
            "mask": self.plan.files(source)["mask"],
            "width": grid.slide.size[0],
            "height": grid.slide.size[1],
            "foreground": sum(pixels) / (width * height),
            **{f"foreground_{name}": count / (width * height) for name, count in named},
            "confidence": certain,
            "review": int(certain < self.predictor.options.review_below),
            "mask_width": width,
            "mask_height": height,
            "windows": sum(row.windows for row in rows.found),
            "windows_of_glass": sum(row.glass for row in rows.found),
        }
