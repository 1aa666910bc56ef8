"""The search for near-duplicates that compares every hash with every other one: the oracle of the index."""

from __future__ import annotations

import numpy as np

from custom_networks.data import duplicates
from custom_networks.data.duplicates import HAMMING, THRESHOLD, ZOOMS, Thumbnails


def every_near_duplicate(thumbnails: Thumbnails) -> dict[tuple[int, int], float]:
    """Correlation of each pair of nearly the same picture, by its indices; time and memory grow as N^2."""
    zooms = [(1.0, 1.0), *((zoom, 1.0) for zoom in ZOOMS[1:]), *((1.0, zoom) for zoom in ZOOMS[1:])]
    structure = duplicates._coarse_structure(thumbnails).astype(np.float32)
    found: dict[tuple[int, int], float] = {}
    for orientation in range(8):
        turned = duplicates._turned(structure, orientation)
        distances, factors = [], []
        for mine, theirs in zooms:
            one, other = duplicates._hashes(structure, mine), duplicates._hashes(turned, theirs)
            distances.append(np.bitwise_count(one[:, None] ^ other[None]).sum(2))
            factors.append(theirs / mine)
        best, factor = np.min(distances, axis=0), np.array(factors, np.float32)[np.argmin(distances, axis=0)]
        first, second = np.nonzero(np.triu(best <= HAMMING, 1))
        structured = structure[first].any((1, 2)) & structure[second].any((1, 2))
        first, second = first[structured], second[structured]
        keep, start = duplicates._roughly(structure[first], turned[second], factor[first, second])
        first, second = first[keep], second[keep]
        for index, value in duplicates._confirm(thumbnails, first, second, orientation, start):
            if value >= THRESHOLD:
                pair = int(first[index]), int(second[index])
                found[pair] = max(value, found.get(pair, 0.0))
    return found
