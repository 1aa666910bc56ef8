"""Instances from a probability map and SGE's edge map, by marker-controlled watershed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter
from skimage.measure import label
from skimage.segmentation import watershed

from custom_networks.array_types import Map
from custom_networks.errors import UserError, nearest
from custom_networks.metrics.instances import InstanceCounts, match_instances
from custom_networks.typed_files import FileModel, Json, Number, read_model

WATERSHED = "watershed.json"
"""File of tuned parameters."""


@dataclass(frozen=True)
class WatershedParameters:
    """How instances are cut out; tune them on the validation split only.

    Args:
        threshold: a pixel is foreground from this probability up.
        edge_weight: how much the edge map lowers the landscape, p * (1 - edge_weight * edge).
        marker_threshold: a marker is a connected region where the smoothed landscape is above this.
        smoothing: standard deviation in pixels of the Gaussian that smooths the landscape; 0 does not.
        min_marker_area: smaller markers are dropped, in pixels.
        min_area: smaller instances are dropped, in pixels.
    """

    threshold: float = 0.5
    edge_weight: float = 0.7
    marker_threshold: float = 0.6
    smoothing: float = 1.0
    min_marker_area: int = 5
    min_area: int = 15

    def __post_init__(self) -> None:
        for name in ("threshold", "edge_weight", "marker_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, must be from 0 to 1")
        for name in ("smoothing", "min_marker_area", "min_area"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, must not be negative")

    def as_dict(self) -> dict[str, float]:
        """Names and values, as a config holds them."""
        return asdict(self)


class Tuning(FileModel):
    """What `watershed.json` holds.

    Attributes:
        version: of this form.
        parameters: the best.
        split: that they were chosen on.
        tried: all others.
    """

    version: Literal[1] = 1
    parameters: dict[str, Number]
    split: str | None = None
    tried: list[dict[str, Json]] = Field(default_factory=list)


def watershed_parameters(given: Mapping[str, Any] | str | None) -> WatershedParameters:
    """Read the parameters of the watershed.

    Args:
        given: names and values; the path of a `watershed.json` that tuning wrote; None for the defaults.

    Returns:
        The parameters.

    Raises:
        UserError: for a file that cannot be read, a name that does not exist or a value out of range.
    """
    if given is None:
        return WatershedParameters()
    source, values = "watershed", given
    if isinstance(given, str):
        source = given
        fix = f"give the {WATERSHED} of a tuning, or leave watershed out"
        values = read_model(given, Tuning, fix=fix).parameters
    known = WatershedParameters().as_dict()
    if not isinstance(values, Mapping):
        raise UserError(f"{source}: must map names to values; the names are {', '.join(known)}")
    for name in values:
        if name not in known:
            raise UserError(f"{source}: no parameter {name!r}{nearest(str(name), known)}; use {', '.join(known)}")
    try:
        return WatershedParameters(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: {error}; correct it") from None


GRID: dict[str, Sequence[Any]] = {
    "edge_weight": (0.3, 0.5, 0.7, 0.9),
    "marker_threshold": (0.4, 0.5, 0.6, 0.7),
    "smoothing": (0.5, 1.0, 2.0),
}


def split_instances(
    probability: Map, edge: Map | None = None, parameters: WatershedParameters | None = None
) -> NDArray[np.int32]:
    """Cut the foreground into instances.

    The landscape p * (1 - edge_weight * edge), smoothed, has a plateau inside each object and a valley along each
    edge. Its regions above the marker threshold are the markers; the watershed of the inverted landscape, kept within
    the foreground, gives each pixel to one of them. Foreground without a marker becomes an instance of its own. Pixels
    are joined by their sides, not by their corners.

    Args:
        probability: (H, W) foreground probability.
        edge: (H, W) edge probability (the sigmoid of SGE's edge map); None takes the probability alone.
        parameters: the defaults when None.

    Returns:
        (H, W) instance map, ids from 1 without gaps, 0 is background.
    """
    chosen = parameters or WatershedParameters()
    foreground = probability >= chosen.threshold
    landscape = np.asarray(probability, np.float32)
    if edge is not None:
        landscape = landscape * (1 - np.float32(chosen.edge_weight) * np.asarray(edge, np.float32))
    if chosen.smoothing:
        landscape = gaussian_filter(landscape, chosen.smoothing)
    markers = _without_small(
        label((landscape > chosen.marker_threshold) & foreground, connectivity=1), chosen.min_marker_area
    )
    components = label(foreground, connectivity=1)
    marked = np.zeros(components.max() + 1, bool)
    marked[components[markers > 0]] = True
    unmarked = foreground & ~marked[components]
    markers[unmarked] = components[unmarked] + markers.max()
    return _without_small(watershed(-landscape, markers, mask=foreground), chosen.min_area)


def tune(
    samples: Iterable[tuple[Map, Map | None, NDArray[np.integer]]],
    grid: Mapping[str, Sequence[Any]] = GRID,
    start: WatershedParameters | None = None,
) -> tuple[WatershedParameters, list[dict[str, Any]]]:
    """Choose parameters by the pooled PQ over a validation split; never call it with test images.

    Args:
        samples: (probability, edge map or None, true instance map) of each validation image, all (H, W); read once.
        grid: values to try for some of the parameters, in every combination.
        start: the other parameters.

    Returns:
        The best parameters (the first of equals), and a row for each combination: the parameters, then pq, sq, dq, aji.

    Raises:
        ValueError: when there are no samples, or no instance in any of them.
    """
    base = start or WatershedParameters()
    tried = [replace(base, **dict(zip(grid, values, strict=True))) for values in itertools.product(*grid.values())]
    counts = [InstanceCounts()] * len(tried)
    for probability, edge, truth in samples:
        for index, parameters in enumerate(tried):
            counts[index] += match_instances(split_instances(probability, edge, parameters), truth)
    if not counts[0].tp + counts[0].fn:
        raise ValueError("no true instance in the validation images; watershed parameters cannot be tuned on them")
    best = max(range(len(tried)), key=lambda index: counts[index].pq)
    table = [
        {**parameters.as_dict(), "pq": total.pq, "sq": total.sq, "dq": total.dq, "aji": total.aji}
        for parameters, total in zip(tried, counts, strict=True)
    ]
    return tried[best], table


def _without_small(labels: NDArray[np.int32], area: int) -> NDArray[np.int32]:
    """Drop labels of fewer pixels and close the gaps."""
    kept = np.bincount(labels.ravel()) >= max(area, 1)
    kept[0] = False
    return (np.cumsum(kept) * kept).astype(np.int32)[labels]
