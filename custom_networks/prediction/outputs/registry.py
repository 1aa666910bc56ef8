"""Every output by name. A new one is a file of this folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_networks.errors import UserError, nearest
from custom_networks.prediction.outputs.coco import coco_file, coco_rows
from custom_networks.prediction.outputs.families import (
    DICOM,
    NIFTI,
    SLIDE,
    family,
    grid_file,
    nifti_like,
    numbers,
    pages,
    png,
)
from custom_networks.prediction.outputs.geojson import geojson_file, geojson_volume
from custom_networks.prediction.outputs.overlay import overlay_file, overlay_volume
from custom_networks.prediction.outputs.segmentation import segmentation_file
from custom_networks.prediction.outputs.tables import OutputRow, measurement_rows, measurements_file
from custom_networks.prediction.result import PredictedCase, Volume

OF_CLASS = "probability_"  # with the number of a class


@dataclass(frozen=True)
class ImageOutput:
    """A file for each image.

    Attributes:
        ending: of the file, after the image's name; told its path and whether it is a volume.
        encode: makes its bytes.
        encode_volume: makes them of a volume.
        of_objects: whether it lists objects, which are others once instances are asked for.
    """

    ending: Callable[[Path, bool], str]
    encode: Callable[[PredictedCase], bytes]
    encode_volume: Callable[[Volume], bytes]
    of_objects: bool = False


@dataclass(frozen=True)
class TableOutput:
    """A file for all images.

    Attributes:
        file: its name.
        rows: what an image adds to it.
        encode: makes its bytes of each image's facts and rows, and the names of the classes.
    """

    file: str
    rows: Callable[[PredictedCase], list[OutputRow]]
    encode: Callable[[Sequence[tuple[OutputRow, Sequence[OutputRow]]], Mapping[int, str]], bytes]


def encode_mask(case: PredictedCase) -> bytes:
    """Encode the mask in the family of its image.

    DICOM SEG with a segment for each class, NIfTI with the classes (0 and 1 of one), PNG with the classes or, of one, 0
    and 255.
    """
    kind = family(case.source)
    if kind == DICOM:
        return segmentation_file(case.source, case.classes, case.names, codes=case.codes)
    if kind == NIFTI:
        return nifti_like(case.source, case.classes)
    return png(case.classes if case.names else np.where(case.prediction.mask, np.uint8(255), np.uint8(0)))


def _volume_of(values: Callable[[PredictedCase], NDArray]) -> Callable[[Volume], bytes]:
    """Encode a map of all slices as one NIfTI volume, or of DICOM as pages of a TIFF."""

    def encode(volume: Volume) -> bytes:
        maps = [values(one) for one in volume.slices]
        return pages(maps) if family(volume.source) == DICOM else nifti_like(volume.source, np.stack(maps), volume.axis)

    return encode


def encode_mask_volume(volume: Volume) -> bytes:
    """Encode the masks of all slices: NIfTI, or DICOM SEG that refers to the frames or files that they are of."""
    if family(volume.source) != DICOM:
        return _volume_of(lambda case: case.classes)(volume)
    first = volume.slices[0]
    classes = np.stack([one.classes for one in volume.slices])
    return segmentation_file(volume.source, classes, first.names, codes=first.codes, series=volume.series)


def _mask_ending(path: Path, volume: bool) -> str:
    return {DICOM: ".dcm", NIFTI: ".nii.gz", SLIDE: ".tif"}.get(family(path), ".png")


def _map_ending(path: Path, volume: bool) -> str:
    """Ending of a map: TIFF of slides and of the frames of DICOM volumes."""
    of = family(path)
    return ".nii.gz" if of == NIFTI else ".tif" if of == SLIDE or volume else ".png"


def _grid(what: str, values: Callable[[PredictedCase], NDArray]) -> ImageOutput:
    """Describe the output of a map (H, W) on the image's own grid."""
    return ImageOutput(
        lambda path, volume: f"_{what}{_map_ending(path, volume)}",
        lambda case: grid_file(case.source, values(case)),
        _volume_of(values),
    )


def _given(values: NDArray[np.float32] | None, case: PredictedCase, what: str) -> NDArray[np.float32]:
    if values is None:
        raise UserError(f"{case.source}: this network has no {what} map; leave {what} out of --outputs")
    return values


IMAGE_OUTPUTS: dict[str, ImageOutput] = {
    "mask": ImageOutput(_mask_ending, encode_mask, encode_mask_volume),
    "probability": _grid("probability", lambda case: case.prediction.probability),
    "edge": _grid("edge", lambda case: _given(case.prediction.edge, case, "edge")),
    "uncertainty": _grid("uncertainty", lambda case: _given(case.prediction.uncertainty, case, "uncertainty")),
    "instances": _grid("instances", lambda case: numbers(case.source, case.labels)),
    "overlay": ImageOutput(
        lambda _, volume: "_overlay.tif" if volume else "_overlay.jpg", overlay_file, overlay_volume
    ),
    "geojson": ImageOutput(lambda *_: ".geojson", geojson_file, geojson_volume, of_objects=True),
}
SLIDE_OUTPUTS = ("mask", "probability", "geojson")
TABLE_OUTPUTS: dict[str, TableOutput] = {
    "coco": TableOutput("coco.json", coco_rows, coco_file),
    "measurements": TableOutput("measurements.csv", measurement_rows, measurements_file),
}


def image_output(name: str) -> ImageOutput | None:
    """Return an output of an image by its name, that of a class's probability too; None for a table."""
    if name.startswith(OF_CLASS):
        number = int(name.removeprefix(OF_CLASS))
        return _grid(name, lambda case: case.prediction.class_probability[number])
    return IMAGE_OUTPUTS.get(name)


def follows_objects(name: str) -> bool:
    """Tell whether an output lists objects: the tables and the polygons."""
    output = image_output(name)
    return output is None or output.of_objects


def chosen_outputs(
    names: str | Sequence[str], tta: str, classes: Iterable[int] = (), more: Sequence[str] = (), edge: bool = True
) -> tuple[str, ...]:
    """Read the list of outputs.

    Args:
        names: separated by commas, or a sequence; "all" is all that can be had.
        tta: test-time augmentation, without which there is no uncertainty.
        classes: numbers of several classes, each of which gets a file with the probabilities.
        more: names to add.
        edge: whether the network gives an edge map.

    Returns:
        Names in the order of the registry; the mask is always among them, and after "probability" those of classes.

    Raises:
        UserError: for a name that does not exist, an uncertainty map without augmentation, or an edge map of none.
    """
    known = [*IMAGE_OUTPUTS, *TABLE_OUTPUTS]
    wanted = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    if wanted == ["all"]:
        lacking = {*(["uncertainty"] if tta == "none" else []), *([] if edge else ["edge"])}
        wanted = [name for name in known if name not in lacking]
    for name in wanted:
        if name not in known:
            raise UserError(f"--outputs {name}: must be of {', '.join(known)}{nearest(str(name), known)}")
    if "uncertainty" in wanted and tta == "none":
        raise UserError("--outputs uncertainty: is the spread of several views; add --tta flips or --tta all")
    if "edge" in wanted and not edge:
        raise UserError("--outputs edge: the network of these weights gives no edge map; leave edge out")
    chosen = [name for name in known if name in (*wanted, *more) or name == "mask"]
    of_classes = [f"{OF_CLASS}{number}" for number in classes]
    return tuple(one for name in chosen for one in [name, *(of_classes if name == "probability" else ())])
