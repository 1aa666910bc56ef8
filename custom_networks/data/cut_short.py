"""Pictures whose data end early: PIL decodes some of them without a word and leaves the rest black or grey.

A file that was cut and given an end again (by a rescue program, or a transfer that fills up) is such a picture. The
checks that read a file once more are made where what PIL decoded looks like it, in the last row or pixel.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from custom_networks.files import PathLike

_TIFF_DEFLATE = (8, 32946)
_TIFF_PIECES = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
"""First column and step, first row and step of each pass of an interlaced PNG."""
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
"""Of a JPEG; a byte of 255 in compressed data has a 0 behind it."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _HUFFMAN, _SCAN, _END = (0xC2, 0xC6, 0xCA, 0xCE), (0xC0, 0xC1), 0xDA, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
_NO_CODE = b"\xff\x00" * 8
"""As many bytes as libjpeg reads ahead; 17 bits of 1 are no code of any Huffman table."""


def check_ends(picture: Image.Image, source: PathLike | bytes) -> None:
    """Check a decoded picture where it may have ended early.

    Args:
        picture: as PIL decoded it.
        source: its file, or the bytes of it.

    Raises:
        ValueError: where its data end early.
        Exception: of other kinds, where its file is damaged otherwise.
    """
    if picture.format == "PNG" and (picture.info.get("interlace") or _ends_in_zeros(picture)):
        with _opened(source) as file:
            _check_rows(file)
    elif picture.format in ("JPEG", "MPO") and (picture.info.get("progressive") or _ends_in_grey(picture)):
        with _opened(source) as file:
            _check_scans(file.read())


def _opened(source: PathLike | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _ends_in_zeros(picture: Image.Image) -> bool:
    """Whether the last row holds zeros alone, as PIL leaves the rows that a PNG lacks."""
    width, height = picture.size
    return not np.asarray(picture.crop((0, height - 1, width, height))).any()


def _ends_in_grey(picture: Image.Image) -> bool:
    """Whether the last pixel is of middle grey, as libjpeg leaves the blocks that a JPEG lacks."""
    last = picture.getpixel((picture.width - 1, picture.height - 1))
    return all(value in (127, 128) for value in (last if isinstance(last, tuple) else (last,)))


def _check_rows(file: IO[bytes]) -> None:
    """Check that the compressed data of a PNG hold all its pixels: where they end early, PIL leaves the rest black."""
    inflate, wanted, held = zlib.decompressobj(), 0, 0
    file.seek(len(b"\x89PNG\r\n\x1a\n"))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        content = file.read(length) if kind in (b"IHDR", b"IDAT") else b""
        file.seek(4 if content else length + 4, os.SEEK_CUR)
        if kind == b"IHDR":
            wanted, content = _png_bytes(*struct.unpack(">IIBBBBB", content)), b""
        while content and held < wanted:
            held += len(inflate.decompress(content, 1 << 20))
            content = inflate.unconsumed_tail
    if held < wanted:
        raise ValueError(f"its image data end after {held} of {wanted} bytes")


def _png_bytes(width: int, height: int, depth: int, colour: int, _method: int, _filter: int, interlaced: int) -> int:
    """Bytes of the pixels of a PNG, uncompressed, with the byte before each row that says how it is filtered."""
    total = 0
    for column, across, row, down in _ADAM7 if interlaced else ((0, 1, 0, 1),):
        columns, rows = len(range(column, width, across)), len(range(row, height, down))
        total += rows * (1 + (columns * depth * _PNG_CHANNELS[colour] + 7) // 8) if columns else 0
    return total


def _check_scans(data: bytes) -> None:
    """Check that the scans of a JPEG hold all of its blocks.

    A progressive one must bring every coefficient of every component to its last bit; where its last scan alone is cut,
    some of these bits are missing, which nothing tells. Of a sequential one of one scan the end is replaced by bits
    that are no code: libjpeg then asks for more data instead of leaving blocks grey, unless two or three of them at the
    most are missing.
    """
    place, kind, scans = 2, 0, 0
    missing: dict[int, set[int]] = {}
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            break
        if marker in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        segment, place = data[place + 2 : place + length], place + length
        if marker in _FRAMES:
            kind = marker
            missing = {segment[6 + 3 * number]: set(range(64)) for number in range(segment[5])}
        elif marker == _SCAN:
            scans += 1
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            for component in segment[1 : 1 + 2 * count : 2]:
                if kind not in _PROGRESSIVE:
                    missing[component].clear()
                elif not bits & 15:
                    missing[component] -= set(range(first, last + 1))
    if any(missing.values()):
        raise ValueError("its last scans are missing")
    if found and scans == 1 and kind in _HUFFMAN:
        with JpegImageFile(io.BytesIO(data[: found.start()] + _NO_CODE)) as picture:
            picture.load()


def check_pieces(picture: Image.Image) -> None:
    """Check that the strips or tiles of a TIFF lie in its file, and the checksums of deflated ones, before it is read.

    libtiff stops to inflate once a strip is full, and does not look at its checksum.
    """
    tags, file = picture.tag_v2, picture.fp  # type: ignore[attr-defined]
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    for offsets, counts in _TIFF_PIECES:
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if offset + count > size:
                raise ValueError(f"{offset + count - size} bytes are missing at its end")
            if tags.get(259) in _TIFF_DEFLATE:
                file.seek(offset)
                zlib.decompress(file.read(count))
    file.seek(place)
