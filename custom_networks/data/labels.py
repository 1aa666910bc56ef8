"""What the labels of a data set are.

A label tensor is whole numbers, (1, W, H): 0 and 1 of a mask, the numbers of instances, or classes. Where instances
have classes to be told apart it is (2, W, H), the instances first, as MONAI's `PanopticQualityMetric` takes them. The
loss draws the boundary from the first channel and segments the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from custom_networks.data.datalist import LABEL_KINDS, Datalist
from custom_networks.data.pairing import Item
from custom_networks.errors import UserError, nearest
from custom_networks.files import PathLike

if TYPE_CHECKING:
    import torch


def label_kind(knob: str | None = None, datalist: PathLike | None = None) -> str:
    """Tell what the labels of a data set are.

    Args:
        knob: one of `LABEL_KINDS`, which then holds; None for what the datalist says.
        datalist: a MONAI datalist; its "label_kind" counts, "mask" without one.

    Returns:
        "mask" (object or background), "instances" (a number for each object) or "classes" (a class for each pixel).

    Raises:
        UserError: for another kind, or a datalist that cannot be read.
    """
    if knob is None:
        return LABEL_KINDS[0] if datalist is None else Datalist.read(datalist).label_kind
    if knob not in LABEL_KINDS:
        known = ", ".join(LABEL_KINDS)
        raise UserError(f"--label_kind {knob}: must be one of {known}{nearest(str(knob), LABEL_KINDS)}")
    return knob


def class_count(datalist: PathLike | None = None, knob: int | None = None) -> int:
    """Count the classes to tell apart, background included.

    Args:
        datalist: a MONAI datalist with `"classes": {"1": name, ...}`.
        knob: the count, which then holds; None for what the datalist says.

    Returns:
        2 or more.

    Raises:
        UserError: where neither says it, or the numbers are no classes.
    """
    if knob is not None:
        if isinstance(knob, bool) or not isinstance(knob, int) or knob < 2:
            raise UserError(f"--classes {knob}: must be a whole number from 2 up, background included")
        return knob
    names = Datalist.read(datalist).class_names() if datalist is not None else {}
    if not names:
        raise UserError(
            f'{datalist or "without a datalist"}: no "classes" to tell how many there are; '
            'write {"1": name, ...} in the datalist or set --classes, background included'
        )
    return max(2, 1 + max(names))


def class_names(datalist: PathLike | None, classes: int) -> dict[str, str]:
    """Name the foreground classes, for the record beside the weights.

    Args:
        datalist: a MONAI datalist, whose "classes" name them; their numbers stand in for names it lacks.
        classes: how many to tell apart, background included.

    Returns:
        Name of each number from 1, numbers as text, as JSON has them.
    """
    known = Datalist.read(datalist).class_names() if datalist is not None else {}
    return {str(number): known.get(number, str(number)) for number in range(1, classes)}


def segment_codes(datalist: PathLike | None) -> dict[str, Any]:
    """Return the DICOM codes of classes that a datalist names, for the record beside the weights."""
    known = Datalist.read(datalist).segments if datalist is not None else None
    return {number: code.as_dict() for number, code in (known or {}).items()}


def with_classes(items: list[Item], kind: str, classes: int = 1) -> list[dict[str, Any]]:
    """Give instances their class maps where classes are told apart, and leave the maps out elsewhere.

    Args:
        items: as from `load_datalist`, with "types", the class map, where the datalist has it.
        kind: one of `LABEL_KINDS`.
        classes: how many to tell apart, background included; 1 for object or background.

    Returns:
        The items; "label" is `[instances, types]` for instances with classes, which load as two channels.

    Raises:
        UserError: for masks with classes, or instances without a class map.
    """
    if classes > 1 and kind == "mask":
        raise UserError(
            f"{classes} classes, but the labels are masks; set label_kind to classes or instances, or train one class"
        )
    paired = []
    for item in items:
        label: str | list[str] = item["label"]
        if classes > 1 and kind == "instances":
            if "types" not in item:
                raise UserError(f'{label}: an instance map without "types", its class map; add it to the datalist')
            label = [item["label"], item["types"]]
        paired.append({**{key: value for key, value in item.items() if key != "types"}, "label": label})
    return paired


def to_whole_numbers(label: torch.Tensor) -> torch.Tensor:
    """Store a label map in 8 bits where its numbers fit, else in 32: a quarter of the memory in the cache."""
    import torch

    return label.to(torch.uint8 if label.max() <= 255 else torch.int32)


def last_channel(label: torch.Tensor) -> torch.Tensor:
    """Keep what is segmented, (1, ...), of a label (1 or 2, ...)."""
    return label[-1:]


def foreground_channels(one_hot: torch.Tensor) -> torch.Tensor:
    """Leave the background, channel 0, out of a one-hot map (classes, ...)."""
    return one_hot[1:]
