"""Deal images into folds or lists: groups stay whole, and each part gets its share of every lesion size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from custom_networks.errors import UserError

_STRATA = 4  # quartiles of the foreground share; empty masks are a stratum of their own


def deal(
    group_of: Mapping[str, str], parts: Sequence[float], seed: int = 0, shares: Mapping[str, float] | None = None
) -> dict[str, int]:
    """Deal images into parts of given relative sizes.

    Groups are dealt one by one, the largest first and equal ones in an order drawn from the seed, each to the part
    that lacks it most, in the number of images and in each stratum of the foreground share.

    Args:
        group_of: group of each image by the image's name; a group stays in one part.
        parts: relative size of each part, above 0.
        seed: of the order, 0 to 2^32 - 1.
        shares: foreground share 0..1 of each image; None deals by number alone.

    Returns:
        Number of each image's part. It depends on the names and the seed, not on the order of the images.

    Raises:
        UserError: when there are fewer groups than parts, or a part would stay empty.
    """
    images = sorted(group_of)
    names, groups = np.unique(np.asarray([group_of[image] for image in images], dtype=object), return_inverse=True)
    if len(names) < len(parts):
        raise UserError(
            f"{len(names)} groups of images cannot be dealt into {len(parts)} parts; use fewer --folds or --fractions"
        )
    given = [0.0 if shares is None else shares[image] for image in images]
    strata = _strata(np.asarray(given, dtype=float), len(parts))
    members = np.zeros((len(names), strata.max() + 1))
    np.add.at(members, (groups, strata), 1)
    weights = np.asarray(parts, dtype=float) / np.sum(parts)
    missing = np.outer(weights, members.sum(axis=0))  # (parts, strata): images still wanted
    shuffled = np.random.RandomState(seed).permutation(len(names))
    order = shuffled[np.lexsort((members[shuffled].argmax(axis=1), -members[shuffled].sum(axis=1)))]
    part_of = np.zeros(len(names), dtype=int)
    for group in order:
        lack = missing @ members[group] + missing.sum(axis=1) * members[group].sum()
        part_of[group] = int(np.argmax(np.round(lack, 9)))
        missing[part_of[group]] -= members[group]
    empty = sorted(set(range(len(parts))) - set(part_of.tolist()))
    if empty:
        raise UserError(
            f"{len(names)} groups of images leave part {empty[0] + 1} of {len(parts)} empty; make that part larger or "
            "add images"
        )
    return dict(zip(images, part_of[groups].tolist(), strict=True))


def _strata(shares: np.ndarray, parts: int) -> np.ndarray:
    """Stratum of each image: 0 for an empty mask, then quartiles of the share (fewer where there are few images)."""
    filled = shares > 0
    count = int(max(1, min(_STRATA, filled.sum() // max(parts, 1))))
    strata = np.zeros(len(shares), dtype=int)
    ranks = shares[filled].argsort(kind="stable").argsort(kind="stable")
    strata[filled] = 1 + ranks * count // max(int(filled.sum()), 1)
    return strata
