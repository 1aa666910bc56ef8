"""One bad file after another, each told in one sentence; and what is worth a notice."""

import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from custom_networks.data.checking import check_items
from custom_networks.errors import UserError


def check_pairs(items, num_workers=None):
    """Notices about the values in files; these tests repeat tiny pictures freely."""
    notices = check_items({"pairs": items}, num_workers=num_workers).notices
    return [notice for notice in notices if not notice.startswith(("the same picture", "lesions cut"))]


def good_mask(size=(6, 4)):
    levels = np.zeros(size[::-1], np.uint8)
    levels[1, 1] = 255
    return Image.fromarray(levels)


@pytest.fixture
def make_pair(tmp_path):
    def make(name="peau é 1", image=None, mask=None, image_ext="png", mask_ext="png", **options):
        paths = {"image": tmp_path / f"{name}.{image_ext}", "label": tmp_path / f"{name}_mask.{mask_ext}"}
        (image or Image.new("RGB", (6, 4))).save(paths["image"], **options)
        (mask or good_mask()).save(paths["label"])
        return {key: str(path) for key, path in paths.items()}

    return make


def error_of(items):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PIL's warnings must not come through
        with pytest.raises(UserError) as caught:
            check_pairs(items)
    message = str(caught.value)
    assert "\n" not in message
    return message


def overwrite(path, content):
    Path(path).write_bytes(content)


def shorten(path, count):
    overwrite(path, Path(path).read_bytes()[:-count])


def corrupt(path):
    content = bytearray(Path(path).read_bytes())
    start = content.index(b"IDAT") + 4
    content[start : start + 8] = b"\0" * 8
    overwrite(path, bytes(content))


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda path: overwrite(path, b""), ("empty (0 bytes)", "replace it"), id="zero bytes"),
        pytest.param(lambda path: overwrite(path, b"<html>"), ("not an image", "replace it"), id="not an image"),
        pytest.param(lambda path: shorten(path, 30), ("damaged or cut short", "copy it again"), id="truncated"),
        pytest.param(corrupt, ("damaged or cut short", "copy it again"), id="corrupt"),
    ],
)
def test_bad_bytes(make_pair, key, damage, words):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 2, (40, 60), np.uint8) * 255)
    item = make_pair(image=noise.convert("RGB"), mask=noise)
    damage(item[key])
    assert all(word in error_of([item]) for word in (item[key], *words))


def test_truncated_jpeg(make_pair):
    item = make_pair(image=Image.effect_noise((60, 40), 90).convert("RGB"), mask=good_mask((60, 40)), image_ext="jpg")
    shorten(item["image"], 200)
    assert "damaged or cut short" in error_of([item])


def test_missing_file(make_pair):
    item = make_pair() | {"label": "/nowhere/b_mask.png"}
    assert "/nowhere/b_mask.png: no such file; put it there" in error_of([item])


def test_folder_instead_of_file(make_pair, tmp_path):
    assert "is a folder; give a file" in error_of([make_pair() | {"image": str(tmp_path)}])


def test_size_differs(make_pair):
    item = make_pair(mask=good_mask((5, 4)))
    message = error_of([item])
    assert item["label"] in message
    assert item["image"] in message
    assert "5 x 4" in message
    assert "6 x 4" in message
    assert "save the mask at the size of its image" in message


def turn(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


def test_size_is_compared_after_exif(make_pair):
    turned = make_pair(mask=good_mask((4, 6)), exif=turn(6), image_ext="jpg")
    assert check_pairs([turned]) == [
        "images turned upright by their EXIF orientation (their masks must be upright too): 1, e.g. peau é 1.jpg"
    ]
    lying = make_pair(name="b", exif=turn(6), image_ext="jpg")
    assert "is 6 x 4 pixels (width x height)" in (message := error_of([lying]))
    assert "turn the mask by 90 degrees" in message


@pytest.mark.parametrize("ext", ["tif", "png", "webp"])
def test_several_frames(make_pair, ext):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    item = make_pair(image=frames[0], image_ext=ext, save_all=True, append_images=frames[1:])
    message = error_of([item])
    assert f"{item['image']}: 3 frames in one file; save each frame as a file of its own" in message


def test_photo_with_an_embedded_preview_is_one_picture(make_pair, tmp_path):
    item = make_pair(image_ext="jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (3, 2))])
    with Image.open(item["image"]) as opened:
        assert opened.n_frames == 2
    assert check_pairs([item]) == []


def test_coloured_mask(make_pair):
    item = make_pair(mask=Image.new("RGB", (6, 4), (200, 0, 0)))
    assert f"{item['label']}: the mask is coloured; save it as 8-bit grey, 0 for background" in error_of([item])


def test_image_values_out_of_range(make_pair):
    item = make_pair(image=Image.fromarray(np.full((4, 6), 1e4, np.float32)), image_ext="tif")
    assert f"{item['image']}: values from 10000 to 10000" in error_of([item])


def test_decompression_bomb(make_pair):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = b"".join(size.to_bytes(4, "big") for size in (20000, 20000)) + bytes([8, 2, 0, 0, 0])
    item = make_pair()
    overwrite(item["image"], b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    message = error_of([item])
    assert f"{item['image']}: more than 178956970 pixels" in message
    assert "cut it into tiles or scale it down" in message


def test_large_pictures_pass_without_pil_warning(make_pair, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # PIL warns above 20 and refuses above 40; ours have 24
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_pairs([make_pair()]) == []


def test_first_bad_pair_in_list_order_and_the_count_of_others(make_pair):
    items = [make_pair(name=f"p{number}") for number in range(12)]
    for number in (9, 3, 7, 5):
        overwrite(items[number]["image"], b"")
    overwrite(items[9]["label"], b"")  # the second file of a bad pair is not counted again
    message = error_of(items)
    assert items[3]["image"] in message
    assert message.endswith("(and 3 more with errors)")
    assert "more" not in error_of([items[3]])


def test_good_pairs_give_no_notice(make_pair):
    assert check_pairs([make_pair(name=f"p{number}") for number in range(3)]) == []
    assert check_pairs([]) == []


def test_images_alone_are_checked_too(make_pair):
    image = make_pair()["image"]
    assert check_pairs([{"image": image}]) == []
    overwrite(image, b"")
    assert image in error_of([{"image": image}])


def uniform(level):
    return Image.new("L", (6, 4), level)


@pytest.mark.parametrize(
    ("image", "ext", "notice"),
    [
        (Image.new("RGBA", (6, 4)), "png", "RGBA images with transparency (composited on white)"),
        (uniform(9), "png", "grey images (repeated in R, G and B)"),
        (Image.new("1", (6, 4)), "png", "1-bit images (read as black and white RGB)"),
        (uniform(9).convert("P"), "png", "palette images (colours looked up)"),
        (Image.new("CMYK", (6, 4)), "jpg", "CMYK images (converted to RGB)"),
        (
            Image.fromarray(np.full((4, 6), 999, np.uint16)),
            "png",
            "grey images stored in 16 bits (read as 10-bit: 1023 is white)",
        ),
        (Image.fromarray(np.full((4, 6), 0.5, np.float32)), "tif", "floating-point images (scaled to 0..255)"),
        (Image.new("LAB", (6, 4)), "tif", "LAB images (converted to RGB)"),
    ],
)
def test_image_notices(make_pair, image, ext, notice):
    items = [make_pair(name=f"{name} é", image=image, image_ext=ext) for name in "abc"]
    assert check_pairs([make_pair(), *items]) == [f"{notice}: 3, e.g. a é.{ext}"]


def test_dark_16_bit_image(make_pair):
    dark = make_pair("dark", image=Image.fromarray(np.full((4, 6), 255, np.uint16)))
    assert check_pairs([dark]) == [
        "grey images stored in 16 bits (read as 8-bit: 255 is white): 1, e.g. dark.png",
    ]
    bright = make_pair("bright", image=Image.fromarray(np.full((4, 6), 3000, np.uint16)))
    assert check_pairs([dark, bright]) == [
        "grey images stored in 16 bits (read as 12-bit: 4095 is white): 2, e.g. dark.png",
        "16-bit images without a value above 255, beside others that have (read as nearly black): 1, e.g. dark.png",
    ]


@pytest.mark.parametrize(("largest", "depth"), [(255, 8), (1000, 10), (4095, 12), (4096, 14), (65535, 16)])
def test_the_bit_depth_is_that_of_the_whole_set(make_pair, largest, depth):
    values = np.linspace(0, largest, 24).reshape(4, 6).astype(np.uint16)
    pairs = [make_pair(name, image=Image.fromarray(values // step)) for step, name in enumerate("abc", start=1)]
    assert check_items({"training": pairs[1:], "validation": pairs[:1]}).bit_depth == depth
    assert check_items({"training": [make_pair()]}).bit_depth is None
    assert check_items({"training": pairs}, bit_depth=16).bit_depth == 16
    if depth > 8:
        with pytest.raises(UserError, match=rf"a\.png: values up to {largest}, but the white of 8-bit images is 255"):
            check_items({"training": pairs}, bit_depth=8)


def levels(*values):
    return Image.fromarray(np.resize(np.array(values, np.uint8), (4, 6)))


@pytest.mark.parametrize(
    ("mask", "notices"),
    [
        (levels(0, 1), []),
        (levels(0), ["empty masks (no foreground)"]),
        (levels(255), ["full masks (no background)"]),
        (levels(1), ["full masks (no background)"]),
        (levels(0, 3, 250), ["grey-valued masks (value above 127 is foreground)"]),
        (levels(130), ["grey-valued masks (value above 127 is foreground)", "full masks (no background)"]),
    ],
)
def test_mask_notices(make_pair, mask, notices):
    assert check_pairs([make_pair(mask=mask)]) == [f"{notice}: 1, e.g. peau é 1_mask.png" for notice in notices]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_count(make_pair):
    item = make_pair(image=Image.new("RGB", (64, 64)), mask=good_mask((64, 64)))

    def peak(count):
        tracemalloc.start()
        check_pairs([item] * count, num_workers=2)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    # threads that other tests left behind allocate now and then, so the least of two counts
    few, many = (min(peak(count) for _ in range(2)) for count in (200, 800))
    assert many < few + 600 * 2000  # bytes; 600 more pairs hold 10 MB of pixels


def test_the_same_pixels_in_training_and_validation_are_refused(make_pair):
    picture = Image.effect_noise((60, 40), 90).convert("RGB")
    mask = Image.new("L", (60, 40))
    mask.paste(255, (10, 10, 30, 30))
    trained = make_pair(name="a", image=picture, mask=mask)
    validated = make_pair(name="b", image=picture, mask=mask, image_ext="bmp")
    with pytest.raises(UserError, match="in the validation split, but its pixels are those of"):
        check_items({"training": [trained], "validation": [validated]})
    assert check_items({"training": [trained, validated]}).notices == [
        "the same picture twice within a split: 1, e.g. b.bmp"
    ]
