"""Colours of outlines in pictures and pages: told apart without red and green (of the palette of Okabe and Ito)."""

TRUTH_COLOUR, PREDICTION_COLOUR = (0, 114, 178), (230, 159, 0)
