"""A run shared by several processes: `--part 2/4` is the second of four, on one machine or several.

Over a Dask cluster each worker does parts of the run in the same way. A part that lost its worker is done by another,
which resumes it by its journal. The workers need this package, and must see images, weights and output folder under the
same paths, on a file system with locks.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from custom_networks.data.cluster import cluster_pool
from custom_networks.errors import UserError

WHOLE_JOURNAL, WHOLE_LOCK = "predict.jsonl", ".predict.lock"
_JOURNAL = re.compile(r"predict-(\d+)-of-(\d+)\.jsonl")


@dataclass(frozen=True)
class Part:
    """Which share of the images a process predicts.

    Args:
        number: of the part, from 1.
        count: of all parts; 1 is the whole.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Part:
        """Read `2/4`; None is the whole. Raises UserError for anything else."""
        match = re.fullmatch(r"\s*(\d{1,5})\s*/\s*(\d{1,5})\s*", "1/1" if text is None else str(text))
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count:
            raise UserError(f"--part {text}: must be a part of all, such as 1/4, 2/4, 3/4 and 4/4")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def journal(self) -> str:
        """Name of its journal."""
        return WHOLE_JOURNAL if self.count == 1 else f"predict-{self.number}-of-{self.count}.jsonl"

    @property
    def lock(self) -> str:
        """Name of the lock that its process holds."""
        return WHOLE_LOCK if self.count == 1 else f".predict-{self.number}-of-{self.count}.lock"

    @property
    def all(self) -> list[Part]:
        """Every part of the same division."""
        return [replace(self, number=number) for number in range(1, self.count + 1)]

    def has(self, name: str) -> bool:
        """Tell whether an image is of this part, by its name alone: images that are added later move no other."""
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


def refuse_other_division(folder: Path, part: Part) -> None:
    """Raise UserError where a folder was predicted in another number of parts."""
    found = _divisions(folder)
    other = next(iter(sorted(found - {part.count})), None)
    if other == 1:
        raise UserError(f"{folder}: was predicted as a whole; leave --part {part} out, or give another --output")
    if other is not None:
        raise UserError(
            f"{folder}: was predicted in {other} parts; give --part 1/{other} and so on, or another --output"
        )


def division(folder: Path) -> int | None:
    """In how many parts a folder was predicted, 1 for the whole; None where it was not."""
    return next(iter(sorted(_divisions(folder))), None)


def _divisions(folder: Path) -> set[int]:
    journals = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = {int(match[2]) for match in map(_JOURNAL.fullmatch, journals) if match}
    return found | ({1} if WHOLE_JOURNAL in journals else set())


IMAGES_A_PART = 64
MOST_PARTS = 1024

PartResult = tuple[int, dict[str, Any]]


def absolute(text: str) -> str:
    """Path that means the same in another process' folder; `~` is the user's."""
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111  patterns keep their stars


def parts_for(images: int) -> int:
    """Into how many parts a cluster divides so many images, where the folder has no division yet."""
    return min(MOST_PARTS, max(2, math.ceil(images / IMAGES_A_PART)))


def predict_shared(request: Any, predict: Callable[[Any], PartResult], images: int) -> PartResult:
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
    count = count or parts_for(images)
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


def _attempt(predict: Callable[[Any], PartResult], request: Any) -> PartResult | UserError:
    """Predict a part; a mistake comes back as it is, since another try would end alike."""
    try:
        return predict(request)
    except UserError as error:
        return error
