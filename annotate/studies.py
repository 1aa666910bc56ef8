"""The images of a studies folder: which there are, how large they are, new ones.

An image's id is the name of its file. Ids are looked up in the listing of the folder, never joined to a path, so that
no id leads elsewhere.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from annotate.errors import ClientError, Conflict, NotFound, TooLarge, Unfit
from annotate.settings import Settings
from custom_networks.data.formats.dicom import is_dicom
from custom_networks.data.formats.nifti import is_nifti
from custom_networks.data.images import WIDE_MODES, read_picture
from custom_networks.data.pairing import EXTENSIONS
from custom_networks.errors import UserError, nearest
from custom_networks.files import write_atomically

FORMATS = {"PNG", "JPEG", "MPO", "BMP", "TIFF", "WEBP"}
MAX_NAME_BYTES = 150  # leaves room for the temporary names of atomic writes


@dataclass(frozen=True)
class Size:
    """Size of an image, upright.

    Args:
        width: pixels.
        height: pixels.
        bits: 8, or 16 for grey of more than 255 levels.
    """

    width: int
    height: int
    bits: int


class Studies:
    """The images of a folder.

    Args:
        settings: with the folder and the limits of uploads.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        inner = settings.studies / "images"
        self.folder = (inner if inner.is_dir() else settings.studies).resolve()
        self._lock = threading.Lock()
        self._adding = threading.Lock()
        self._stamp = -1
        self._names: dict[str, Path] = {}
        self._sizes: dict[tuple[str, int, int], Size] = {}

    def names(self) -> dict[str, Path]:
        """Paths of the images by name, sorted; the folder is listed again when it has changed."""
        stamp = self.folder.stat().st_mtime_ns
        with self._lock:
            if stamp != self._stamp:
                found = sorted(path for path in self.folder.iterdir() if _is_image(path))
                self._names, self._stamp = {path.name: path for path in found}, stamp
            return self._names

    def unread(self) -> list[str]:
        """Names of DICOM and NIfTI files of the folder, which are no images here."""
        files = sorted(path for path in self.folder.iterdir() if path.is_file() and not path.name.startswith("."))
        return [_shown(path.name) for path in files if is_dicom(path) or is_nifti(path)]

    def nameless(self) -> list[str]:
        """Names of images that are left out because no address can hold the name, as they can be printed."""
        return sorted(_shown(path.name) for path in self.folder.iterdir() if _has_ending(path) and not _is_image(path))

    def find(self, image: str) -> str:
        """Return the name that an id stands for: the name itself, or one without its ending that is unique.

        Raises:
            NotFound: where there is none, or several.
        """
        names = self.names()
        if image in names:
            return image
        same = [name for name in names if Path(name).stem == image]
        if len(same) == 1:
            return same[0]
        if same:
            raise NotFound(f"{image[:80]!r} may be {' or '.join(same[:4])}; give the name with its ending")
        if image in self.unread():
            raise NotFound(f"{image[:80]!r} is DICOM or NIfTI, which this server does not read; export it as PNG")
        near = nearest(image, names) if len(image) <= MAX_NAME_BYTES and len(names) < 5000 else ""
        raise NotFound(f"no image {image[:80]!r} in the studies folder{near}")

    def path(self, image: str) -> Path:
        """Path of an image; raises NotFound as `find`."""
        return self.names()[self.find(image)]

    def size(self, name: str) -> Size:
        """Size of an image.

        Raises:
            NotFound: where there is none.
            UserError: where the file cannot be read.
        """
        path = self.path(name)
        try:
            status = path.stat()
        except OSError as error:
            raise NotFound(f"{path.name}: cannot be read ({error.strerror})") from None
        key = (path.name, status.st_size, status.st_mtime_ns)
        if key not in self._sizes:
            self._sizes[key] = _size(path)
        return self._sizes[key]

    def add(self, filename: str, data: bytes) -> str:
        """Store a new image.

        Args:
            filename: its name; folders in it are refused.
            data: its bytes.

        Returns:
            The name.

        Raises:
            Unfit: for a bad name, or bytes that are no image of one frame.
            TooLarge: beyond the limits.
            Conflict: where the name is taken.
        """
        name = checked_name(filename)
        check_image(name, data, self.settings)
        with self._adding:  # two of one name at once: the second finds the first
            if name in self.names() or (self.folder / name).exists():
                raise Conflict(f"{name}: an image of that name is there already; rename the new one")
            write_atomically(self.folder / name, lambda file: file.write(data))
        return name


def checked_name(filename: str) -> str:
    """Return the name of an upload if it is one.

    Raises:
        Unfit: for folders, control characters, a hidden or long name, or an ending that is no image's.
    """
    name = filename.strip()
    if not name or name.startswith(".") or any(c in name for c in "/\\") or not name.isprintable():
        raise Unfit(f"{filename[:80]!r} is no name for an image; take letters, digits, - and _ and an ending like .png")
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise Unfit(f"{name[:40]}...: the name is too long; take at most {MAX_NAME_BYTES} bytes")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{name!r}: the name holds characters that no file name can have") from None
    if Path(name).suffix.lower() not in EXTENSIONS:
        raise Unfit(f"{name}: no ending of an image; known are {', '.join(EXTENSIONS)}")
    return name


def short_name(name: str) -> str:
    """Return the name of an image, or a hash of one so long that no ending fits behind it."""
    return name if len(name.encode()) <= MAX_NAME_BYTES else hashlib.sha256(name.encode()).hexdigest()


def check_image(name: str, data: bytes, settings: Settings) -> None:
    """Decode an upload; raises Unfit for what is no image of one frame, TooLarge beyond the limits."""
    if len(data) > settings.max_upload_bytes:
        raise TooLarge(f"{name}: {len(data)} bytes, the limit is {settings.max_upload_bytes}")
    try:
        import io

        with Image.open(io.BytesIO(data)) as picture:
            kind, (width, height) = picture.format, picture.size
    except Exception:  # PIL raises nearly anything on damaged bytes
        raise Unfit(f"{name}: not an image; upload PNG, JPEG, BMP, TIFF or WebP") from None
    if kind not in FORMATS:
        raise Unfit(f"{name}: a {kind} file; upload PNG, JPEG, BMP, TIFF or WebP")
    if width * height > settings.max_pixels:
        raise TooLarge(f"{name}: {width} x {height} pixels, the limit is {settings.max_pixels} pixels")
    try:
        read_picture(name, data)
    except ClientError:
        raise
    except UserError as error:
        raise Unfit(str(error)) from None


def _has_ending(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()


def _is_image(path: Path) -> bool:
    return path.name.isprintable() and _has_ending(path)  # bytes that are no UTF-8 are not printable


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _size(path: Path) -> Size:
    try:
        with Image.open(path) as picture:
            if picture.format == "TIFF":
                picture.load()  # PIL turns a TIFF as it loads it
            turned = picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = picture.size[::-1] if turned else picture.size
            return Size(width, height, 16 if picture.mode in (*WIDE_MODES, "F") else 8)
    except Exception as error:  # PIL raises nearly anything on damaged bytes
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise Unfit(f"{path.name}: damaged or no image ({reason}); replace the file") from None
