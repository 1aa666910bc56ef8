"""Colours of outlines in pictures and pages: the palette of Okabe and Ito, which colour-blind people tell apart."""

from __future__ import annotations

ORANGE = (230, 159, 0)
SKY_BLUE = (86, 180, 233)
GREEN = (0, 158, 115)
YELLOW = (240, 228, 66)
BLUE = (0, 114, 178)
VERMILION = (213, 94, 0)
PURPLE = (204, 121, 167)

TRUTH_COLOUR, PREDICTION_COLOUR = BLUE, ORANGE
