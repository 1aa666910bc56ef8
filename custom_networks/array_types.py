"""Types of arrays and of points that several parts of the package hand to each other; H height, W width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
"""Of any shape."""
Doubles = NDArray[np.float64]
"""Of any shape."""
Map = NDArray[np.float32]
"""(H, W), a number at each pixel, such as a probability."""
Mask = NDArray[np.bool_]
"""(H, W), whether each pixel belongs to the foreground."""
Point = tuple[float, float]
"""x and y."""
Spacing = tuple[float, float]
"""Millimetres between rows and between columns."""
