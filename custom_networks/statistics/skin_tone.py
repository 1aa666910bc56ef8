"""Skin tone of a dermoscopic image: the individual typology angle of the healthy skin around the lesion.

ITA = arctan((L* - 50) / b*) in degrees, on the median colour of the ring (Chardon et al., 1991; classes by Del Bino and
Bernerd, 2013). Known limits: it is a property of the picture, not of the person. Dermoscopes differ in light,
polarisation and white balance, none of which the file tells; the gel, pressure (blanching), tanning, vessels and
erythema change it; the angle assumes calibrated colour, so images of different devices are not comparable, and a class
is no Fitzpatrick type. Use it to see whether quality differs between pictures of lighter and darker skin, never to say
anything about a patient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label
from skimage.color import rgb2lab
from skimage.morphology import closing, disk

SKIN_TONES = {"very light": 55.0, "light": 41.0, "intermediate": 28.0, "tan": 10.0, "brown": -30.0, "dark": -90.0}
GAP_SHARE, RING_SHARE = 0.02, 0.15  # of the diagonal: distance from the lesion's border, thickness of the ring
DARK_CORNER = 25.0  # L* below which a region that reaches the frame is vignette, not skin
HAIR_DEPTH = 8.0  # L* by which a hair is darker than the skin beside it
MIN_SHARE = 0.05  # of the image: a smaller ring is not trusted
MIN_YELLOW = 5.0  # b*: skin is yellower than this in neutral light; below, the angle would only show the colour cast


@dataclass(frozen=True)
class SkinTone:
    """Estimate of one image.

    Args:
        ita: individual typology angle in degrees; NaN where it cannot be told.
        name: its class in `SKIN_TONES`, or "unknown".
        skin_share: share of the image that was used.
    """

    ita: float
    name: str
    skin_share: float


def estimate_skin_tone(image: NDArray[np.uint8], truth: NDArray[np.bool_]) -> SkinTone:
    """Estimate the skin tone from the ring around the lesion.

    Args:
        image: (H, W, 3) sRGB.
        truth: (H, W) boolean, the lesion; empty takes the whole image.

    Returns:
        The estimate; unknown where the ring, without dark corners and hair, covers less than 5 % of the image, or
        where its colour is bluish (b* below 5): the light, not the skin.
    """
    lab = rgb2lab(image)
    skin = _ring(truth) & ~_dark_corners(lab[..., 0]) & ~_hair(lab[..., 0])
    share = float(skin.mean())
    if share < MIN_SHARE:
        return SkinTone(math.nan, "unknown", share)
    lightness, _, yellow = np.median(lab[skin], axis=0)
    if yellow < MIN_YELLOW:
        return SkinTone(math.nan, "unknown", share)
    ita = math.degrees(math.atan((lightness - 50) / yellow))
    return SkinTone(ita, skin_tone_class(ita), share)


def skin_tone_class(ita: float) -> str:
    """Class of an angle in degrees: very light above 55, light 41, intermediate 28, tan 10, brown -30, else dark."""
    if math.isnan(ita):
        return "unknown"
    return next((name for name, limit in SKIN_TONES.items() if ita > limit), "dark")


def _ring(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels at some distance around the lesion, clear of its blurred border."""
    if not truth.any():
        return np.ones(truth.shape, bool)
    diagonal = math.hypot(*truth.shape)
    distance = distance_transform_edt(~truth)
    return (distance > GAP_SHARE * diagonal) & (distance <= (GAP_SHARE + RING_SHARE) * diagonal)


def _dark_corners(lightness: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Dark regions that reach the image's frame, and a margin around them."""
    regions, _ = label(lightness < DARK_CORNER)
    frame = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    corners = np.isin(regions, frame[frame > 0])
    return binary_dilation(corners, iterations=_pixels(lightness, 0.02)) if corners.any() else corners


def _hair(lightness: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Thin dark structures: what a closing fills, and a pixel around it."""
    filled = closing(lightness, disk(_pixels(lightness, 0.01)))
    return binary_dilation(filled - lightness > HAIR_DEPTH)


def _pixels(image: NDArray[np.floating], share: float) -> int:
    return max(1, round(share * math.hypot(*image.shape)))
