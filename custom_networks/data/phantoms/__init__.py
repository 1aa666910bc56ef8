"""Dermoscopy phantoms: skin-lesion pictures with outlines, drawn from a seed, for samples, the README and tests.

Every pixel is computed here from noise, curves and light absorption; nothing is copied, sampled or learnt from any data
set. The pictures show what makes the real task hard (skin from very light to very dark, ragged and faint borders,
several colours in one lesion, hairs, rulers, gel bubbles, freckles, black corners), but a score on them says nothing
clinical. A phantom depends on its seed, its index and its size alone; each layer has a random stream of its own.
"""

from custom_networks.data.phantoms.drawing import AREA_RANGE, MIN_SIZE, draw_phantom
from custom_networks.data.phantoms.writing import write_phantoms

__all__ = ["AREA_RANGE", "MIN_SIZE", "draw_phantom", "write_phantoms"]
