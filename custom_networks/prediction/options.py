"""How images are predicted: what a run is told once, and what decides whether an earlier run's results still count."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from custom_networks.data.depth import checked_depth
from custom_networks.data.sources import checked_size
from custom_networks.errors import UserError, nearest
from custom_networks.metrics.watershed import WatershedParameters
from custom_networks.prediction.views import VIEWS

MODES = ("stretch", "pad", "window")


@dataclass(frozen=True)
class Options:
    """Options of a prediction.

    Args:
        image_size: side in pixels of the square that the network sees, a multiple of 64.
        threshold: probability from which a pixel is foreground.
        mode: "stretch" resizes each image to the square, as training does; "pad" keeps its aspect and repeats its
            border; "window" slides the square over the image.
        overlap: of neighbouring windows, as a share of their side.
        scale: factor by which images are resized before windows are cut.
        tta: test-time augmentation: "none", "flips" (4 views) or "all" (8: flips and turns by 90 degrees).
        review_below: images of less confidence are flagged.
        amp: whether the network computes in bfloat16.
        bit_depth: of grey images stored in 16 bits, as the weights were trained; None scales each by its own.
        fill_holes: whether holes of the foreground become foreground, see `cleaning`.
        min_area: regions of fewer pixels are dropped.
        keep_largest: whether only the largest region of an image, or of a slice, stays.
        watershed: how instances are cut out; `threshold` stands for its own.

    Raises:
        UserError: for a value that cannot be.
    """

    image_size: int = 256
    threshold: float = 0.5
    mode: str = "stretch"
    overlap: float = 0.25
    scale: float = 1.0
    tta: str = "none"
    review_below: float = 0.8
    amp: bool = False
    bit_depth: int | None = None
    fill_holes: bool = False
    min_area: int = 0
    keep_largest: bool = False
    watershed: WatershedParameters = field(default_factory=WatershedParameters)

    def __post_init__(self) -> None:
        checked_size(self.image_size)
        checked_depth(self.bit_depth)
        for name, value, known in (("mode", self.mode, MODES), ("tta", self.tta, VIEWS)):
            if value not in known:
                raise UserError(f"--{name} {value}: must be one of {', '.join(known)}{nearest(str(value), known)}")
        for name, low, high in (("threshold", 0, 1), ("review_below", 0, 1), ("overlap", 0, 0.9), ("scale", 0.01, 4)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UserError(f"--{name} {value}: must be a number from {low} to {high}")
        if self.scale != 1 and self.mode != "window":
            raise UserError(f"--scale {self.scale}: is for --mode window; {self.mode} resizes to --image_size")
        for name in ("amp", "fill_holes", "keep_largest"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"--{name} {getattr(self, name)}: must be true or false")
        if isinstance(self.min_area, bool) or not isinstance(self.min_area, int) or self.min_area < 0:
            raise UserError(f"--min_area {self.min_area}: must be a whole number of pixels")

    def as_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)
