"""The table of bad inputs: what is done to a good data set, and which word the sentence must hold.

A new bad input is a line here. `spoil` gets the folder of a good data set; its culprit is named by `word`, the name of
the third image or mask unless the line says otherwise.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from data_sets import LAYOUTS, SIDE, mask, pixels
from dicoms import write_dicom
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate

VICTIM = "p2"
Spoil = Callable[[Path], Any]


@dataclass(frozen=True)
class Bad:
    """A bad input.

    Attributes:
        name: of the line.
        layout: of `LAYOUTS`.
        spoil: what is done to a good data set of it.
        word: that the sentence must hold.
        works: whether the input is odd, and yet must work.
        verbs: that must refuse it; all that take the layout by default.
        slow: whether `make test-all` alone runs it, since a like one is run by `make test`.
    """

    name: str
    layout: str
    spoil: Spoil
    word: str = VICTIM
    works: bool = False
    verbs: tuple[str, ...] = ("check", "prepare", "train", "evaluate")
    slow: bool = False


# ------------------------------------------------------------------------------------------ any file


def put(content: bytes | Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content(path.read_bytes()) if callable(content) else content)


def replaced(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def in_a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket must be short
        try:
            opened.bind(path.name)
        finally:
            os.chdir(here)


def noise(count: int) -> bytes:
    return np.random.default_rng(0).bytes(count)


ANY_FILE: dict[str, Callable[[Path], Any]] = {
    "empty": put(b""),
    "one byte": put(b"\x89"),
    "text": put(b"this is not a picture\n"),
    "a web page": put(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    "a Git LFS pointer": put(b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"),
    "zeros": put(bytes(4000)),
    "noise": put(noise(4000)),
    "cut after 20 bytes": put(lambda data: data[:20]),
    "cut in half": put(lambda data: data[: len(data) // 2]),
    "missing": lambda path: path.unlink(),
    "a folder": replaced(lambda path: path.mkdir()),
    "a named pipe": replaced(os.mkfifo),
    "a socket": replaced(in_a_socket),
    "a link to itself": replaced(lambda path: path.symlink_to(path.name)),
    "a link to nothing": replaced(lambda path: path.symlink_to("nowhere.png")),
    "a link to /dev/zero": replaced(lambda path: path.symlink_to("/dev/zero")),
    "a link to a named pipe": replaced(lambda path: (os.mkfifo(path.parent / ".pipe"), path.symlink_to(".pipe"))),
    "a link to a folder": replaced(lambda path: path.symlink_to("..")),
}
IN_EVERY_LAYOUT = ("empty", "noise", "cut in half", "missing", "a named pipe")


# ------------------------------------------------------------------------------------------ PNG, JPEG, TIFF, others


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *, end: bool = True) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + (chunk(b"IEND", b"") if end else b"")


def encoded(array: np.ndarray, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def overwritten(data: bytes, start: float, content: bytes) -> bytes:
    """Write over a part that starts at a share of the length."""
    place = int(start * len(data))
    return data[:place] + content[: len(data) - place] + data[place + len(content) :]


def frames(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    several = [Image.fromarray(pixels(number)) for number in range(3)]
    several[0].save(buffer, form, save_all=True, append_images=several[1:], **options)
    return buffer.getvalue()


def tiff_strips(compression: str | None, start: float, content: bytes, **options: Any) -> bytes:
    return overwritten(
        encoded(np.tile(pixels(2), (8, 8, 1)), "TIFF", compression=compression, **options), start, content
    )


def tiff_with_tag(tag: int, value: int) -> bytes:
    """A TIFF in which the value of a tag of one number is another."""
    data = bytearray(encoded(pixels(2), "TIFF"))
    directory = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, directory)[0]):
        place = directory + 2 + 12 * number
        if struct.unpack_from("<H", data, place)[0] == tag:
            struct.pack_into("<I", data, place + 8, value)
    return bytes(data)


ROWS = b"".join(b"\0" + row.tobytes() for row in pixels(2))
WIDE_ROWS = b"".join(b"\0" + (row.astype(int) * 10).astype(">u2").tobytes() for row in pixels(2))
PICTURES: dict[str, tuple[str, bytes]] = {
    "PNG without IDAT": (".png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))),
    "PNG of no width": (".png", png(0, SIDE, 8, 2, ROWS)),
    "PNG of a billion pixels": (".png", png(40000, 40000, 8, 2, ROWS)),
    "PNG with too few rows": (".png", png(SIDE, 2 * SIDE, 8, 2, ROWS)),
    "PNG with a wrong checksum": (".png", overwritten(encoded(pixels(2), "PNG"), 0.08, b"\1\2\3")),
    "PNG with IDAT overwritten": (".png", overwritten(encoded(pixels(2), "PNG"), 0.3, bytes(200))),
    "PNG of an unknown colour type": (".png", png(SIDE, SIDE, 8, 5, ROWS)),
    "PNG animated": (".png", frames("PNG")),
    "PNG in 16-bit colour of 12 bits": (".png", png(SIDE, SIDE, 16, 2, WIDE_ROWS)),
    "JPEG cut": (".jpg", encoded(np.tile(pixels(2), (8, 8, 1)), "JPEG")[:-300]),
    "JPEG cut, with an end": (".jpg", encoded(np.tile(pixels(2), (8, 8, 1)), "JPEG")[:-300] + b"\xff\xd9"),
    "JPEG header alone": (".jpg", encoded(pixels(2), "JPEG")[:200]),
    "JPEG progressive, cut": (".jpg", encoded(np.tile(pixels(2), (8, 8, 1)), "JPEG", progressive=True)[:-900]),
    "JPEG with its tables overwritten": (".jpg", overwritten(encoded(pixels(2), "JPEG"), 0.2, bytes(150))),
    "BMP cut": (".bmp", encoded(pixels(2), "BMP")[:-500]),
    "WebP cut": (".webp", encoded(pixels(2), "WEBP", lossless=True)[:-200]),
    "WebP animated": (".webp", frames("WEBP")),
    "TIFF of three pages": (".tif", frames("TIFF")),
    "TIFF cut": (".tif", encoded(pixels(2), "TIFF")[:-400]),
    "TIFF deflate, cut": (".tif", encoded(pixels(2), "TIFF", compression="tiff_adobe_deflate")[:-60]),
    "TIFF deflate, strip of ones": (".tif", tiff_strips("tiff_adobe_deflate", 0.6, b"\xff" * 200)),
    "TIFF deflate, strip of zeros": (".tif", tiff_strips("tiff_adobe_deflate", 0.6, bytes(200))),
    "TIFF deflate, strip of noise": (".tif", tiff_strips("tiff_adobe_deflate", 0.3, noise(200))),
    "TIFF deflate, end of a strip": (".tif", tiff_strips("tiff_adobe_deflate", 0.85, b"\1\2\3\4")),
    "TIFF LZW, strip of zeros": (".tif", tiff_strips("tiff_lzw", 0.3, bytes(200))),
    "TIFF LZW, strip of noise": (".tif", tiff_strips("tiff_lzw", 0.3, noise(200))),
    "TIFF LZMA, strip of noise": (".tif", tiff_strips("lzma", 0.3, noise(200))),
    "TIFF whose strips lie elsewhere": (".tif", tiff_with_tag(273, 10**6)),
    "TIFF whose strips are too long": (".tif", tiff_with_tag(279, 10**8)),
    "TIFF of an unknown compression": (".tif", tiff_with_tag(259, 12345)),
    "TIFF of no width": (".tif", tiff_with_tag(256, 0)),
    "TIFF of huge height": (".tif", tiff_with_tag(257, 2**30)),
    "TIFF of NaN": (".tif", encoded(np.full((SIDE, SIDE), np.nan, np.float32), "TIFF")),
    "TIFF of infinity": (".tif", encoded(np.full((SIDE, SIDE), np.inf, np.float32), "TIFF")),
    "TIFF of floats above 255": (".tif", encoded(pixels(2)[..., 0].astype(np.float32) * 9, "TIFF")),
    "TIFF of floats below 0": (".tif", encoded(pixels(2)[..., 0].astype(np.float32) - 99, "TIFF")),
    "TIFF of negative numbers": (".tif", encoded(pixels(2)[..., 0].astype(np.int32) - 99, "TIFF")),
    "TIFF of numbers above 65535": (".tif", encoded(pixels(2)[..., 0].astype(np.int32) * 999, "TIFF")),
    "a GIF named as PNG": (".png", frames("GIF")),
    "a PDF named as PNG": (".png", b"%PDF-1.4\n1 0 obj\n<< >>\nendobj\n" + bytes(500)),
    "a gzip named as PNG": (".png", gzip.compress(encoded(pixels(2), "PNG"))),
}

MASKS: dict[str, bytes | np.ndarray] = {
    "of colours": pixels(2),
    "partly transparent": np.dstack([pixels(2), mask(2)]),
    "of 0 and 2": mask(2) // 127,
    "of 0, 1 and 2": mask(2) // 255 + (np.roll(mask(2), 3, 0) // 255),
    "of faint grey": mask(2) // 5,
    "of another size": mask(2)[::2, ::2],
    "squeezed": mask(2)[::2],
    "of one pixel": mask(2)[:1, :1],
    "turned": np.full((SIDE, SIDE - 4), 255, np.uint8),
}
NUMBERS: dict[str, np.ndarray] = {
    "of colours": pixels(2),
    "of fractions": mask(2).astype(np.float32) / 100,
    "of NaN": np.full((SIDE, SIDE), np.nan, np.float32),
    "of negative numbers": -mask(2).astype(np.int32),
    "of numbers beyond 2^24": mask(2).astype(np.int32) * 2**20,
    "partly transparent": np.dstack([mask(2), mask(2), mask(2), mask(2)]),
    "of another size": (mask(2) // 255)[::2],
}


def picture_as(ending: str, content: bytes, part: str) -> Spoil:
    def spoil(root: Path) -> None:
        (root / part / f"{VICTIM}.png").unlink()
        (root / part / f"{VICTIM}{ending}").write_bytes(content)

    return spoil


def label_as(array: np.ndarray, part: str = "masks") -> Spoil:
    """A label of this array, TIFF where PNG cannot hold it, under its old name."""
    form = "TIFF" if array.dtype.kind == "f" or array.dtype == np.int32 else "PNG"
    return lambda root: (root / part / f"{VICTIM}.png").write_bytes(encoded(array, form))


# ------------------------------------------------------------------------------------------ DICOM, NIfTI


def dicom_as(part: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / part / f"{VICTIM}.dcm"
        dataset = dcmread(path)
        change(dataset)
        dataset.save_as(path, enforce_file_format=True)

    return spoil


def without(*names: str) -> Callable[[Any], Any]:
    return lambda dataset: [delattr(dataset, name) for name in names]


def having(**values: Any) -> Callable[[Any], Any]:
    return lambda dataset: [setattr(dataset, name, value) for name, value in values.items()]


DICOMS: dict[str, Callable[[Any], Any]] = {
    "without pixels": without("PixelData"),
    "without rows": without("Rows"),
    "without a photometric interpretation": without("PhotometricInterpretation"),
    "without bits": without("BitsAllocated"),
    "of no columns": having(Columns=0),
    "of more rows than pixels": having(Rows=999),
    "of three frames": having(NumberOfFrames=3),
    "of 7 bits allocated": having(BitsAllocated=7),
    "of 5 samples": having(SamplesPerPixel=5),
    "of an unknown photometric interpretation": having(PhotometricInterpretation="NOTHING"),
    "with cut pixels": lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:-200]),
}
DICOM_IMAGES: dict[str, Callable[[Any], Any]] = {
    "of a palette without table": having(PhotometricInterpretation="PALETTE COLOR"),
    "with a window of no width": having(WindowCenter=100, WindowWidth=0),
    "with an empty table of levels": lambda dataset: setattr(dataset, "VOILUTSequence", [Dataset()]),
}


def dicom_syntax(root: Path) -> None:
    path = root / "images" / f"{VICTIM}.dcm"
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"  # JPEG lossless, of bytes that are none
    dataset.PixelData = encapsulate([noise(500)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def nifti_as(part: str, values: np.ndarray, **header: Any) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / part / f"{VICTIM}.nii.gz"
        image = nib.Nifti1Image(values, np.eye(4))
        image.header.set_xyzt_units("mm")
        nib.save(image, path)

    return spoil


def nifti_bytes(part: str, change: Callable[[bytearray], Any]) -> Spoil:
    """Change the bytes within the gzip."""

    def spoil(root: Path) -> None:
        path = root / part / f"{VICTIM}.nii.gz"
        data = bytearray(gzip.decompress(path.read_bytes()))
        change(data)
        path.write_bytes(gzip.compress(bytes(data)))

    return spoil


GREY = pixels(2)[..., 0].T.astype(np.float32)
NIFTIS: dict[str, tuple[str, np.ndarray]] = {
    "image of NaN": ("images", np.where(GREY > 128, np.nan, GREY).astype(np.float32)),
    "image of infinity": ("images", np.where(GREY > 128, np.inf, GREY).astype(np.float32)),
    "image of 4 axes": ("images", np.zeros((4, 4, 2, 2), np.float32)),
    "image of complex numbers": ("images", GREY.astype(np.complex64)),
    "mask of another size": ("masks", np.zeros((5, 5), np.uint8)),
    "mask of NaN": ("masks", np.full((SIDE, SIDE), np.nan, np.float32)),
    "mask of 5 axes": ("masks", np.zeros((4, 4, 2, 2, 2), np.uint8)),
}


# ------------------------------------------------------------------------------------------ lists, tables, names


def listing(change: Callable[[Any], Any]) -> Spoil:
    """Change the content of the datalist; what `change` returns, unless None, is written instead."""

    def spoil(root: Path) -> None:
        path = root / "datalist.json"
        content = json.loads(path.read_text())
        changed = change(content)
        path.write_text(json.dumps(content if changed is None else changed))

    return spoil


def item(**values: Any) -> Spoil:
    """Change the third item; a value of `...` takes its key away."""

    def change(content: Any) -> None:
        entry = content["training"][2]
        for name, value in values.items():
            if value is ...:
                del entry[name]
            else:
                entry[name] = value

    return listing(change)


def list_of(content: Any) -> Spoil:
    return lambda root: (root / "datalist.json").write_text(json.dumps(content))


def written(content: bytes) -> Spoil:
    return lambda root: (root / "datalist.json").write_bytes(content)


LIST = "datalist.json"
LISTS: dict[str, tuple[Spoil, str]] = {
    "empty": (written(b""), LIST),
    "not JSON": (written(b'{"training": [,]}'), LIST),
    "cut": (written(b'{"training": [{"image": "a.png"'), LIST),
    "UTF-16": (written('{"training": []}'.encode("utf-16")), LIST),
    "Latin-1": (written('{"training": [{"image": "é.png"}]}'.encode("latin-1")), LIST),
    "nested 100,000 deep": (written(b'{"training": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), LIST),
    "a list": (list_of([]), LIST),
    "null": (list_of(None), LIST),
    "a number": (list_of(7), LIST),
    "without training": (list_of({"trainings": []}), LIST),
    "training null": (list_of({"training": None}), LIST),
    "training a text": (list_of({"training": "images"}), LIST),
    "training a dictionary": (list_of({"training": {"a": 1}}), LIST),
    "validation a number": (listing(lambda content: content.update(validation=3)), LIST),
    "validation empty": (listing(lambda content: content.update(validation=[])), LIST),
    "item null": (listing(lambda content: content["training"].append(None)), LIST),
    "item a text": (listing(lambda content: content["training"].append("p3.png")), LIST),
    "item without image": (item(image=...), LIST),
    "item without label": (item(label=...), LIST),
    "image null": (item(image=None), LIST),
    "image a number": (item(image=3), LIST),
    "image a list": (item(image=["images/p2.png"]), LIST),
    "image empty": (item(image=""), LIST),
    "image missing": (item(image="images/p99.png"), "p99.png"),
    "image with a null byte": (item(image="images/p2\0.png"), "p2"),
    "image of an unknown home": (item(image="~nouser/p2.png"), "p2.png"),
    "image name of 300 letters": (item(image="a" * 300 + ".png"), "aaaa"),
    "image path of 5000 letters": (item(image="images/../" * 500 + "x" * 5000), "xxxx"),
    "image not in UTF-8": (item(image="images/\udce9.png"), LIST),
    "label with a null byte": (item(label="masks/p2\0.png"), "p2"),
    "label a folder": (item(label="masks"), "masks"),
    "fold a text": (item(fold="1"), LIST),
    "fold a fraction": (item(fold=0.5), LIST),
    "fold null": (item(fold=None), LIST),
    "fold missing once": (item(fold=...), "p2"),
    "one fold alone": (listing(lambda content: [each.update(fold=0) for each in content["training"]] and None), LIST),
    "image in two lists": (
        listing(lambda content: content.update(validation=[{"image": "images/p1.png", "label": "masks/p1.png"}])),
        "p1",
    ),
    "label_kind misspelt": (listing(lambda content: content.update(label_kind="masks")), LIST),
    "label_kind a list": (listing(lambda content: content.update(label_kind=["mask"])), LIST),
    "bit_depth a text": (listing(lambda content: content.update(bit_depth="12")), LIST),
    "bit_depth of 40": (listing(lambda content: content.update(bit_depth=40)), LIST),
}


def same_pixels(root: Path) -> None:
    (root / "images/copy.png").write_bytes((root / "images/p1.png").read_bytes())
    copied = {"image": "images/copy.png", "label": "masks/p1.png"}
    listing(lambda content: content.update(validation=[copied]))(root)


def renamed(name: str | bytes) -> Spoil:
    """Give an image and its mask another name."""

    def spoil(root: Path) -> None:
        for part in (b"images", b"masks"):
            folder = os.fsencode(root) + b"/" + part + b"/"
            os.rename(folder + b"p2.png", folder + (os.fsencode(name) if isinstance(name, str) else name))  # noqa: PTH104

    return spoil


NAMES: dict[str, str | bytes] = {
    "of 250 letters": "a" * 246 + ".png",
    "of 250 bytes in UTF-8": "é" * 123 + ".png",
    "not in UTF-8": b"caf\xe9.png",
    "of a line break": "a\nb.png",
    "of a tab and quotes": "a\t'\"b.png",
    "of a tilde": "~nouser.png",
    "of a percent sign": "100 %s {0} %d.png",
    "of dots": "a...b..png",
    "of a leading hyphen": "--sheet.png",
    "of other scripts": "皮膚-ペイント-кожа.png",
    "of an emoji and a right-to-left mark": "🙂\u200f.png",
    "of capitals": "P2.PNG",
}


def renamed_and_emptied(name: str | bytes) -> Spoil:
    def spoil(root: Path) -> None:
        (root / "masks/p2.png").write_bytes(b"")
        renamed(name)(root)

    return spoil


def columns(text: str) -> Spoil:
    return lambda root: (root / "pairs.csv").write_bytes(text.encode())


TABLES: dict[str, tuple[Spoil, str]] = {
    "empty": (columns(""), "pairs.csv"),
    "header alone": (columns("image,mask\n"), "pairs.csv"),
    "one column": (columns("image\nimages/p1.png\n"), "pairs.csv"),
    "missing image": (columns("image,mask\nimages/p9.png,masks/p1.png\n"), "line 2"),
    "empty cell": (columns("image,mask\nimages/p1.png,\n"), "line 2"),
    "too many cells": (columns("image,mask\na,b\na,b,c,d\n"), "pairs.csv"),
    "null byte": (columns("image,mask\nimages/p\0.png,masks/p1.png\n"), "pairs.csv"),
    "unknown home": (columns("image,mask\n~nouser/p1.png,masks/p1.png\n"), "line 2"),
    "long name": (columns(f"image,mask\n{'a' * 5000},masks/p1.png\n"), "line 2"),
    "unknown split": (columns("image,mask,split\nimages/p1.png,masks/p1.png,tset\n"), "tset"),
    "same image twice": (columns("image,mask\n" + "images/p1.png,masks/p1.png\n" * 2), "p1"),
    "not in UTF-8": (lambda root: (root / "pairs.csv").write_bytes(b"image,mask\n\xe9.png,b.png\n"), "pairs.csv"),
    "a named pipe": (lambda root: replaced(os.mkfifo)(root / "pairs.csv"), "pairs.csv"),
    "a folder": (lambda root: replaced(lambda path: path.mkdir())(root / "pairs.csv"), "pairs.csv"),
}
FOLDERS: dict[str, tuple[Spoil, str]] = {
    "image without mask": (lambda root: (root / "masks/p2.png").unlink(), "p2"),
    "mask without image": (lambda root: (root / "images/p2.png").unlink(), "p2"),
    "no masks": (lambda root: [path.unlink() for path in (root / "masks").iterdir()], "masks"),
    "masks misspelt": (lambda root: (root / "masks").rename(root / "mask"), "mask"),
    "masks and labels": (lambda root: (root / "labels").mkdir(), "labels"),
    "two images of a name": (lambda root: (root / "images/p2.jpg").write_bytes(b""), "p2"),
    "masks a file": (
        lambda root: ((root / "masks").rename(root / "else"), (root / "masks").write_text("")),
        "masks",
    ),
    "masks a link to nothing": (
        lambda root: ((root / "masks").rename(root / "else"), (root / "masks").symlink_to("nowhere")),
        "masks",
    ),
}


def _table() -> Iterator[Bad]:
    for layout in ("folder", "dicom", "nifti"):
        for part in ("images", "masks"):
            for name, spoil in ANY_FILE.items():
                path = f"{part}/{VICTIM}{LAYOUTS[layout].ending}"
                slow = layout != "folder" and name not in IN_EVERY_LAYOUT
                yield Bad(f"{layout}: {part}, {name}", layout, lambda root, p=path, s=spoil: s(root / p), slow=slow)
    for name, (ending, content) in PICTURES.items():
        yield Bad(f"image: {name}", "folder", picture_as(ending, content, "images"))
        if "numbers above" not in name and "16-bit colour" not in name:
            yield Bad(f"mask: {name}", "folder", picture_as(ending, content, "masks"), slow=True)
    for name, array in MASKS.items():
        yield Bad(f"mask: {name}", "folder", label_as(np.asarray(array)))
    for layout, part in (("classes", "masks"), ("instances", "masks"), ("instances", "types")):
        for name, array in NUMBERS.items():
            yield Bad(f"{layout}: {part} {name}", layout, label_as(array, part))
    yield Bad("classes: undeclared", "classes", label_as(mask(2) // 51))
    yield Bad("instances: types undeclared", "instances", label_as(mask(2) // 51, "types"))
    yield Bad("instances: types missing in the list", "instances", item(types=...))
    for name, change in DICOMS.items():
        for part in ("images", "masks"):
            yield Bad(f"dicom: {part} {name}", "dicom", dicom_as(part, change))
    for name, change in DICOM_IMAGES.items():
        yield Bad(f"dicom: images {name}", "dicom", dicom_as("images", change))
    yield Bad("dicom: images of an undecodable syntax", "dicom", dicom_syntax)
    yield Bad("dicom: a coloured mask", "dicom", lambda root: write_dicom(root / "masks/p2.dcm", pixels(2), "RGB"))
    for name, (part, values) in NIFTIS.items():
        yield Bad(f"nifti: {name}", "nifti", nifti_as(part, values))
    yield Bad("nifti: negative size", "nifti", nifti_bytes("images", lambda d: struct.pack_into("<h", d, 42, -5)))
    yield Bad("nifti: huge size", "nifti", nifti_bytes("images", lambda d: struct.pack_into("<h", d, 42, 30000)))
    yield Bad("nifti: unknown type", "nifti", nifti_bytes("masks", lambda d: struct.pack_into("<h", d, 70, 999)))
    yield Bad("nifti: no magic", "nifti", nifti_bytes("masks", lambda d: struct.pack_into("<4s", d, 344, b"xxxx")))
    for name, (spoil, word) in LISTS.items():
        yield Bad(f"datalist: {name}", "datalist", spoil, word)
    yield Bad("datalist: same pixels in two lists", "datalist", same_pixels, "copy", verbs=("check", "train"))
    twice = item(image="images/p1.png", fold=1)
    yield Bad("datalist: image twice", "datalist", twice, "p1", verbs=("evaluate",))
    for name, spoil in ANY_FILE.items():
        if name not in ("text", "one byte"):
            yield Bad(f"datalist: {name} (file)", "datalist", lambda root, s=spoil: s(root / LIST), LIST)
    for name, (spoil, word) in TABLES.items():
        yield Bad(f"table: {name}", "table", spoil, word)
    for name, (spoil, word) in FOLDERS.items():
        yield Bad(f"folder: {name}", "folder", spoil, word)
    for name, new in NAMES.items():
        refused = ("prepare", "evaluate") if name == "not in UTF-8" else ()
        verbs = tuple(verb for verb in ("check", "prepare", "train", "evaluate") if verb not in refused)
        yield Bad(f"name {name}, an empty mask file", "folder", renamed_and_emptied(new), "masks", verbs=verbs)
        if refused:
            yield Bad(f"name {name}, works", "folder", renamed(new), works=True, verbs=verbs)
            yield Bad(f"name {name}", "folder", renamed(new), "caf", verbs=refused)
        else:
            yield Bad(f"name {name}", "folder", renamed(new), works=True)


BAD = list(_table())
assert len({bad.name for bad in BAD}) == len(BAD)
