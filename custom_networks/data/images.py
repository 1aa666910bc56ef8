"""Read 2-D pictures with PIL: 8-bit RGB (images), 0/255 grey (binary masks), or integers (instances, classes).

In a config, give `LoadImaged` a `StrictPILReader` with `to_rgb`, `to_mask` or `to_labels` as converter, here for masks:

    {"_target_": "LoadImaged", "keys": "label", "reader": {
        "_target_": "custom_networks.data.images.StrictPILReader",
        "converter": {"_target_": "custom_networks.data.images.to_mask", "_mode_": "callable"}}}

`EnsureChannelFirstd` then makes (3, W, H) of an image (`channel_dim=-1`) and (1, W, H) of a mask
(`channel_dim="no_channel"`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import PILReader
from monai.utils import ensure_tuple
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from custom_networks.errors import UserError

MASK_FIX = "save it as 8-bit grey, 0 for background and 255 for foreground"
LABELS_FIX = "save it as one grey channel of whole numbers, 0 for background (16-bit PNG holds 65,535 of them)"
LARGEST_LABEL = 2**24  # float32, in which MONAI resamples, holds every whole number up to it
MASK_THRESHOLD = 127  # on the 8-bit scale; foreground lies above it
WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # 16-bit grey, also when PIL keeps it in 32 bits

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
        UserError: when the file is missing, unreadable, empty, not a picture, damaged, too large, or
            holds several frames.
    """
    try:
        with Image.open(path if data is None else io.BytesIO(data)) as picture:
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            if frames == 1:
                picture.load()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; put it there or take the pair out of the data set") from None
    except IsADirectoryError:
        raise UserError(f"{path}: this is a folder; give an image file") from None
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


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to upright 8-bit RGB.

    EXIF orientation is applied and transparency composited on white. 16-bit grey is divided by 257, so 65535 becomes
    255 and nothing is clipped. Floating-point grey may span 0..1 or 0..255.

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
        return _divide(_wide_values(image, name)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def to_mask(image: Image.Image) -> Image.Image:
    """Convert a binary mask of any mode to upright 8-bit grey holding 0 and 255.

    A mask whose largest value is 1 has foreground 1. In any other, foreground is above 127 on the 8-bit scale, to
    which 16-bit values are divided by 257 unless none exceeds 255.

    Args:
        image: a mask as opened by PIL, of size (W, H).

    Returns:
        The mask in mode "L", 0 or 255, of size (W, H), or (H, W) when EXIF turns it.

    Raises:
        UserError: when the mask is coloured, partly transparent, or holds values outside 0..65535 or, in floating
            point, 0..255.
    """
    return mask_levels(image).point([255 if level > MASK_THRESHOLD else 0 for level in range(256)])


def mask_levels(image: Image.Image) -> Image.Image:
    """Bring a mask to the upright 8-bit scale that `to_mask` thresholds; {0, 1} is stretched to {0, 255}.

    Args:
        image: a mask as opened by PIL, of size (W, H).

    Returns:
        The mask in mode "L", 0..255.

    Raises:
        UserError: as `to_mask`.
    """
    name = _name(image)
    image = upright(image)
    if image.mode == "F":
        return _from_float(image, name)
    if image.mode in WIDE_MODES:
        values = _wide_values(image, name)
        if values.max() > 255:
            return _divide(values)
        levels = Image.fromarray(values.astype(np.uint8))
    else:
        levels = _grey(image, name)
    return levels.point([0] + [255] * 255) if levels.getextrema()[1] == 1 else levels


def to_labels(image: Image.Image) -> Image.Image:
    """Convert an instance or class map of any mode to upright whole numbers, each as the file has it.

    Args:
        image: a label map as opened by PIL, of size (W, H); of a palette picture the indices are the labels.

    Returns:
        The map in mode "I" (32 bits), of size (W, H), or (H, W) when EXIF turns it.

    Raises:
        UserError: when the map is coloured or partly transparent, or holds fractions or values outside 0..2^24.
    """
    name = _name(image)
    image = upright(image)
    if image.mode not in ("P", "F", *WIDE_MODES):
        image = _grey(image, name, LABELS_FIX)
    values = np.asarray(image)
    if image.mode == "F" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise UserError(f"{name}: the labels are not all whole numbers; {LABELS_FIX}")
    low, high = values.min(), values.max()
    if low < 0 or high > LARGEST_LABEL:
        raise UserError(f"{name}: labels from {low:g} to {high:g}, outside 0..{LARGEST_LABEL}; {LABELS_FIX}")
    return Image.fromarray(values.astype(np.int32))


class StrictPILReader(PILReader):
    """MONAI's PIL reader with errors that arrive, each in one sentence that names the file.

    `LoadImage` swallows what a reader raises in `read` (its converter included) and tries its other readers: a mask
    that `to_mask` refuses would come back unconverted. Only errors from `get_data` pass, so the files are opened there.

    Args:
        converter: makes of each decoded picture the one to load, such as `to_rgb`, `to_mask` or `to_labels`.
        reverse_indexing: give arrays as (W, H[, C]), MONAI's order, rather than (H, W[, C]).
    """

    def __init__(self, converter: Callable[[Image.Image], Image.Image], reverse_indexing: bool = True) -> None:
        super().__init__(converter=converter, reverse_indexing=reverse_indexing)

    def read(self, data: Sequence[PathLike] | PathLike | np.ndarray, **kwargs: Any) -> tuple[PathLike, ...]:
        """Name the files that `get_data` will open.

        Args:
            data: one path, or several to stack as channels.
            kwargs: unused; `LoadImage` passes none.

        Returns:
            The paths.
        """
        return ensure_tuple(data)

    def get_data(self, img: Sequence[PathLike]) -> tuple[np.ndarray, dict]:
        """Open, decode and convert the files.

        Args:
            img: the paths from `read`.

        Returns:
            The array, uint8 or (of `to_labels`) int32, (W, H) or (W, H, C), or (N, W, H) of N grey files, and its
            metadata.

        Raises:
            UserError: when a file cannot be read or converted.
        """
        convert: Callable[[Image.Image], Image.Image] = self.converter  # type: ignore[assignment]
        return super().get_data([convert(read_picture(path)) for path in img])


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


def _wide_values(image: Image.Image, name: str) -> np.ndarray:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise UserError(f"{name}: values from {low} to {high}, outside 0..65535; save it as 8-bit or 16-bit grey")
    return values


def _divide(values: np.ndarray) -> Image.Image:
    """Divide 0..65535 by 257, rounded, into an 8-bit picture."""
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _from_float(image: Image.Image, name: str) -> Image.Image:
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # written so that NaN is refused too
        raise UserError(f"{name}: values from {low:g} to {high:g}, within neither 0..1 nor 0..255; save it as 8-bit")
    return Image.fromarray(np.rint(values * 255 if high <= 1 else values).astype(np.uint8))
