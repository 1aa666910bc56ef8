"""A mask as a DICOM SEG object that refers to the image it was drawn on."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from custom_networks.data.formats.dicom_volumes import ordered
from custom_networks.errors import UserError
from custom_networks.prediction.outputs.coco import LESION
from custom_networks.prediction.outputs.frame_positions import (
    complete_thickness,
    give_positions,
    has_positions,
    take_positions,
)
from custom_networks.weights.segments import LESION_CODE, SegmentCode

ALGORITHM = "SGD-Net"


def segmentation_file(
    source: Path,
    classes: NDArray[np.uint8],
    names: Mapping[int, str],
    algorithm_type: str = "AUTOMATIC",
    codes: Mapping[int, SegmentCode] | None = None,
    series: Sequence[Path] = (),
) -> bytes:
    """Encode a mask as DICOM SEG, binary, with a segment for each class.

    Args:
        source: the DICOM image.
        classes: (H, W), of its rows and columns, 0 being background; (N, H, W) of several frames or a series.
        names: of the classes; empty for one without a name.
        codes: what the classes are; one that is not named is a lesion.
        series: all files of a series, `source` being one of them, whose slices `classes` has in the order of positions.
        algorithm_type: AUTOMATIC, SEMIAUTOMATIC (a prediction corrected by hand) or MANUAL.

    Returns:
        The file's bytes.

    Raises:
        UserError: where the image lacks what a SEG object has to copy from it.
    """
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.sr.codedict import codes as known
    from pydicom.uid import generate_uid

    try:
        release = version("sgdnet")
    except PackageNotFoundError:  # run from a bundle archive
        release = "unknown"
    algorithm = hd.AlgorithmIdentificationSequence(
        name=ALGORITHM, version=release, family=known.DCM.ArtificialIntelligence
    )
    segments_of = names or LESION
    of_class = {number: (codes or {}).get(number, LESION_CODE) for number in segments_of}
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=hd.sr.CodedConcept(*of_class[number].category),
            segmented_property_type=hd.sr.CodedConcept(*of_class[number].type),
            algorithm_type=algorithm_type,
            algorithm_identification=None if algorithm_type == "MANUAL" else algorithm,
        )
        for number, name in segments_of.items()
    ]
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = [dcmread(path) for path in (ordered(series) if series else (source,))]
            positioned = int(images[0].get("NumberOfFrames") or 1) == 1 or has_positions(images[0])
            if not positioned:
                give_positions(images[0])
            complete_thickness(images)
            segmentation = hd.seg.Segmentation(
                source_images=images,
                pixel_array=np.ascontiguousarray(classes if classes.ndim == 3 else classes[None]),
                segmentation_type="BINARY",
                segment_descriptions=segments,
                series_instance_uid=generate_uid(),
                series_number=1000,
                sop_instance_uid=generate_uid(),
                instance_number=1,
                manufacturer=ALGORITHM,
                manufacturer_model_name=ALGORITHM,
                software_versions=release,
                device_serial_number="none",
                content_label="SGDNET",
                omit_empty_frames=bool(classes.any()),
            )
            if not positioned:
                take_positions(segmentation)
            segmentation.save_as(buffer)
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source}: no DICOM SEG can refer to it ({reason}); save it as PNG, or with complete DICOM attributes"
        ) from error
    return buffer.getvalue()
