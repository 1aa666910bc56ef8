"""A picture as DICOM Secondary Capture, so that a DICOM SEG object has something to refer to."""

from __future__ import annotations

import hashlib
import io
import warnings
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

if not hasattr(np, "float_"):  # highdicom 0.22, the last for pydicom 2, asks NumPy 2 for this name of NumPy 1
    np.float_ = np.float64  # type: ignore[attr-defined]  # noqa: NPY201

SECONDARY_CAPTURE: Any = "1.2.840.10008.5.1.4.1.1.7"


def secondary_capture(pixels: NDArray[np.uint8], name: str) -> bytes:
    """Encode a picture.

    Args:
        pixels: (H, W, 3), RGB.
        name: of its file, which becomes the patient's id; its UIDs follow from name and pixels.

    Returns:
        The bytes of a DICOM file.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    study, series, instance = (generate_uid(entropy_srcs=[name, digest, what]) for what in ("study", "series", "image"))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    time = datetime.now()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = SECONDARY_CAPTURE
    dataset.SOPInstanceUID = instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientID, dataset.PatientName = name[:64], "".join(c for c in name if c.isalnum() or c in " -_.")[:64]
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.StudyDate = dataset.ContentDate = time.strftime("%Y%m%d")
    dataset.StudyTime = dataset.ContentTime = time.strftime("%H%M%S")
    dataset.Modality, dataset.ConversionType = "OT", "WSD"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = pixels.shape[0], pixels.shape[1], 3
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    data = np.ascontiguousarray(pixels).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom 3 would rather have the two lines above left out
        dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()
