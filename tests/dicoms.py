"""DICOM files made for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)


def write_dicom(path: Path, values: np.ndarray, photometric: str = "MONOCHROME2", **more: Any) -> Path:
    """Write a secondary capture of (H, W) or (H, W, 3) values."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.PatientID, dataset.PatientName = "XC", "", ""
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_segmentation(path: Path, image: Path, mask: np.ndarray, kind: str = "BINARY") -> Path:
    """Write a DICOM SEG of (H, W) or, a segment each, (1, H, W, S) values that refers to an image."""
    described = [
        hd.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=f"lesion {number}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type="MANUAL",
        )
        for number in range(mask.shape[-1] if mask.ndim == 4 else 1)
    ]
    segmentation = hd.seg.Segmentation(
        source_images=[dcmread(image)],
        pixel_array=mask,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def write_frames(path: Path, frames: np.ndarray, **more: Any) -> Path:
    """Write ultrasound of several frames, (N, H, W) or (N, H, W, 3), without positions."""
    photometric = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    kind = {"SOPClassUID": UltrasoundMultiFrameImageStorage, "NumberOfFrames": len(frames)}
    return _rewritten(write_dicom(path, frames[0], photometric), frames, **{**kind, **more})


def write_enhanced(path: Path, frames: np.ndarray, thickness: float = 2.5, **more: Any) -> Path:
    """Write an enhanced MR image: (N, H, W) frames whose positions and spacing stand in functional groups."""
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], thickness
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    groups = []
    for number in range(len(frames)):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, thickness * number]
        group.PlanePositionSequence = [position]
        groups.append(group)
    return write_frames(
        path,
        frames,
        SOPClassUID=EnhancedMRImageStorage,
        Modality="MR",
        FrameOfReferenceUID=generate_uid(),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
        **more,
    )


def write_series(folder: Path, slices: np.ndarray, step: float = 3.0, **more: Any) -> list[Path]:
    """Write (N, H, W) slices as CT files of one series, `step` millimetres apart; their names run against their order.

    Returns:
        The files in the order of the slices.
    """
    same = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    files = []
    for number, values in enumerate(slices):
        path = write_dicom(folder / f"im{len(slices) - number:03}.dcm", values)
        place = {
            "SOPClassUID": CTImageStorage,
            "Modality": "CT",
            "ImagePositionPatient": [1.0, 2.0, step * number],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [0.5, 0.25],
            "InstanceNumber": len(slices) - number,
        }
        files.append(_rewritten(path, values, **{**place, **same, **more}))
    return files


def change(path: Path, **elements: Any) -> Path:
    """Set elements of a file, or delete those that are None."""
    dataset = dcmread(path)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(path, enforce_file_format=True)
    return path


def _rewritten(path: Path, values: np.ndarray, **elements: Any) -> Path:
    return change(path, PixelData=values.tobytes() + b"\0" * (values.nbytes % 2), **elements)
