"""Pictures that were cut and given a valid end again are refused, and whole ones that look like them are read."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from custom_networks.data.images import read_picture
from custom_networks.errors import UserError


def png_of_rows(picture, kept):
    """A PNG with a valid end whose image data hold some of the rows alone."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data, place, idat = buffer.getvalue(), 8, b""
    parts = []
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        content = data[place + 8 : place + 8 + length]
        idat, parts = (idat + content, parts) if kind == b"IDAT" else (idat, [*parts, (kind, content)])
        place += length + 12
    raw = zlib.decompress(idat)
    parts.insert(-1, (b"IDAT", zlib.compress(raw[: len(raw) * kept // picture.height])))
    chunks = (
        struct.pack(">I", len(each)) + kind + each + struct.pack(">I", zlib.crc32(kind + each)) for kind, each in parts
    )
    return data[:8] + b"".join(chunks)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_a_png_whose_image_data_end_early_is_refused(tmp_path, mode):
    picture = Image.fromarray(np.full((9, 13), 200, np.uint16 if mode == "I;16" else np.uint8))
    picture = picture if mode == "I;16" else picture.convert(mode)
    for kept in (0, 3, 8, 9):
        (tmp_path / "a.png").write_bytes(png_of_rows(picture, kept))
        if kept == 9:
            assert read_picture(tmp_path / "a.png").size == (13, 9)
            continue
        for data in (None, (tmp_path / "a.png").read_bytes()):
            with pytest.raises(UserError, match=r"a\.png: damaged or cut short \(.*; copy it again from the source"):
                read_picture(tmp_path / "a.png", data)


def test_a_black_png_is_read(tmp_path):
    for size in ((1, 1), (13, 9), (3, 2)):
        for mode in ("1", "L", "P", "RGBA", "I;16"):
            Image.new(mode, size).save(tmp_path / "a.png")
            assert not np.asarray(read_picture(tmp_path / "a.png")).any()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (13, 9), (16, 16)])
def test_an_interlaced_png_is_read_whole_and_refused_where_it_ends_early(tmp_path, size):
    width, height = size
    passes = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]
    rows = [
        bytes([0]) + bytes([200] * len(range(column, width, across)))
        for column, across, row, down in passes
        for _ in range(row, height, down)
        if column < width
    ]
    for kept in (len(rows), len(rows) - 1):
        data = b"\x89PNG\r\n\x1a\n"
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
        for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows[:kept]))), (b"IEND", b"")):
            data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        if kept == len(rows):
            assert (np.asarray(read_picture("a.png", data)) == 200).all()
        else:
            with pytest.raises(UserError, match="damaged or cut short"):
                read_picture("a.png", data)


END = b"\xff\xd9"
JPEGS = {
    "4:2:0": {},
    "4:4:4, poor": {"subsampling": 0, "quality": 20},
    "4:2:2, own tables": {"subsampling": 1, "optimize": True},
    "restart intervals": {"restart_marker_blocks": 3},
    "progressive": {"progressive": True},
    "with a thumbnail's end inside": {"exif": b"Exif\0\0" + END * 9},
}


def photograph(mode):
    noise = np.random.default_rng(0).integers(90, 160, (13, 19, 3), np.uint8)
    return Image.fromarray(noise).resize((203, 151), Image.Resampling.BICUBIC).convert(mode)


def jpeg(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def read(path, data=None):
    """The values of a picture, and the sentence that refuses it, "" for one that is read."""
    try:
        return np.asarray(read_picture(path, data)).astype(int), ""
    except UserError as error:
        return None, str(error)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_that_was_cut_and_given_its_end_again_is_refused(tmp_path, mode, options):
    whole = jpeg(photograph(mode), **options)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole + b"what follows the end")
    expected = np.asarray(read_picture(path)).astype(int)
    start = whole.index(b"\xff\xda") + 20
    refused = 0
    for cut in np.linspace(start, len(whole) - 2, 40, dtype=int, endpoint=False):
        cut_short = whole[:cut].rstrip(b"\xff") + END
        path.write_bytes(cut_short)
        values, sentence = read(path, cut_short)
        if sentence:
            assert sentence.startswith(f"{path}: damaged or cut short (")
            assert read(path)[1] == sentence
            refused += 1
        else:  # what may pass unnoticed is in three blocks at the most, or the last bit of some coefficients
            wrong = np.abs(values - expected).reshape(151, 203, -1).max(2)
            assert (wrong > 0).sum() <= 3 * 64 or (options.get("progressive") and wrong.mean() < 1)
    assert refused >= (25 if options.get("progressive") else 38)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_of_middle_grey_is_read(mode, options):
    for size in ((1, 1), (16, 16), (203, 151)):
        whole = jpeg(Image.new("L", size, 128).convert(mode), **options)
        assert read_picture("a.jpg", whole).size == size
        assert read_picture("a.jpg", whole[:-2] + b"\xff\xff\xff" + END).size == size


def test_a_jpeg_with_a_scan_for_each_component_is_refused_without_the_last():
    """PIL writes none; it is made of grey ones."""
    part = jpeg(Image.new("L", (203, 151), 128))
    frame, scan = part.index(b"\xff\xc0"), part.index(b"\xff\xda")
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    head = part[: frame + 3] + b"\x11" + part[frame + 4 : frame + 9] + b"\3" + components + part[frame + 13 : scan]
    scans = [b"\xff\xda\0\x08\1" + bytes([number]) + part[scan + 6 : -2] for number in (1, 2, 3)]
    assert read_picture("a.jpg", head + b"".join(scans) + END).mode == "RGB"
    with pytest.raises(UserError, match=r"damaged or cut short \(its last scans are missing"):
        read_picture("a.jpg", head + scans[0] + scans[1] + END)
