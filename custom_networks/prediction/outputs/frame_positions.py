"""Frames without positions, of ultrasound or a secondary capture, in a DICOM SEG object.

highdicom takes several frames only where they have positions in space. So the source is given some, in memory, a
millimetre apart, and from the SEG object they are taken again: there its frames are told apart by their numbers in the
stack, and refer to the frames of the source by `ReferencedFrameNumber`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import generate_uid

_ACROSS_AND_DOWN = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def has_positions(image: Dataset) -> bool:
    """Tell whether the frames of a file have positions in a frame of reference."""
    groups = image.get("PerFrameFunctionalGroupsSequence") or []
    return "FrameOfReferenceUID" in image and bool(groups) and all("PlanePositionSequence" in one for one in groups)


def complete_thickness(images: Sequence[Dataset]) -> None:
    """Add, in memory, the slice thickness that images do not say: of a series the distance of two slices, else none."""
    if all(image.get("SliceThickness") for image in images):
        return
    thickness = None
    if len(images) > 1:
        first, second = (np.asarray(image.ImagePositionPatient, float) for image in images[:2])
        thickness = f"{np.linalg.norm(second - first):.6g}"
    for image in images:
        image.SliceThickness = image.get("SliceThickness") or thickness


def give_positions(image: Dataset) -> None:
    """Add positions to the frames of a file, in memory; against the normal, as highdicom begins with the highest."""
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = image.get("PixelSpacing") or [1.0, 1.0], 1.0
    orientation.ImageOrientationPatient = _ACROSS_AND_DOWN
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.FrameOfReferenceUID = generate_uid()
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = []
    for number in range(int(image.NumberOfFrames)):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, -float(number)]
        group.PlanePositionSequence = [position]
        image.PerFrameFunctionalGroupsSequence.append(group)


def take_positions(segmentation: Dataset) -> None:
    """Remove the positions from a SEG object of such a file."""
    for name in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if name in segmentation:
            delattr(segmentation, name)
    for group in (segmentation.SharedFunctionalGroupsSequence[0], *segmentation.PerFrameFunctionalGroupsSequence):
        for name in ("PlaneOrientationSequence", "PlanePositionSequence", "PixelMeasuresSequence"):
            if name in group:
                delattr(group, name)
    for index in segmentation.DimensionIndexSequence:
        if index.DimensionIndexPointer == tag_for_keyword("ImagePositionPatient"):
            index.DimensionIndexPointer = Tag("InStackPositionNumber")
            index.FunctionalGroupPointer = Tag("FrameContentSequence")
            index.DimensionDescriptionLabel = "In-stack position number"
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        content = group.FrameContentSequence[0]
        content.StackID, content.InStackPositionNumber = "1", int(source.ReferencedFrameNumber)
