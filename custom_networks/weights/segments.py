"""What classes are in the words of DICOM (PS3.16 CID 7150 and 7159): a category and a type, coded in SNOMED CT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field

from custom_networks.typed_files import FileModel

Code = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=3, max_length=3)]
"""Value, scheme and meaning, such as ["52988006", "SCT", "Lesion"]."""


class SegmentCode(FileModel):
    """Code of a class.

    Attributes:
        category: such as a morphologically abnormal structure.
        type: such as a lesion.
    """

    category: Code
    type: Code


LESION_CODE = SegmentCode(
    category=["49755003", "SCT", "Morphologically Abnormal Structure"], type=["52988006", "SCT", "Lesion"]
)
NUCLEUS_CODE = SegmentCode(category=["91723000", "SCT", "Anatomical Structure"], type=["84640000", "SCT", "Nucleus"])


def codes_of_classes(
    classes: Iterable[int], label_kind: str | None, known: Mapping[str, SegmentCode]
) -> dict[int, SegmentCode]:
    """Tell the code of each class.

    Args:
        classes: their numbers; none for weights of one class, which is number 1.
        label_kind: of the labels that were trained on: what has instances is taken for nuclei, all else for lesions.
        known: codes by number, numbers as text, where the datalist named them.

    Returns:
        The codes by number.
    """
    default = NUCLEUS_CODE if label_kind == "instances" else LESION_CODE
    return {number: known.get(str(number), default) for number in (*classes,) or (1,)}
