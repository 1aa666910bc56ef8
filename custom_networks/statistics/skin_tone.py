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
DARK_CORNER = 25.0  # L* below which a region that reaches the frame may be vignette, not skin
CORNER_SHARE = 0.5  # of the lightness of the skin, below which it is: dark skin is no vignette
HAIR_DEPTH = 8.0  # L* by which a hair is darker than the skin beside it
MIN_SHARE = 0.05  # of the image: a smaller ring is not trusted
MIN_YELLOW = 5.0  # b*: skin of L* 50 is yellower than this in neutral light, darker skin in proportion to its L*; below
# it the angle would only show the colour cast
UNKNOWN_TONES = {"unknown, L* below 35": 35.0, "unknown, L* 35 to 60": 60.0, "unknown, L* 60 and above": math.inf}


@dataclass(frozen=True)
class SkinTone:
    """Estimate of one image.

    Args:
        ita: individual typology angle in degrees; NaN where it cannot be told.
        name: its class in `SKIN_TONES`, or of `UNKNOWN_TONES`, by lightness: pictures without a class are no random
            part of the set, and dark ones must not vanish among them.
        skin_share: share of the image that was used.
        lightness: median L* of the skin, or of the whole picture where there is too little of it.
    """

    ita: float
    name: str
    skin_share: float
    lightness: float


def estimate_skin_tone(image: NDArray[np.uint8], truth: NDArray[np.bool_]) -> SkinTone:
    """Estimate the skin tone from the ring around the lesion.

    Args:
        image: (H, W, 3) sRGB.
        truth: (H, W) boolean, the lesion; empty takes the whole image.

    Returns:
        The estimate; unknown where the ring, without dark corners and hair, covers less than 5 % of the image, or
        where its colour is bluish (b* below 5, of dark skin below a tenth of its L*): the light, not the skin.
    """
    lab = rgb2lab(image)
    ring = _ring(truth)
    skin = ring & ~_dark_corners(lab[..., 0], ring) & ~_hair(lab[..., 0])
    share = float(skin.mean())
    lightness, _, yellow = np.median(lab[skin if share >= MIN_SHARE else np.ones_like(skin)], axis=0)
    if share < MIN_SHARE or yellow < MIN_YELLOW * min(1.0, lightness / 50):
        name = next(name for name, limit in UNKNOWN_TONES.items() if lightness < limit)
        return SkinTone(math.nan, name, share, float(lightness))
    ita = math.degrees(math.atan2(lightness - 50, yellow))
    return SkinTone(ita, skin_tone_class(ita), share, float(lightness))


def skin_tone_class(ita: float) -> str:
    """Class of an angle in degrees: very light above 55, light 41, intermediate 28, tan 10, brown -30, else dark."""
    return next((name for name, limit in SKIN_TONES.items() if ita > limit), "dark")


def _ring(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels at some distance around the lesion, clear of its blurred border."""
    if not truth.any():
        return np.ones(truth.shape, bool)
    diagonal = math.hypot(*truth.shape)
    distance = distance_transform_edt(~truth)
    return (distance > GAP_SHARE * diagonal) & (distance <= (GAP_SHARE + RING_SHARE) * diagonal)


def _dark_corners(lightness: NDArray[np.floating], ring: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Regions that reach the image's frame and are much darker than the skin in the ring, and a margin around them."""
    limit = DARK_CORNER
    if ring.any():
        limit = min(limit, CORNER_SHARE * float(np.quantile(lightness[ring], 0.75)))
    regions, _ = label(lightness < limit)
    frame = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    corners = np.isin(regions, frame[frame > 0])
    return binary_dilation(corners, iterations=_pixels(lightness, 0.02)) if corners.any() else corners


def _hair(lightness: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Thin dark structures: what a closing fills, and a pixel around it."""
    filled = closing(lightness, disk(_pixels(lightness, 0.01)))
    return binary_dilation(filled - lightness > HAIR_DEPTH)


def _pixels(image: NDArray[np.floating], share: float) -> int:
    return max(1, round(share * math.hypot(*image.shape)))
