"""Every picture mode against hand-worked values, and through MONAI's LoadImaged."""

import io
import itertools
import json
import pickle
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, PILReader
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged
from PIL import Image, ImageOps

from custom_networks.data import PictureReader, reader
from custom_networks.data.images import binary, mask_levels, orientation, read_picture, to_rgb
from custom_networks.errors import UserError


def to_mask(image):
    return binary(mask_levels(image)).point([0] + [255] * 255)


def pixels(mode, size, values):
    image = Image.new(mode, size)
    image.putdata([tuple(value) if isinstance(value, list) else value for value in values])
    return image


def wide(values, dtype):
    return Image.fromarray(np.array([values], dtype=dtype))


def palette(values, colours, **info):
    image = pixels("P", (len(values), 1), values)
    image.putpalette(list(itertools.chain(*colours)))
    image.info.update(info)
    return image


def reopened(image, format_="PNG", **options):
    """Save and open again in memory, as PIL gives a file."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def row(image):
    return np.asarray(image)[0].tolist()


def grey(*levels):
    return [[level] * 3 for level in levels]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(pixels("RGB", (2, 1), [(1, 2, 3), (4, 5, 6)]), [[1, 2, 3], [4, 5, 6]], id="RGB"),
        pytest.param(pixels("L", (2, 1), [0, 200]), grey(0, 200), id="L"),
        pytest.param(pixels("1", (2, 1), [0, 255]), grey(0, 255), id="1"),
        pytest.param(palette([1, 0], [(9, 8, 7), (1, 2, 3)]), [[1, 2, 3], [9, 8, 7]], id="P"),
        pytest.param(palette([1, 0], [(9, 8, 7), (1, 2, 3)], transparency=0), [[1, 2, 3], [255] * 3], id="P-clear"),
        # 200/255 of the colour and 55/255 of white: 100 * 200/255 + 55 = 133.4
        pytest.param(
            pixels("RGBA", (2, 1), [(100, 0, 255, 200), (9, 9, 9, 0)]), [[133, 55, 255], [255] * 3], id="RGBA"
        ),
        pytest.param(pixels("LA", (2, 1), [(7, 255), (7, 0)]), grey(7, 255), id="LA"),
        pytest.param(pixels("CMYK", (2, 1), [(0, 0, 0, 0), (255, 0, 0, 0)]), [[255] * 3, [0, 255, 255]], id="CMYK"),
        # v / 257: 300 / 257 = 1.17, 32896 / 257 = 128, 386 / 257 = 1.502
        pytest.param(wide([0, 300, 386, 32896, 65535], np.uint16), grey(0, 1, 2, 128, 255), id="I;16"),
        pytest.param(reopened(wide([0, 32896, 65535], ">u2"), "TIFF"), grey(0, 128, 255), id="I;16B"),
        pytest.param(wide([0, 200, 32896, 65535], np.int32), grey(0, 1, 128, 255), id="I"),
        pytest.param(wide([0, 0.2, 1], np.float32), grey(0, 51, 255), id="F-0..1"),
        pytest.param(wide([0, 1.4, 1.6, 255], np.float32), grey(0, 1, 2, 255), id="F-0..255"),
    ],
)
def test_to_rgb(image, expected):
    assert (rgb := to_rgb(image)).mode == "RGB"
    assert row(rgb) == expected


def test_the_modes_above_are_what_pil_makes_of_files():
    assert reopened(wide([0, 65535], np.uint16)).mode == "I;16"
    assert reopened(wide([0, 65535], ">u2"), "TIFF").mode == "I;16B"
    assert reopened(wide([0, 70000], np.int32), "TIFF").mode == "I"
    assert reopened(wide([0, 1], np.float32), "TIFF").mode == "F"
    assert reopened(Image.new("CMYK", (2, 1)), "JPEG").mode == "CMYK"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(pixels("L", (3, 1), [0, 1, 1]), [0, 255, 255], id="L-0-1"),
        pytest.param(pixels("L", (3, 1), [0, 255, 0]), [0, 255, 0], id="L-0-255"),
        pytest.param(pixels("L", (4, 1), [1, 127, 128, 200]), [0, 0, 255, 255], id="L-grey"),
        pytest.param(pixels("L", (2, 1), [0, 2]), [0, 0], id="L-faint"),
        pytest.param(pixels("L", (2, 1), [0, 0]), [0, 0], id="L-empty"),
        pytest.param(pixels("L", (2, 1), [1, 1]), [255, 255], id="L-full"),
        pytest.param(pixels("1", (2, 1), [0, 255]), [0, 255], id="1"),
        pytest.param(pixels("RGB", (2, 1), grey(0, 255)), [0, 255], id="RGB"),
        pytest.param(pixels("RGB", (2, 1), grey(0, 1)), [0, 255], id="RGB-0-1"),
        pytest.param(pixels("RGBA", (2, 1), [(0, 0, 0, 255), (255,) * 4]), [0, 255], id="RGBA-opaque"),
        pytest.param(pixels("LA", (2, 1), [(0, 255), (255, 255)]), [0, 255], id="LA-opaque"),
        pytest.param(palette([0, 1], grey(0, 255)), [0, 255], id="P"),
        pytest.param(palette([0, 1], grey(255, 0)), [255, 0], id="P-by-colour-not-index"),
        pytest.param(pixels("CMYK", (2, 1), [(0, 0, 0, 255), (0, 0, 0, 0)]), [0, 255], id="CMYK"),
        pytest.param(wide([0, 1], np.uint16), [0, 255], id="I;16-0-1"),
        pytest.param(wide([0, 255], np.uint16), [0, 255], id="I;16-0-255"),
        pytest.param(wide([0, 32767, 32768, 65535], np.uint16), [0, 0, 255, 255], id="I;16-grey"),
        pytest.param(wide([0, 129, 300], np.uint16), [0, 0, 0], id="I;16-instances"),  # 300 / 257 is not foreground 1
        pytest.param(wide([0, 1], np.int32), [0, 255], id="I"),
        pytest.param(wide([0, 0.4, 0.6, 1], np.float32), [0, 0, 255, 255], id="F"),
    ],
)
def test_to_mask(image, expected):
    assert (mask := to_mask(image)).mode == "L"
    assert row(mask) == expected


@pytest.mark.parametrize(
    ("convert", "image", "words"),
    [
        pytest.param(to_rgb, wide([-0.1, 1], np.float32), ("-0.1 to 1", "save it as 8-bit"), id="F-below"),
        pytest.param(to_rgb, wide([0, 255.5], np.float32), ("0 to 255.5", "save it as 8-bit"), id="F-above"),
        pytest.param(to_rgb, wide([0, np.nan], np.float32), ("nan", "save it as 8-bit"), id="F-nan"),
        pytest.param(to_rgb, wide([0, 65536], np.int32), ("0 to 65536", "16-bit"), id="I-above"),
        pytest.param(to_mask, wide([-1, 0], np.int32), ("-1 to 0", "16-bit"), id="I-below"),
        pytest.param(to_mask, wide([0, 300], np.float32), ("0 to 300", "save it as 8-bit"), id="mask-F"),
        pytest.param(to_mask, pixels("RGB", (2, 1), [(0, 0, 0), (128, 0, 0)]), ("coloured", "255"), id="mask-RGB"),
        pytest.param(to_mask, palette([0, 1], [(0, 0, 0), (128, 0, 0)]), ("coloured", "255"), id="mask-P"),
        pytest.param(to_mask, pixels("LA", (2, 1), [(0, 0), (255, 255)]), ("transparent", "alpha"), id="mask-LA"),
    ],
)
def test_refused_values_are_named_with_the_fix(convert, image, words):
    with pytest.raises(UserError) as caught:
        convert(image)
    assert all(word in str(caught.value) for word in ("the picture", *words))


def with_orientation(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_orientation_as_pil_turns_it(value, format_):
    levels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40  # wide: 3 x 2
    opened = [reopened(Image.fromarray(levels), format_, exif=with_orientation(value)) for _ in range(3)]
    expected = np.asarray(ImageOps.exif_transpose(opened[0]))
    assert expected.shape == ((2, 3) if value < 5 else (3, 2))
    rgb, mask = to_rgb(opened[1]), to_mask(opened[2])
    np.testing.assert_array_equal(np.asarray(rgb)[..., 0], expected)
    np.testing.assert_array_equal(np.asarray(mask), np.where(expected > 127, 255, 0))
    np.testing.assert_array_equal(np.asarray(to_rgb(rgb)), np.asarray(rgb))  # not turned a second time


def exif_block(*entries):
    """An EXIF block of entries (tag, type, value), written by hand to hold what PIL would not write."""
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + b"\0" * 4


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(b"Exif\0\0garbage!", 1, id="no TIFF header"),
        pytest.param(exif_block((274, 3, 6)), 6, id="orientation"),
        pytest.param(exif_block((274, 3, 9)), 1, id="no such orientation"),
        pytest.param(exif_block((271, 12, 0), (274, 3, 6)), 6, id="the maker's name as a number"),
    ],
)
def test_a_broken_exif_block_stops_nothing(block, expected):
    image = reopened(Image.new("RGB", (3, 2)), exif=block)
    assert orientation(image) == expected
    assert to_rgb(image).size == ((3, 2) if expected == 1 else (2, 3))


FILES = {
    "RGB.png": (Image.new("RGB", (4, 3), (10, 20, 30)), {}),
    "RGBA.png": (Image.new("RGBA", (4, 3), (10, 20, 30, 255)), {}),
    "gris clair é.png": (Image.new("L", (4, 3), 200), {}),
    "LA.png": (Image.new("LA", (4, 3), (200, 255)), {}),
    "P.png": (Image.new("L", (4, 3), 200).convert("P"), {}),
    "1.png": (Image.new("1", (4, 3), 1), {}),
    "16.png": (Image.fromarray(np.full((3, 4), 51400, np.uint16)), {}),
    "16B.tif": (Image.fromarray(np.full((3, 4), 51400, ">u2")), {}),
    "32.tif": (Image.fromarray(np.full((3, 4), 51400, np.int32)), {}),
    "F.tiff": (Image.fromarray(np.full((3, 4), 200, np.float32)), {}),
    "CMYK.jpg": (Image.new("CMYK", (4, 3), (0, 0, 0, 55)), {}),
    "turned.jpg": (Image.new("L", (3, 4), 200), {"exif": with_orientation(6)}),
    "grey.webp": (Image.new("RGB", (4, 3), (200, 200, 200)), {"lossless": True}),
    "grey.bmp": (Image.new("L", (4, 3), 200), {}),
}


def load(key, kind, channel_dim):
    return Compose([LoadImaged(key, reader=PictureReader(kind)), EnsureChannelFirstd(key, channel_dim=channel_dim)])


@pytest.mark.parametrize("name", FILES)
def test_load_imaged(tmp_path, name):
    image, options = FILES[name]
    path = tmp_path / name
    image.save(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file left open warns
        warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")  # MONAI's, wherever pydicom is installed
        tensor = load("image", "image", -1)({"image": str(path)})["image"]
        assert tensor.shape == (3, 4, 3)  # (C, W, H)
        assert tensor.dtype == torch.float32
        assert tensor.meta["filename_or_obj"] == str(path)
        torch.testing.assert_close(tensor.affine, torch.eye(4, dtype=torch.float64))
        if name == "RGBA.png" or name == "RGB.png":
            assert tensor[:, 0, 0].tolist() == [10, 20, 30]
            return
        assert tensor.unique().tolist() == ([255] if name == "1.png" else [200])
        mask = load("label", "mask", "no_channel")({"label": path})["label"]
    assert mask.shape == (1, 4, 3)
    assert mask.unique().tolist() == [1]


def test_arrays_are_width_by_height(tmp_path):
    Image.fromarray(np.array([[0, 255, 0], [0, 0, 0]], np.uint8)).save(tmp_path / "m.png")  # row 0, column 1
    mask = load("label", "mask", "no_channel")({"label": tmp_path / "m.png"})["label"]
    assert mask[0].tolist() == [[0, 0], [1, 0], [0, 0]]


def test_batches_and_several_files_as_channels(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("L", (4, 3), 255).save(tmp_path / name)
    items = [{"label": tmp_path / "a.png"}, {"label": tmp_path / "b.png"}]
    batch = next(iter(DataLoader(Dataset(items, load("label", "mask", "no_channel")), batch_size=2)))
    assert batch["label"].shape == (2, 1, 4, 3)
    both = LoadImaged("label", reader=PictureReader("mask"))({"label": [tmp_path / "a.png", tmp_path / "b.png"]})
    assert both["label"].shape == (2, 4, 3)


def test_the_strict_reader_is_needed_and_names_the_file(tmp_path):
    path = tmp_path / "masque coloré.png"
    Image.new("RGB", (4, 3), (128, 0, 0)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swallowed = LoadImaged("label", reader=PILReader(converter=to_mask))({"label": path})["label"]
    assert swallowed.shape == (4, 3, 3)  # MONAI's reader comes back with the unconverted picture
    with pytest.raises(UserError, match=r"masque coloré\.png: the mask is coloured; save it as 8-bit grey"):
        LoadImaged("label", reader=PictureReader("mask"))({"label": path})
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        LoadImaged("label", reader=PictureReader("mask"))({"label": tmp_path / "gone.png"})


def test_the_config_of_the_docstring(tmp_path):
    config = ConfigParser({"load": json.loads("{" + reader.__doc__.partition("    {")[2].partition("\n\n")[0])})
    Image.new("1", (4, 3), 1).save(tmp_path / "m.png")
    mask = config.get_parsed_content("load")({"label": tmp_path / "m.png"})["label"]
    assert mask.unique().tolist() == [1]


def test_the_reader_can_be_sent_to_workers():
    assert pickle.loads(pickle.dumps(PictureReader("mask"))).kind == "mask"


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files through /proc")
@pytest.mark.parametrize("ext", ["tif", "bmp", "png", "jpg", "webp"])
@pytest.mark.parametrize("convert", [to_rgb, to_mask])
def test_no_file_stays_open(tmp_path, ext, convert):
    path = tmp_path / f"a.{ext}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)).save(path, lossless=True)
    before = open_files()
    pictures = [convert(read_picture(path)) for _ in range(3)]
    assert open_files() == before
    path.write_bytes(path.read_bytes()[:-400])
    for _ in range(3):
        with pytest.raises(UserError, match=r"damaged or cut short|not an image"):
            pictures.append(convert(read_picture(path)))
    assert open_files() == before
