"""Labels in the files of other programs: NRRD and NIfTI (3D Slicer), raw bytes (OHIF), ASAP XML (QuPath)."""

from __future__ import annotations

import io
import math
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotate.contours import label_of_asap
from annotate.errors import Unfit
from annotate.labels import label_png, read_label
from custom_networks.data.formats import nifti
from custom_networks.errors import UserError

ENDINGS = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".png", ".xml", ".bin", ".tif", ".tiff", ".bmp")
WRITTEN = (".png", ".nrrd", ".nii.gz", ".nii")
LARGEST_VOLUME = 2**28  # bytes of a compressed file's content
NRRD_TYPES = {
    name: kind
    for kind, names in {
        "u1": ("unsigned char", "uchar", "uint8", "uint8_t"),
        "i1": ("signed char", "int8", "int8_t"),
        "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
        "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
        "i4": ("int", "signed int", "int32", "int32_t"),
        "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    }.items()
    for name in names
}


def read_foreign(
    data: bytes, filename: str, size: tuple[int, int], classes: Sequence[Mapping[str, Any]]
) -> NDArray[np.uint16]:
    """Read a label that another program sends.

    Args:
        data: the file.
        filename: whose ending tells the format.
        size: width and height of the image.
        classes: with index and name; where there is one, every value but 0 is of it.

    Returns:
        (H, W), class of each pixel.

    Raises:
        Unfit: for another format, another size, or classes that do not exist.
    """
    ending = next((end for end in ENDINGS if filename.lower().endswith(end)), "")
    if ending == ".xml":
        return label_of_asap(data, size, classes)
    if ending in (".nii", ".nii.gz"):
        values = _nifti(data, ending)
    elif ending in (".nrrd", ".seg.nrrd"):
        values = _nrrd(data)
    elif ending == ".bin":
        values = _raw(data, size)
    elif ending:
        return read_label(data, size, len(classes), any_foreground=True)
    else:
        raise Unfit(f"the label {filename[-40:]!r}: unknown format; known are {', '.join(ENDINGS)}")
    values = np.squeeze(values)
    if values.ndim != 2 or values.shape[::-1] != tuple(size):
        shape = " x ".join(map(str, values.shape[::-1]))
        raise Unfit(f"the label has {shape} pixels, its image {size[0]} x {size[1]}")
    if not np.array_equal(values, np.rint(values)) or values.min() < 0 or values.max() > 65535:
        raise Unfit("the label holds values that are no classes; send whole numbers, 0 for background")
    return read_label(label_png(np.asarray(values, np.uint16)), size, len(classes), any_foreground=True)


def write_foreign(label: NDArray[np.integer], ending: str) -> tuple[bytes, str]:
    """Write a label as another program asks for it.

    Args:
        label: (H, W), class of each pixel.
        ending: one of `WRITTEN`.

    Returns:
        The file and its media type. Volumes have one slice, x first, 1 mm a pixel, in LPS as ITK reads pictures.

    Raises:
        Unfit: for another ending.
    """
    small: NDArray[Any] = label.astype(np.uint8 if label.max() <= 255 else np.uint16)
    volume = np.ascontiguousarray(small.T[..., None])
    if ending == ".png":
        return label_png(small), "image/png"
    if ending == ".nrrd":
        import nrrd

        axes = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "label.nrrd"
            nrrd.write(str(path), volume, {**axes, "encoding": "raw"}, index_order="F")
            return path.read_bytes(), "application/octet-stream"
    if ending in (".nii", ".nii.gz"):
        import nibabel

        image = nibabel.Nifti1Image(volume, np.diag([-1.0, -1.0, 1.0, 1.0]))  # NIfTI counts in RAS
        data = image.to_bytes()
        if ending == ".nii.gz":
            import gzip

            data = gzip.compress(data, 1)
        return data, "application/octet-stream"
    raise Unfit(f"result_extension {ending[:20]!r}: must be one of {', '.join(WRITTEN)}")


def _nifti(data: bytes, ending: str) -> NDArray[Any]:
    data = _unpacked(data, LARGEST_VOLUME) if ending == ".nii.gz" else data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "label.nii"
        path.write_bytes(data)
        try:
            return np.asarray(nifti.read_nifti_labels(path)[0])
        except UserError as error:
            raise Unfit(str(error).replace(str(path), "the label")) from None
        except Exception as error:  # a header that makes no sense ends in many ways
            raise Unfit(f"the label: damaged NIfTI ({type(error).__name__}); export it again") from None


def _nrrd(data: bytes) -> NDArray[Any]:
    import nrrd

    stream = io.BytesIO(data)
    try:
        header = nrrd.read_header(stream)
        sizes = [int(size) for size in header["sizes"]][::-1]
        kind = NRRD_TYPES.get(str(header["type"]))
    except Exception as error:  # a header that makes no sense ends in many ways
        raise Unfit(f"the label: damaged NRRD ({type(error).__name__}); export it again") from None
    encoding = str(header.get("encoding", ""))
    if "data file" in header or "datafile" in header or kind is None or encoding not in ("raw", "gzip", "gz"):
        raise Unfit("the label: NRRD must be one file of whole numbers, raw or gzip; save it so")
    length = math.prod(sizes) * np.dtype(kind).itemsize
    if min(sizes, default=0) < 1 or length > LARGEST_VOLUME:
        raise Unfit(f"the label: NRRD of sizes {sizes[:6]} cannot be the label of a picture")
    content = stream.read()
    content = content if encoding == "raw" else _unpacked(content, length)
    if len(content) < length:
        raise Unfit("the label: NRRD cut short; export it again")
    stored = np.dtype((">" if header.get("endian") == "big" else "<") + kind)
    return np.frombuffer(content, stored, math.prod(sizes)).reshape(sizes)


def _unpacked(data: bytes, limit: int) -> bytes:
    """Decompress gzip, never beyond a limit."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(data, limit)
    except zlib.error:
        raise Unfit("the label: damaged gzip; export it again") from None
    if unpacking.unconsumed_tail and unpacking.decompress(unpacking.unconsumed_tail, 1):
        raise Unfit(f"the label: more than {limit} bytes when unpacked")
    return found


def _raw(data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    pixels = size[0] * size[1]
    if len(data) not in (pixels, 2 * pixels):
        raise Unfit(f"the label: {len(data)} bytes, an image of {size[0]} x {size[1]} pixels needs {pixels}")
    kind = np.uint8 if len(data) == pixels else np.dtype("<u2")
    return np.frombuffer(data, kind).reshape(size[::-1])
