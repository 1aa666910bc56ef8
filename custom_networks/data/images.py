"""Read pictures that PIL knows, and convert their values: 8-bit RGB, masks of 0 and 1, whole numbers of a label map.

Grey of more than 8 bits holds its values in a depth: 12 bits have their white at 4095, whatever the 16 bits of the file
could hold.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from custom_networks.data.cut_short import check_ends, check_pieces
from custom_networks.errors import UserError
from custom_networks.files import PathLike, check_regular
from custom_networks.software import installed

DECODERS = ("sgdnet", "monai", "torch", "numpy", "pillow", "pydicom", "highdicom", "nibabel")
MASK_FIX = "save it as 8-bit grey, 0 for background and 255 for foreground"
LABELS_FIX = "save it as one grey channel of whole numbers, 0 for background (16-bit PNG holds 65,535 of them)"
LARGEST_LABEL = 2**24  # float32, in which MONAI resamples, holds every whole number up to it
MASK_THRESHOLD = 127  # on the 8-bit scale; foreground lies above it
WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # 16-bit grey, also when PIL keeps it in 32 bits
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners give

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UPPER = 15  # of 12 bits in 16


def read_picture(path: PathLike, data: bytes | None = None) -> Image.Image:
    """Open and fully decode one picture, and close its file.

    PIL maps an uncompressed BMP or TIFF into memory, and its file is let go with the picture. A JPEG with embedded
    previews (MPO, as phones write it) counts as one picture: its first frame is the photograph.

    Args:
        path: a file PIL can read, or what messages shall call it where `data` is given.
        data: the bytes of the file where it lies in an archive.

    Returns:
        The decoded picture in the mode of its file, before any EXIF orientation.

    Raises:
        UserError: when the file is missing, no regular file, unreadable, empty, not a picture, damaged, too large, or
            holds several frames.
    """
    if data is None:
        check_regular(path)
    try:
        with Image.open(path if data is None else io.BytesIO(data)) as picture:
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            if frames == 1:
                if picture.format == "TIFF":
                    check_pieces(picture)
                wide = len(picture.getbands()) > 1 and any(";16" in str(tile[3]) for tile in picture.tile)
                picture.load()
                check_ends(picture, path if data is None else data)
    except Image.DecompressionBombError:
        raise UserError(
            f"{path}: more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, the limit PIL sets; cut it into tiles or "
            "scale it down"
        ) from None
    except UnidentifiedImageError:
        size = os.path.getsize(path) if data is None else len(data)  # noqa: PTH202
        what = "not an image PIL can read" if size else "the file is empty (0 bytes)"
        raise UserError(f"{path}: {what}; replace it with a PNG, JPEG, BMP, TIFF or WebP file") from None
    except Exception as error:  # PIL's decoders raise nearly anything on damaged bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or cut short ({reason}); copy it again from the source") from None
    if frames != 1:
        raise UserError(f"{path}: {frames} frames in one file; save each frame as a file of its own")
    if wide and np.asarray(picture.convert("RGB")).max() <= _UPPER:  # PIL keeps the upper byte
        raise UserError(f"{path}: 16-bit colour without a value above 4095, which would lose bits; save it as 8-bit")
    if data is not None:
        picture.filename = str(path)  # as PIL sets it for files, for later messages
    return picture


def orientation(image: Image.Image) -> int:
    """Read the EXIF orientation.

    Args:
        image: a picture as opened by PIL.

    Returns:
        What is left to turn, 1 to 8; 1, upright, also when there is none or the EXIF block cannot be read.
    """
    image.load()  # PIL itself turns a TIFF as it loads it
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block turns no picture in any viewer
        return 1
    return tag if tag in range(1, 9) else 1


def needed_depth(largest: float) -> int:
    """Smallest of `DEPTHS` that holds a value; 16 for a larger one."""
    return next((depth for depth in DEPTHS if largest < 2**depth), DEPTHS[-1])


def check_sixteen_bits(values: NDArray, name: PathLike) -> int:
    """Return the largest of whole numbers; raises UserError where they are outside 0..65535."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UserError(f"{name}: values from {low} to {high}, outside 0..65535; save it as 8-bit or 16-bit grey")
    return high


def above_white(name: PathLike, largest: int, depth: int) -> str:
    """Say that an image's values exceed the depth of its set."""
    return (
        f"{name}: values up to {largest}, but the white of {depth}-bit images is {2**depth - 1}; give --bit_depth "
        f"{needed_depth(largest)}, or weights that were trained on such images"
    )


def to_eight_bits(values: NDArray, depth: int, name: PathLike) -> NDArray[np.uint8]:
    """Bring whole numbers from 0 up to the 8-bit scale: 2^depth - 1 becomes 255.

    Args:
        values: of any shape.
        depth: bits.
        name: what messages shall call the picture.

    Returns:
        The rounded levels.

    Raises:
        UserError: for values outside 0..2^depth - 1, which would all be white.
    """
    high = check_sixteen_bits(values, name)
    white = 2**depth - 1
    if high > white:
        raise UserError(above_white(name, high, depth))
    return np.rint(values * (255 / white)).astype(np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to upright 8-bit RGB.

    EXIF orientation is applied and transparency composited on white. Grey of more than 8 bits is scaled by the
    depth that its own values need. Floating-point grey may span 0..1 or 0..255.

    Args:
        image: a picture as opened by PIL, of size (W, H).

    Returns:
        The RGB picture, of size (W, H), or (H, W) when EXIF turns it.

    Raises:
        UserError: when 32-bit or floating-point values lie outside these ranges.
    """
    name = _name(image)
    image = upright(image)
    if image.mode == "F":
        return _from_float(image, name).convert("RGB")
    if image.mode in WIDE_MODES:
        values = np.asarray(image)
        return Image.fromarray(to_eight_bits(values, needed_depth(values.max()), name)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def mask_levels(image: Image.Image) -> Image.Image:
    """Bring a mask to the upright 8-bit scale, on which foreground lies above `MASK_THRESHOLD`.

    A mask whose largest value is 1 has foreground 1, which becomes 255. 16-bit values are divided by 257 unless none
    exceeds 255.

    Args:
        image: a mask as opened by PIL, of size (W, H).

    Returns:
        The mask in mode "L", 0..255.

    Raises:
        UserError: when the mask is coloured, partly transparent, or holds values outside 0..65535 or, in floating
            point, 0..255.
    """
    name = _name(image)
    image = upright(image)
    if image.mode == "F":
        return _from_float(image, name)
    if image.mode in WIDE_MODES:
        values = np.asarray(image)
        if values.max() > 255:
            return Image.fromarray(to_eight_bits(values, 16, name))
        levels = Image.fromarray(to_eight_bits(values, 8, name))
    else:
        levels = _grey(image, name)
    return levels.point([0] + [255] * 255) if levels.getextrema()[1] == 1 else levels


def binary(levels: Image.Image) -> Image.Image:
    """Threshold the levels of a mask: 1 above `MASK_THRESHOLD`, else 0."""
    return levels.point([int(level > MASK_THRESHOLD) for level in range(256)])


def to_labels(image: Image.Image) -> Image.Image:
    """Convert an instance or class map of any mode to upright whole numbers, each as the file has it.

    Args:
        image: a label map as opened by PIL, of size (W, H); of a palette picture the indices are the labels, of a 1-bit
            picture 0 and 1.

    Returns:
        The map in mode "I" (32 bits), of size (W, H), or (H, W) when EXIF turns it.

    Raises:
        UserError: when the map is coloured or partly transparent, or holds fractions or values outside 0..2^24.
    """
    name = _name(image)
    image = upright(image)
    if image.mode not in ("1", "P", "F", *WIDE_MODES):
        image = _grey(image, name, LABELS_FIX)
    return Image.fromarray(whole_numbers(np.asarray(image), name))


def whole_numbers(values: NDArray, name: PathLike) -> NDArray[np.int32]:
    """Take the values of a label map.

    Args:
        values: (H, W) of any type.
        name: what messages shall call the map.

    Returns:
        (H, W), the same numbers.

    Raises:
        UserError: for colours, fractions, or values outside 0..2^24.
    """
    if values.ndim != 2 or values.dtype.names:
        raise UserError(f"{name}: the label map is coloured; {LABELS_FIX}")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise UserError(f"{name}: the labels are not all whole numbers; {LABELS_FIX}")
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL:
        raise UserError(f"{name}: labels from {low:g} to {high:g}, outside 0..{LARGEST_LABEL}; {LABELS_FIX}")
    return values.astype(np.int32)


def _name(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "the picture")


def upright(image: Image.Image) -> Image.Image:
    """Turn the pixels as EXIF says.

    `ImageOps.exif_transpose` also rewrites the EXIF block, and fails on odd tags.

    Args:
        image: a picture as opened by PIL.

    Returns:
        The same picture, or a turned copy of it.
    """
    turn = _TURNS.get(orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return turned


def _grey(image: Image.Image, name: str, fix: str = MASK_FIX) -> Image.Image:
    """Reduce a mask of an 8-bit mode to its one grey channel; refuse colour and transparency."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] != 255:
            raise UserError(f"{name}: the mask is partly transparent; {fix}, without an alpha channel")
    if image.mode in ("1", "L"):
        return image.convert("L")
    red, green, blue = image.convert("RGB").split()
    if ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox():
        raise UserError(f"{name}: the mask is coloured; {fix}")
    return red


def _from_float(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # written so that NaN is refused too
        raise UserError(f"{name}: values from {low:g} to {high:g}, within neither 0..1 nor 0..255; save it as 8-bit")
    return Image.fromarray(np.rint(values * 255 if high <= 1 else values).astype(np.uint8))


@functools.cache
def decoders() -> str:
    """Versions of the packages that decode pictures, and a hash of this package's code of `data`, for the cache's key.

    The version alone would not tell a changed checkout.
    """
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return f"{installed(DECODERS)} {code.hexdigest()}"
