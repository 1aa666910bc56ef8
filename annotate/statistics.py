"""Figures of the work so far: how many images, how long each took, how many clicks."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import Any

from annotate.labels import LabelStore
from annotate.studies import Studies


def statistics_of(labels: LabelStore, studies: Studies) -> dict[str, Any]:
    """Sum up the labels of a folder.

    Args:
        labels: all labels.
        studies: the images.

    Returns:
        labelled (images), seconds_median and clicks_median (of an image, all its versions together; restored versions
        and labels of other clients, which tell no time, left out; None without any), per_day [{day, images, seconds}].
    """
    names = labels.labelled(studies.names())
    timed = [[v for v in labels.versions(name) if v.restored_from is None and v.seconds > 0] for name in names]
    timed = [versions for versions in timed if versions]
    seconds = [sum(version.seconds for version in versions) for versions in timed]
    clicks = [sum(len(version.clicks) for version in versions) for versions in timed]
    days = Counter(labels.versions(name)[0].when[:10] for name in names)
    spent: defaultdict[str, float] = defaultdict(float)
    for name in names:
        for version in labels.versions(name):
            spent[version.when[:10]] += version.seconds
    per_day = [
        {"day": day, "images": days.get(day, 0), "seconds": round(spent.get(day, 0.0), 1)}
        for day in sorted({*days, *spent})
    ]
    return {
        "labelled": len(names),
        "seconds_median": round(median(seconds), 1) if seconds else None,
        "clicks_median": median(clicks) if clicks else None,
        "per_day": per_day,
    }
