"""Nearest neighbours among binary hashes by a graph, HNSW of faiss (Malkov and Yashunin, arXiv 1603.09320).

The search takes about N log N steps. It runs in a process of its own, which this file is the program of: faiss and
PyTorch each bring an OpenMP library, and on macOS and Windows the second one to be loaded ends the process. One thread
builds the graph, so that the same hashes give the same neighbours. Few hashes are compared each with each before such a
process would have started.

Symbols: N hashes of B bytes, Q queries for each of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LINKS, CONSTRUCTION, SEARCH = 16, 64, 64  # of the graph: links a node, candidates kept while building and searching
PER_QUERY = 16  # neighbours asked for with each query
FEW = 32  # hashes that are compared each with each
_ROWS = 4096  # hashes handled at once, so that memory stays small

Bytes = NDArray[np.uint8]
Search = Callable[[Bytes, int], tuple[NDArray[np.int32], NDArray[np.int64]]]


def nearest_hashes(hashes: Bytes, queries: Bytes, distance: int, most: int) -> NDArray[np.int32]:
    """Find the hashes nearest to each one.

    Args:
        hashes: (N, B).
        queries: (Q, N, B), several forms of each hash to search with.
        distance: bits that may differ.
        most: neighbours kept for each hash, over all its queries.

    Returns:
        (M, 4) rows: the hash, its neighbour, the query that found it, and how many bits differ; sorted by the first
        and then by the last. A hash is no neighbour of itself.

    Raises:
        RuntimeError: with the message of the process where it fails.
    """
    if len(hashes) < 2:
        return np.zeros((0, 4), np.int32)
    if len(hashes) <= FEW:
        return _neighbours(partial(_nearest_of_few, hashes), queries, distance, most)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "hashes.npy", hashes)
        np.save(Path(folder) / "queries.npy", queries)
        words = [sys.executable, "-P", __file__, folder, str(distance), str(most)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the search for near-duplicates failed ({done.returncode}): {done.stderr[-2000:]}")
        return np.load(Path(folder) / "found.npy")


def _search(folder: Path, distance: int, most: int) -> None:
    """Do the work of `nearest_hashes` on the files of a folder."""
    import faiss

    faiss.omp_set_num_threads(1)
    hashes, queries = np.load(folder / "hashes.npy"), np.load(folder / "queries.npy", mmap_mode="r")
    index = faiss.IndexBinaryHNSW(8 * hashes.shape[1], LINKS)
    index.hnsw.efConstruction, index.hnsw.efSearch = CONSTRUCTION, SEARCH
    index.add(hashes)
    np.save(folder / "found.npy", _neighbours(index.search, queries, distance, most))


def _nearest_of_few(hashes: Bytes, queries: Bytes, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Compare each query with each hash; returns differing bits and indices, (queries, count) each, as faiss does."""
    bits = np.unpackbits(queries[:, None] ^ hashes, axis=2).sum(axis=2, dtype=np.int32)
    nearest = np.argsort(bits, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(bits, nearest, axis=1), nearest


def _neighbours(search: Search, queries: Bytes, distance: int, most: int) -> NDArray[np.int32]:
    """Search with all queries; see `nearest_hashes`."""
    total = queries.shape[1]
    count = min(PER_QUERY + 1, total)
    parts = []
    for start in range(0, total, _ROWS):
        found = [search(np.ascontiguousarray(rows), count) for rows in queries[:, start : start + _ROWS]]
        bits: NDArray[np.int32] = np.stack([each[0] for each in found])  # (Q, rows, count)
        others: NDArray[np.int64] = np.stack([each[1] for each in found])
        kept = (bits <= distance) & (others >= 0)
        query, row, _ = np.nonzero(kept)
        table = np.stack([row + start, others[kept], query, bits[kept]], 1).astype(np.int32)
        table = table[table[:, 0] != table[:, 1]]
        parts.append(_best(table, most))
    return np.concatenate(parts)


def _best(table: NDArray[np.int32], most: int) -> NDArray[np.int32]:
    """Keep the rows with the fewest bits of each hash, `most` at most."""
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 3], table[:, 0]))]
    _, first, counts = np.unique(table[:, 0], return_index=True, return_counts=True)
    rank = np.arange(len(table)) - np.repeat(first, counts)
    return table[rank < most]


if __name__ == "__main__":
    _search(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
