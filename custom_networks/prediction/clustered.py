"""A run shared by the workers of a Dask cluster: each does parts of it, as `--part` does.

A part that lost its worker is done by another, which resumes it by its journal. The workers need this package, and must
see images, weights and output folder under the same paths, on a file system with locks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from custom_networks.data.cluster import cluster_pool
from custom_networks.errors import UserError
from custom_networks.prediction.parts import division

IMAGES_A_PART = 64
MOST_PARTS = 1024

Result = tuple[int, dict[str, Any]]


def absolute(text: str) -> str:
    """Path that means the same in another process' folder; `~` is the user's."""
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  patterns keep their stars


def predict_shared(request: Any, predict: Callable[[Any], Result], images: int) -> Result:
    """Predict by a cluster.

    Args:
        request: of the whole run, with absolute paths.
        predict: of a request with a part; a function that pickles.
        images: how many there are.

    Returns:
        The worst exit code of the parts, and what happened in all of them.

    Raises:
        UserError: where a part did, and as `cluster_pool`.
    """
    if request.part is not None:
        raise UserError(f"--part {request.part}: the workers of --cluster share the images by themselves; leave it out")
    count = division(Path(request.output))
    if count == 1:
        raise UserError(f"{request.output}: was predicted as a whole; leave --cluster out, or give another --output")
    count = count or min(MOST_PARTS, max(2, math.ceil(images / IMAGES_A_PART)))
    parts = [replace(request, cluster="", part=f"{number}/{count}") for number in range(1, count + 1)]
    with cluster_pool(request.cluster) as executor:
        results = list(executor.map(_attempt, [predict] * count, parts))
    errors = [result for result in results if isinstance(result, UserError)]
    if errors:
        raise errors[0]
    codes, found = zip(*(result for result in results if not isinstance(result, UserError)), strict=True)
    return max(codes), {
        **{name: found[0][name] for name in ("output", "software", "settings")},
        **{name: sum(one[name] for one in found) for name in ("predicted", "done_before", "review")},
        "failed": [failure for one in found for failure in one["failed"]],
        "engine": ", ".join(sorted({one["engine"] for one in found} - {""})),
    }


def _attempt(predict: Callable[[Any], Result], request: Any) -> Result | UserError:
    """Predict a part; a mistake comes back as it is, since another try would end alike."""
    try:
        return predict(request)
    except UserError as error:
        return error
