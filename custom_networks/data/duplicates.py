"""Find pictures that are nearly the same: recompressed, resized, recoloured, cropped a little, flipped or turned.

Every picture becomes a grey thumbnail, and every thumbnail its fine structure alone (the logarithm of its brightness
above a local mean, without the black frame of a dermatoscope), since all dermoscopy looks alike at low resolution. A
perceptual hash of the signs of low frequencies (DCT) proposes pairs: plain, zoomed in and in the eight orientations;
an index finds the nearest hashes of each picture (`neighbours.py`), so that time grows as N log N. A pair is confirmed
by the correlation of the fine structures after an affine registration of one to the other.

Symbols: N pictures, M pairs, S side of a thumbnail.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from custom_networks.array_types import Floats
from custom_networks.data.formats import read
from custom_networks.data.neighbours import nearest_hashes
from custom_networks.data.registration import correlation, register
from custom_networks.data.resources import available_cores

THUMBNAIL = 64  # side in pixels
THRESHOLD = 0.82  # of the registered correlation; in ISIC 2018 duplicates reach 0.83, other pairs 0.81
COARSE = 32  # side on which candidates are hashed and roughly registered
FREQUENCIES = 12  # a side of the hash's block of DCT coefficients, 143 bits without the constant
HAMMING = 45  # bits that may differ; one in a thousand unrelated pairs of dermoscopy images does
NEIGHBOURS = 32  # candidates of a picture; among 34,000 pictures the true one of each known pair was in the first 16
ZOOMS = (1.0, 1.07)  # against crops of one of the two
SHIFT = 4  # pixels of the coarse side that are searched
GATES = (0.68, 0.92, 0.94)  # correlation to go on with: after the shift, the coarse and the middle registration
FRAME_LEVEL = 24  # grey level under which what touches the border is the dermatoscope's black frame
_FACTORS = np.array([1.0, *(f for zoom in ZOOMS[1:] for f in (1 / zoom, zoom))], np.float32)  # of the second picture
_ROWS, _PAIRS = 256, 128  # pictures and pairs handled at once, so that memory stays small

Thumbnails = NDArray[np.uint8]


def thumbnail(picture: Image.Image) -> Thumbnails:
    """Reduce an RGB or grey picture to (S, S) grey levels, its aspect squeezed into the square."""
    return np.asarray(picture.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def find_near_duplicates(
    paths: Sequence[str], num_workers: int | None = None, threshold: float = THRESHOLD
) -> list[tuple[int, int, float]]:
    """Find pairs of nearly the same picture among files.

    Args:
        paths: image files.
        num_workers: threads that read; None takes one for each core this process may use.
        threshold: correlation from which a pair counts, 0 to 1.

    Returns:
        (i, j, correlation) with i < j, indices into `paths`, the most alike first.

    Raises:
        UserError: for a file that cannot be read.
    """
    with ThreadPoolExecutor(num_workers or available_cores()) as threads:
        thumbnails = thumbnail_store(len(paths))
        for index, each in enumerate(threads.map(lambda path: thumbnail(read(path, "image").image), paths)):
            thumbnails[index] = each
    return near_duplicate_thumbnails(thumbnails, threshold)


def near_duplicate_thumbnails(thumbnails: Thumbnails, threshold: float = THRESHOLD) -> list[tuple[int, int, float]]:
    """Find pairs of nearly the same picture among thumbnails.

    Args:
        thumbnails: (N, S, S) from `thumbnail`.
        threshold: correlation from which a pair counts, 0 to 1.

    Returns:
        (i, j, correlation) with i < j, the most alike first. Pictures without any structure are in no pair; of equal
        thumbnails each is in a pair with the first one, and that one alone is compared with others.
    """
    first_of = _first_of_equals(thumbnails)
    structure = _coarse_structure(thumbnails)
    structured = structure.any((1, 2))
    copies = np.flatnonzero(structured & (first_of != np.arange(len(first_of))))
    found = {(int(first_of[copy]), int(copy)): 1.0 for copy in copies}
    kept = np.flatnonzero(structured & (first_of == np.arange(len(first_of))))
    if len(kept) < len(structure):
        structure = structure[kept]
    for one, other, turn, start in _candidates(structure):
        first, second = kept[one], kept[other]
        for index, correlated in _confirm(thumbnails, first, second, turn, start):
            pair = int(first[index]), int(second[index])
            if correlated >= threshold:
                found[pair] = max(correlated, found.get(pair, 0.0))
    return sorted(((i, j, value) for (i, j), value in found.items()), key=lambda pair: (-pair[2], pair))


def thumbnail_store(count: int) -> Thumbnails:
    """Make room for (N, S, S) thumbnails in a file without a name, which takes no memory where that is short."""
    if not count:
        return np.zeros((0, THUMBNAIL, THUMBNAIL), np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=(count, THUMBNAIL, THUMBNAIL))


def _first_of_equals(thumbnails: Thumbnails) -> NDArray[np.intp]:
    """Index of the first thumbnail with the same bytes, (N,)."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(each.tobytes(), digest_size=16).digest() for each in thumbnails)
    return np.array([seen.setdefault(digest, index) for index, digest in enumerate(digests)], np.intp)


def fine_structure(thumbnails: Thumbnails, sigma: float, blur: float = 0.0) -> Floats:
    """Take away the low-order structure, brightness, contrast and the black frame.

    Args:
        thumbnails: (N, S, S) grey levels.
        sigma: of the local mean that is subtracted, in pixels.
        blur: sigma of a smoothing after it.

    Returns:
        (N, S, S) with mean 0 and norm 1; zeros for a picture without structure.
    """
    inside: Floats = (~_frame(thumbnails)).astype(np.float32)
    levels: Floats = np.log(
        thumbnails.astype(np.float32) + np.float32(16)
    )  # light multiplies; 16 keeps black's noise small
    mean = _smooth(levels * inside, sigma) / np.maximum(_smooth(inside, sigma), 1e-3)
    detail: NDArray = (levels - mean) * inside
    if blur:
        detail = _smooth(detail, blur) * inside
    count = np.maximum(inside.sum((1, 2), keepdims=True), 1)
    deviation = np.sqrt((detail**2).sum((1, 2), keepdims=True) / count)
    detail = np.clip(detail / (deviation + 1e-3), -3, 3)  # no hair or ruler decides alone
    detail = (detail - detail.sum((1, 2), keepdims=True) / count) * inside
    norm = np.linalg.norm(detail, axis=(1, 2), keepdims=True)
    return np.where(deviation > 2e-3, detail / np.maximum(norm, 1e-9), 0).astype(np.float32)


def _smooth(stack: NDArray, sigma: float) -> NDArray:
    return ndimage.gaussian_filter(stack, (0, sigma, sigma), mode="reflect")


def _frame(thumbnails: Thumbnails) -> NDArray[np.bool_]:
    """Mark what is black and connected to the border, two pixels wider."""
    black = thumbnails < FRAME_LEVEL
    frame = np.zeros_like(black)
    for index in np.flatnonzero(black.any((1, 2))):
        regions, _ = ndimage.label(black[index])
        border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
        frame[index] = np.isin(regions, border[border > 0])
    return ndimage.binary_dilation(frame, np.ones((1, 3, 3), bool), iterations=2)


def _turned(stack: NDArray, orientation: int) -> NDArray:
    """Bring (N, S, S) into one of the eight orientations of the square."""
    flipped = stack[:, :, ::-1] if orientation >= 4 else stack
    return np.ascontiguousarray(np.rot90(flipped, orientation % 4, (1, 2)))


def _zoom_matrix(zoom: float) -> Floats:
    """Matrix (COARSE, COARSE) that magnifies one axis about its centre."""
    centre = (COARSE - 1) / 2
    where = (np.arange(COARSE) - centre) / zoom + centre
    left = np.clip(where.astype(int), 0, COARSE - 2)
    matrix = np.zeros((COARSE, COARSE), np.float32)
    matrix[np.arange(COARSE), left] = left + 1 - where
    matrix[np.arange(COARSE), left + 1] = where - left
    return matrix


def _hashes(structure: Floats, zoom: float) -> NDArray[np.uint8]:
    """Signs of the low frequencies of (N, COARSE, COARSE), zoomed, eight bits a byte."""
    basis = fft.dct(np.eye(COARSE), axis=0, norm="ortho")[:FREQUENCIES].astype(np.float32) @ _zoom_matrix(zoom)
    coefficients = (basis @ structure @ basis.T).reshape(len(structure), FREQUENCIES**2)[:, 1:]
    return np.packbits(coefficients > 0, axis=1)


def _coarse_structure(thumbnails: Thumbnails) -> NDArray[np.float16]:
    """Fine structure above a mean over a tenth of the picture, on the coarse grid; 2 KB a picture."""
    coarse = np.zeros((len(thumbnails), COARSE, COARSE), np.float16)
    for start in range(0, len(thumbnails), _ROWS):
        rows = slice(start, start + _ROWS)
        detail = fine_structure(thumbnails[rows], sigma=6.0)
        means = detail.reshape(-1, COARSE, THUMBNAIL // COARSE, COARSE, THUMBNAIL // COARSE).mean((2, 4))
        coarse[rows] = means / np.maximum(np.linalg.norm(means, axis=(1, 2), keepdims=True), 1e-9)
    return coarse


def _candidates(structure: NDArray[np.float16]) -> Iterator[tuple[NDArray, NDArray, int, Floats]]:
    """Propose pairs whose hashes are near and whose coarse structures are alike.

    Args:
        structure: (N, COARSE, COARSE) of pictures that have one.

    Yields:
        First and second indices (M,), the orientation of the second, and the affine parameters (M, 6) so far.
    """
    table = _near_hashes(structure)
    for orientation in range(8):
        rows = table[table[:, 2] == orientation]
        for part in np.array_split(rows, max(1, len(rows) // _PAIRS)):
            one, other = structure[part[:, 0]], _turned(structure[part[:, 1]], orientation)
            zoom = _FACTORS[part[:, 3]]
            keep, start = _roughly(one.astype(np.float32), other.astype(np.float32), zoom)
            yield part[keep, 0], part[keep, 1], orientation, start


def _near_hashes(structure: NDArray[np.float16]) -> NDArray[np.int32]:
    """Find pairs by their hashes.

    Each picture searches with its hash in the eight orientations, plain and zoomed. That a turned is like b means that
    b turned back is like a, so that the first of a pair always stays as it is.

    Args:
        structure: (N, COARSE, COARSE).

    Returns:
        (M, 4) rows, each pair and orientation once: first, second, orientation of the second, number of the zoom in
        `_FACTORS`; sorted by the pair.
    """
    forms = [(orientation, zoom) for orientation in range(8) for zoom in range(len(ZOOMS))]
    hashes = np.zeros((len(forms), len(structure), -(-(FREQUENCIES**2 - 1) // 8)), np.uint8)
    for top in range(0, len(structure), _ROWS):
        rows = slice(top, top + _ROWS)
        for number, (orientation, zoom) in enumerate(forms):
            hashes[number, rows] = _hashes(_turned(structure[rows].astype(np.float32), orientation), ZOOMS[zoom])
    found = nearest_hashes(hashes[0], hashes, HAMMING, NEIGHBOURS)
    orientation, zoom = np.array(forms, np.int32)[found[:, 2]].T
    swapped = found[:, 0] > found[:, 1]
    back = np.array([0, 3, 2, 1, 4, 5, 6, 7], np.int32)[orientation]  # a mirrored turn undoes itself
    first, second = np.sort(found[:, :2], axis=1).T
    factor = np.where(zoom == 0, 0, np.where(swapped, 2 * zoom, 2 * zoom - 1))
    table = np.stack([first, second, np.where(swapped, orientation, back), factor], 1)
    order = np.lexsort((factor, found[:, 3], table[:, 2], second, first))
    _, nearest = np.unique(table[order, :3], axis=0, return_index=True)
    return table[order][nearest]


def _roughly(one: Floats, other: Floats, zoom: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Find shift and affine registration of candidates on the coarse grid.

    Args:
        one: (M, COARSE, COARSE).
        other: the same of the second pictures, turned.
        zoom: (M,) that brings the second onto the first.

    Returns:
        Positions of those that are alike, and their affine parameters on the thumbnails' grid.
    """
    start = np.zeros((len(one), 6), np.float32)
    start[:, 0] = start[:, 4] = 1 / zoom - 1
    best, shift = _best_shift(one, other)
    start[:, 2], start[:, 5] = shift.T
    keep = np.flatnonzero(best >= GATES[0])
    start = register(one[keep], other[keep], start[keep], steps=6)
    alike = correlation(one[keep], other[keep], start) >= GATES[1]
    scale = np.array([1, 1, 2, 1, 1, 2], np.float32)  # shifts in pixels of the thumbnail
    return keep[alike], start[alike] * scale


def _best_shift(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Correlation (M,) and shift (M, 2) at which `second` fits best, cyclic."""
    product = fft.rfft2(first) * fft.rfft2(second).conj()
    surface = np.roll(fft.irfft2(product, s=first.shape[1:]), (SHIFT, SHIFT), (1, 2))
    side = 2 * SHIFT + 1
    window = surface[:, :side, :side].reshape(len(first), side * side)
    where = window.argmax(1)
    shift = SHIFT - np.stack(np.divmod(where, side), 1)
    return window[np.arange(len(first)), where], shift.astype(np.float32)


def _confirm(
    thumbnails: Thumbnails, first: NDArray, second: NDArray, orientation: int, start: Floats
) -> Iterator[tuple[int, float]]:
    """Register candidates to a fraction of a pixel and correlate their finest structure; yields (position, value)."""
    if not len(first):
        return
    one, other = thumbnails[first], _turned(thumbnails[second], orientation)
    left, right = fine_structure(one, 4.0, blur=1.0), fine_structure(other, 4.0, blur=1.0)
    start = register(left, right, start, steps=8)
    keep = np.flatnonzero(correlation(left, right, start) >= GATES[2])
    left, right = fine_structure(one[keep], 2.0), fine_structure(other[keep], 2.0)
    start = register(left, right, start[keep], steps=4)
    yield from zip(keep.tolist(), correlation(left, right, start).tolist(), strict=True)
