"""Lesion size, border contrast and skin tone on pictures whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.color import lab2rgb

from custom_networks.statistics import (
    SKIN_TONES,
    border_contrast,
    contrast_classes,
    estimate_skin_tone,
    lesion_size,
    size_classes,
    skin_tone_class,
)

ROWS, COLUMNS = np.mgrid[:120, :160]
LESION = np.hypot(ROWS - 60, COLUMNS - 80) < 25
SKIN = (70.0, 12.0, 20.0)
ITA = 45.0


def picture(skin=SKIN, lesion=(35.0, 15.0, 15.0), corners=False, hair=False):
    lab = np.where(LESION[..., None], lesion, skin).astype(float)
    if corners:
        lab[np.hypot(ROWS - 60, COLUMNS - 80) > 62] = (3, 0, 0)
    if hair:
        for offset in range(-150, 160, 12):
            lab[np.abs(ROWS - COLUMNS * 0.8 - offset) < 1] = (20, 2, 4)
    return np.round(lab2rgb(lab) * 255).astype(np.uint8)


def test_size():
    truth = np.zeros((10, 20), bool)
    truth[:5, :8] = True
    assert lesion_size(truth) == 0.2
    assert list(size_classes([0, 0.01, 0.05, 0.06, 0.2, 0.5])) == [
        "none",
        "small",
        "small",
        "medium",
        "medium",
        "large",
    ]


def test_border_contrast_is_the_colour_difference():
    assert border_contrast(picture(), LESION) == pytest.approx(math.dist(SKIN, (35, 15, 15)), abs=0.7)
    assert border_contrast(picture(lesion=SKIN), LESION) == pytest.approx(0, abs=0.7)
    assert math.isnan(border_contrast(picture(), np.zeros_like(LESION)))


def test_what_lies_far_from_the_border_does_not_count():
    distance = np.hypot(ROWS - 60, COLUMNS - 80)
    image = picture()
    image[(distance < 19) | (distance > 31)] = 255
    assert border_contrast(image, LESION) == pytest.approx(border_contrast(picture(), LESION), abs=0.1)


def test_a_blurred_border_has_less_contrast():
    blurred = gaussian_filter(picture().astype(float), (6, 6, 0)).astype(np.uint8)
    assert border_contrast(blurred, LESION) < 0.8 * border_contrast(picture(), LESION)


def test_contrast_classes():
    assert list(contrast_classes([3, 15, 40])) == ["low", "medium", "high"]
    assert contrast_classes([np.nan]).isna().all()


@pytest.mark.parametrize("spoil", [{}, {"corners": True}, {"hair": True}, {"corners": True, "hair": True}])
def test_skin_tone_is_that_of_the_skin(spoil):
    tone = estimate_skin_tone(picture(**spoil), LESION)
    assert tone.ita == pytest.approx(ITA, abs=1)
    assert tone.name == "light"
    clean = estimate_skin_tone(picture(), LESION).skin_share
    assert 0.05 < tone.skin_share <= clean
    assert (tone.skin_share < clean) == bool(spoil)


@settings(max_examples=25, deadline=None)
@given(lightness=st.floats(35, 85), yellow=st.floats(8, 25))
def test_skin_tone_of_any_skin(lightness, yellow):
    tone = estimate_skin_tone(picture((lightness, 10.0, yellow), (15.0, 5.0, 5.0)), LESION)
    assert tone.ita == pytest.approx(math.degrees(math.atan((lightness - 50) / yellow)), abs=2.5)
    assert tone.name == skin_tone_class(tone.ita)


@pytest.mark.parametrize(
    "side", [np.s_[:40], np.s_[-40:], np.s_[:, :45], np.s_[:, -45:]], ids=["top", "bottom", "left", "right"]
)
def test_a_vignette_on_one_side_is_no_skin(side):
    image, clean = picture(), estimate_skin_tone(picture(), LESION)
    image[side] = 4
    tone = estimate_skin_tone(image, LESION)
    assert tone.skin_share < clean.skin_share - 0.02
    assert tone.ita == pytest.approx(clean.ita, abs=0.1)


@pytest.mark.parametrize(
    ("ita", "name"),
    [
        (55.1, "very light"), (55, "light"), (41.1, "light"), (41, "intermediate"), (28, "tan"), (10.1, "tan"),
        (10, "brown"), (-29.9, "brown"), (-30, "dark"), (-90, "dark"),
    ],
)  # fmt: skip
def test_classes_of_the_angle(ita, name):
    assert skin_tone_class(ita) == name
    assert name in SKIN_TONES


def test_a_lesion_that_fills_the_picture_leaves_no_skin():
    tone = estimate_skin_tone(picture(), np.ones_like(LESION))
    assert math.isnan(tone.ita)
    assert tone.name.startswith("unknown, L* ")
    assert tone.skin_share == 0


@pytest.mark.parametrize("lightness", [24.0, 18.0, 30.0])
def test_the_darkest_skin_is_not_unknown(lightness):
    """Dark skin was taken for the vignette of the dermoscope, and its small b* for blue light."""
    for spoil in ({}, {"corners": True}):
        tone = estimate_skin_tone(picture((lightness, 6.0, 4.0), (8.0, 2.0, 2.0), **spoil), LESION)
        assert tone.name == "dark"
        assert tone.lightness == pytest.approx(lightness, abs=1)


def test_bluish_light_gives_no_angle():
    tone = estimate_skin_tone(picture((70.0, 12.0, 1.0)), LESION)
    assert math.isnan(tone.ita)
    assert tone.name == "unknown, L* 60 and above"
    assert tone.skin_share > 0.1
    dark = estimate_skin_tone(picture((30.0, 12.0, 0.5), (8.0, 2.0, 2.0)), LESION)
    assert dark.name == "unknown, L* below 35"


def test_without_a_lesion_the_whole_picture_is_skin():
    assert estimate_skin_tone(picture(lesion=SKIN), np.zeros_like(LESION)).skin_share > 0.9
