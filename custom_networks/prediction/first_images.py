"""Some of the first images of a run, by which an engine is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from custom_networks.data.formats.slides import Slide, is_slide
from custom_networks.prediction.choice import CHECKED, WORTH
from custom_networks.prediction.engine import AUTO
from custom_networks.prediction.geometry import VIEWS
from custom_networks.prediction.inputs import ImageSource
from custom_networks.prediction.plan import Plan
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.prediction.reading import ReadImage, is_volume, read_slices
from custom_networks.prediction.slides import SlideGrid
from custom_networks.prediction.window import starts, window_count


def first_images(
    plan: Plan, sources: Sequence[ImageSource], predictor: SGDNetPredictor, earlier: str | None = None
) -> tuple[list[ReadImage], int]:
    """Read some images, where an engine is to be chosen.

    Args:
        plan: of the run.
        sources: images to predict; those that cannot be read are left out.
        predictor: that will predict them.
        earlier: engine of the folder.

    Returns:
        `CHECKED` images, slices or windows of a slide, or one image that windows are cut from; about how many squares
        all images are.
    """
    options = predictor.options
    windows, views = options.mode == "window", len(VIEWS[options.tta])
    large = windows or any(one.series or is_volume(one.path) or is_slide(one.path) for one in sources)
    few = len(sources) * views < WORTH and not large
    if predictor.is_chosen or (predictor.engine == AUTO and earlier is None and few):
        return [], len(sources) * views
    pictures: list[ReadImage] = []
    squares: list[int] = []
    for source in sources[: 2 * CHECKED]:
        if len(pictures) >= (1 if windows else CHECKED):
            break
        try:
            if is_slide(source.path):
                found, count = _of_slide(plan, source, predictor)
            else:
                found = read_slices(source.path, plan.axis, options.bit_depth, source.series)
                count = len(found)
                if windows:
                    count *= window_count(found[0].size, options.image_size, options.overlap, options.scale)
        except Exception:  # told when it is predicted
            continue
        squares.append(count)
        step = math.ceil(len(found) / (CHECKED - len(pictures)))
        pictures += found[step // 2 :: step]
    return pictures, round(len(sources) * views * sum(squares) / max(1, len(squares)))


def _of_slide(plan: Plan, source: ImageSource, predictor: SGDNetPredictor) -> tuple[list[ReadImage], int]:
    """Windows along the diagonal of a slide, and how many it has."""
    options = predictor.options
    with Slide(source.path) as slide:
        given = (plan.spacing, plan.spacing) if plan.spacing else None
        grid = SlideGrid(slide, options, slide.spacing or given)
        tops, lefts = grid.tops(), starts(grid.padded[0], options.image_size, options.overlap)
        shares = [(number + 1) / (CHECKED + 1) for number in range(CHECKED)]
        places = [(lefts[int(share * len(lefts))], tops[int(share * len(tops))]) for share in shares]
        return [ReadImage(grid.window(*place)) for place in places], len(tops) * len(lefts)
