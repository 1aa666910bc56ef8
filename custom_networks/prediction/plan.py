"""What a run of `sgdnet predict` is to do, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custom_networks.data.formats.slides import is_slide
from custom_networks.errors import UserError
from custom_networks.prediction.inputs import ImageSource, find_sources, refuse_same_names, refuse_sources_as_targets
from custom_networks.prediction.journal import CLASSES, ENGINES, INSTANCES, NORMALIZATION
from custom_networks.prediction.options import Options
from custom_networks.prediction.outputs import SLIDE_OUTPUTS, TABLE_OUTPUTS, image_output
from custom_networks.prediction.parts import Part
from custom_networks.prediction.reading import is_volume
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.segments import SegmentCode

TABLE = "predictions.csv"


@dataclass(frozen=True)
class PredictionPlan:
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
        codes: of the classes in DICOM.
        part: which of the images this process predicts.
    """

    sources: Sequence[ImageSource]
    output: Path
    outputs: tuple[str, ...]
    settings: dict[str, Any]
    spacing: float = 0.0
    overwrite: bool = False
    axis: int = 2
    names: Mapping[int, str] = field(default_factory=dict)
    codes: Mapping[int, SegmentCode] = field(default_factory=dict)
    part: Part = field(default_factory=Part)

    @property
    def own(self) -> list[ImageSource]:
        """Images of this part."""
        return [source for source in self.sources if self.part.has(source.name)]

    def outputs_of(self, source: ImageSource) -> tuple[str, ...]:
        """Outputs that an image gets: all of them, a slide those that are made window by window."""
        return tuple(name for name in self.outputs if name in SLIDE_OUTPUTS or not is_slide(source.path))

    def files(self, source: ImageSource, more: Sequence[str] = ()) -> dict[str, str]:
        """Files that an image gets, by output, below the output folder; `more` outputs beside those of the plan."""
        found = ((name, image_output(name)) for name in dict.fromkeys([*self.outputs_of(source), *more]))
        volume = bool(source.series) or is_volume(source.path)
        return {name: source.name + output.ending(source.path, volume) for name, output in found if output is not None}

    @property
    def tables(self) -> dict[str, str]:
        """Files for all images, by output."""
        return {name: TABLE_OUTPUTS[name].file for name in self.outputs if name in TABLE_OUTPUTS}


def make_plan(inputs: Sequence[str], output: Path, outputs: tuple[str, ...], **more: Any) -> PredictionPlan:
    """Find the images and check the names of their results.

    Args:
        inputs: see `find_sources`.
        output: folder of the results.
        outputs: names, of `chosen_outputs`.
        more: of `PredictionPlan`.

    Returns:
        The plan.

    Raises:
        UserError: as `find_sources`, where two images have one name or would write the same file, and where a file
            would be written over an image.
    """
    plan = PredictionPlan(find_sources(inputs, output), output, outputs, **more)
    refuse_same_names((source, file) for source in plan.sources for file in plan.files(source).values())
    refuse_same_names((source, f"{source.name}.*") for source in plan.sources)  # by which the journal knows an image
    tables = [TABLE, *plan.tables.values()]
    for source in plan.sources:
        clash = next((file for file in plan.files(source).values() if file in tables), None)
        if clash:
            raise UserError(f"{source.path}: would be written as {clash}, the name of a table; rename it")
    files = [file for source in plan.sources for file in plan.files(source).values()]
    refuse_sources_as_targets(plan.sources, [output / file for file in (*files, *tables)])
    return plan


def settings_of(
    options: Options,
    checkpoint_sha256: str,
    outputs: Sequence[str],
    spacing: float,
    axis: int = 2,
    normalizations: Sequence[Normalization] = (),
    names: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """What decides whether earlier results count.

    Args:
        options: how images are predicted.
        checkpoint_sha256: of the weights.
        outputs: names of what is written.
        spacing: millimetres a pixel where a file does not say.
        axis: of NIfTI volumes.
        normalizations: of the images, for each of the weights.
        names: of the classes.

    Returns:
        Names and values.
    """
    settings = options.as_dict()
    watershed = settings.pop("watershed") | {"threshold": options.threshold}
    instances = watershed if "instances" in outputs else None
    return {
        **settings,
        "checkpoint_sha256": checkpoint_sha256,
        "spacing": spacing,
        "axis": axis,
        NORMALIZATION: [{"mean": one.mean, "std": one.std} for one in normalizations],
        CLASSES: dict(names or {}),
        INSTANCES: instances,
        ENGINES: [],
    }
