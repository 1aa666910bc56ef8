"""Views of an image for the page: thumbnails, the whole at a limited size, regions, windows of 16-bit grey."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotate.errors import Unfit
from annotate.settings import MIB
from annotate.studies import Studies, short_name
from custom_networks.data.images import WIDE_MODES, read_picture, to_rgb, upright
from custom_networks.errors import UserError
from custom_networks.files import write_atomically

THUMBNAIL = 160
CACHE_BYTES = 256 * MIB
Window = tuple[float, float]


class Pictures:
    """Decoded images and what is shown of them.

    Args:
        studies: the images.
        cache: folder of the thumbnails; it may be deleted at any time.
    """

    def __init__(self, studies: Studies, cache: Path) -> None:
        self.studies = studies
        self.cache = cache
        self._lock = threading.Lock()
        self._decoded: OrderedDict[tuple[str, int], NDArray] = OrderedDict()
        self._unreadable: set[tuple[str, int, int]] = set()

    def pixels(self, name: str) -> NDArray:
        """Pixels of an image, upright: (H, W, 3) uint8, or (H, W) in the file's own units where it has 16 bits."""
        path = self.studies.path(name)
        key = (path.name, path.stat().st_mtime_ns)
        with self._lock:
            if key in self._decoded:
                self._decoded.move_to_end(key)
                return self._decoded[key]
        picture = read_picture(path)
        wide = picture.mode in (*WIDE_MODES, "F")
        found = np.asarray(upright(picture) if wide else to_rgb(picture))
        with self._lock:
            self._decoded[key] = found
            while len(self._decoded) > 1 and sum(each.nbytes for each in self._decoded.values()) > CACHE_BYTES:
                self._decoded.popitem(last=False)
        return found

    def readable(self, name: str) -> bool:
        """Whether an image can be decoded; one that cannot is tried again when its file has changed."""
        key: tuple[str, int, int] | None = None
        try:
            path = self.studies.path(name)
            status = path.stat()
            key = (path.name, status.st_size, status.st_mtime_ns)
            if key in self._unreadable:
                return False
            self.pixels(name)
        except (UserError, OSError):
            if key is not None:
                self._unreadable.add(key)
            return False
        return True

    def window(self, name: str) -> Window:
        """Smallest and largest value of an image, which is what a view without a window shows; 0 and 255 of 8 bits."""
        if self.studies.size(name).bits == 8:
            return 0.0, 255.0
        pixels = self.pixels(name)
        return float(pixels.min()), float(pixels.max())

    def thumbnail(self, name: str) -> bytes:
        """JPEG of at most 160 pixels a side, from the cache on disk where it is there."""
        path = self.studies.path(name)
        file = self.cache / f"{short_name(path.name)}.{path.stat().st_mtime_ns}.jpg"
        if file.is_file():
            return file.read_bytes()
        image = self._view(self.pixels(name), self.window(name))
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        data = _encode(image, "JPEG")
        write_atomically(file, lambda opened: opened.write(data))
        return data

    def view(
        self, name: str, largest: int, window: tuple[float | None, float | None], region: tuple[int, ...] = ()
    ) -> tuple[bytes, str]:
        """Draw an image or a region of it in 8 bits.

        Args:
            name: of the image.
            largest: longest side of the result, pixels; it is never enlarged.
            window: values that become black and white; None for the smallest and the largest.
            region: x, y, width and height in the image's pixels; empty for the whole.

        Returns:
            The file, and its media type: PNG up to a million pixels, which keeps them exact, else JPEG.

        Raises:
            Unfit: for a region outside the image, or a window of no width.
        """
        pixels = self.pixels(name)
        if region:
            x, y, width, height = region
            if not (0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0] and width > 0 and height > 0):
                raise Unfit(f"{name}: the region {region} is outside of {pixels.shape[1]} x {pixels.shape[0]} pixels")
            pixels = pixels[y : y + height, x : x + width]
        low, high = window
        if pixels.ndim == 2 and (low is None or high is None):
            whole = self.window(name)
            low, high = whole[0] if low is None else low, whole[1] if high is None else high
        if low is not None and high is not None and not low <= high:
            raise Unfit(f"window from {low:g} to {high:g}: low must be below high")
        image = self._view(pixels, (low or 0.0, high if high is not None else 255.0))
        if max(image.size) > largest:
            image.thumbnail((largest, largest))
        kind = "PNG" if image.size[0] * image.size[1] <= 1_100_000 else "JPEG"
        return _encode(image, kind), f"image/{kind.lower()}"

    @staticmethod
    def _view(pixels: NDArray, window: Window) -> Image.Image:
        low, high = window
        if pixels.dtype == np.uint8 and (low, high) == (0.0, 255.0):
            return Image.fromarray(pixels)
        scaled = (pixels.astype(np.float32) - low) * (255 / max(high - low, 1e-9))
        return Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))


def _encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 88} if kind == "JPEG" else {"compress_level": 1}))
    return buffer.getvalue()
