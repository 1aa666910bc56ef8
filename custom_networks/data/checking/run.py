"""Examine every file of one or more data sets once, then compare their pictures with each other."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from custom_networks.data.checking.examine import Examined, Labels, examine
from custom_networks.data.checking.findings import IMBALANCE, Finding, FindingKind
from custom_networks.data.checking.memory import CheckMemory, examination_key
from custom_networks.data.checking.read import DataSet
from custom_networks.data.cluster import cluster_pool
from custom_networks.data.depth import decided_depth
from custom_networks.data.duplicates import near_duplicate_thumbnails, thumbnail_store
from custom_networks.data.images import above_white, needed_depth
from custom_networks.data.resources import available_cores

_TASK = 8  # items that a thread or a worker is given
_BATCH = 512  # items handed to the threads at once, so that memory does not grow with the data set

Asked = tuple[dict[str, Any], Labels, bool]  # arguments of `examine`
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Place:
    """Where a picture stands: its data set, split, fold and file."""

    data_set: int
    split: str
    fold: Any
    path: str
    label: str


@dataclass
class Report:
    """What a check found.

    Attributes:
        data_sets: name and items per split of each.
        findings: in the order of the files, then pairs of pictures.
        shares: foreground share of each readable label, per data set.
        places: of all items, for the contact sheet.
        seconds: wall-clock time.
        labels: of each data set, what they are.
        bit_depth: of each data set's images whose grey is stored in 16 bits, see `decided_depth`.
    """

    data_sets: list[tuple[str, dict[str, int]]]
    findings: list[Finding] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    seconds: float = 0.0
    labels: list[Labels] = field(default_factory=list)
    bit_depth: list[int | None] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings that must be put right."""
        return [finding for finding in self.findings if finding.kind.is_error]


def run_check(
    data_sets: Sequence[DataSet],
    near_duplicates: bool = True,
    num_workers: int | None = None,
    progress: Progress | None = None,
    remembered: bool = False,
    cluster: str = "",
) -> Report:
    """Check data sets, each for itself and all against each other.

    Args:
        data_sets: from `read_data_set`.
        near_duplicates: whether to look for pictures that are nearly the same; exact ones are always found.
        num_workers: threads; None takes one for each core this process may use, 8 at most.
        progress: wraps the iteration over the files, given their count.
        remembered: leave out files that an earlier check has read and that did not change since, see `CheckMemory`.
        cluster: address of a Dask scheduler whose workers read the files instead of threads; empty for none.

    Returns:
        The findings and figures. Memory holds 2 KB an item beyond the pictures that are open.
    """
    begin = time.perf_counter()
    report = Report([(each.name, {name: len(items) for name, items in each.splits.items()}) for each in data_sets])
    report.findings = [finding for each in data_sets for finding in each.findings]
    report.shares = [[] for _ in data_sets]
    report.labels = [each.labels for each in data_sets]
    pixels: list[Counter[int]] = [Counter() for _ in data_sets]
    todo = [
        (Place(number, split, item.get("fold"), item["image"], item.get("label", "")), item, each.labels)
        for number, each in enumerate(data_sets)
        for split, items in each.splits.items()
        for item in items
    ]
    report.places = [place for place, _, _ in todo]
    thumbnails = thumbnail_store(len(todo) if near_duplicates else 0)
    digests: list[bytes] = []
    largest: list[dict[str, int]] = [{} for _ in data_sets]
    with warnings.catch_warnings():  # around the threads: the filters are global to the process
        warnings.simplefilter("ignore")
        asked = [(item, labels, near_duplicates) for _, item, labels in todo]
        threads = ThreadPoolExecutor(num_workers or available_cores()) if not cluster else cluster_pool(cluster)
        results: Iterable[Examined] = _examine_all(asked, threads, remembered)
        for index, examined in enumerate(progress(results, len(todo)) if progress else results):
            number = report.places[index].data_set
            report.findings += examined.findings
            digests.append(examined.pixels_digest)
            if examined.largest is not None:
                largest[number][report.places[index].path] = examined.largest
            if examined.thumbnail is not None:
                thumbnails[index] = examined.thumbnail
            if examined.foreground[1]:
                report.shares[number].append(examined.foreground[0] / examined.foreground[1])
            pixels[number].update(examined.class_pixels)
    for each, of_set in zip(data_sets, largest, strict=True):
        report.bit_depth.append(decided_depth(each.bit_depth, map(needed_depth, of_set.values())))
        report.findings += _depth_findings(of_set, report.bit_depth[-1])
    report.findings += _same_pictures(report.places, digests)
    if near_duplicates:
        for i, j, value in near_duplicate_thumbnails(thumbnails):
            if digests[i] != digests[j]:
                report.findings.append(_near(report.places[i], report.places[j], value))
    for each, counts in zip(data_sets, pixels, strict=True):
        report.findings += _imbalance(each, counts)
    report.seconds = time.perf_counter() - begin
    return report


def _examine_all(
    asked: Sequence[Asked], pool: AbstractContextManager[Executor], remembered: bool
) -> Iterator[Examined]:
    memory = CheckMemory()
    with pool as executor:
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            keys = [examination_key(item, labels) for item, labels, _ in batch]
            known = memory.recall(keys) if remembered else [None] * len(keys)
            unknown = [index for index, examined in enumerate(known) if examined is None]
            tasks = [[batch[index] for index in unknown[at : at + _TASK]] for at in range(0, len(unknown), _TASK)]
            read = [examined for group in executor.map(_examine_some, tasks) for examined in group]
            memory.remember((keys[index], examined) for index, examined in zip(unknown, read, strict=True))
            fresh = iter(read)
            yield from (next(fresh) if examined is None else examined for examined in known)


def _examine_some(asked: Sequence[Asked]) -> list[Examined]:
    return [examine(*each) for each in asked]


def _depth_findings(largest: dict[str, int], depth: int | None) -> list[Finding]:
    """Say how grey that is stored in 16 bits is read, given the largest value of each image."""
    if depth is None:
        return []
    white = 2**depth - 1
    text = f"grey images stored in 16 bits (read as {depth}-bit: {white} is white)"
    findings = [Finding(FindingKind.READ_AS, path, text) for path in largest]
    for path, value in largest.items():
        if value > white:
            findings.append(Finding(FindingKind.FILE, path, above_white(path, value, depth)))
        elif value < 256 <= white:
            findings.append(Finding(FindingKind.DARK, path))
    return findings


def _same_pictures(places: Sequence[Place], digests: Sequence[bytes]) -> list[Finding]:
    first: dict[bytes, Place] = {}
    findings = []
    for place, digest in zip(places, digests, strict=True):
        if not digest:
            continue
        other = first.setdefault(digest, place)
        if other is place:
            continue
        if other.data_set != place.data_set:
            findings.append(Finding(FindingKind.NEAR_SETS, place.path, "identical pixels", other.path))
        elif other.split != place.split:
            sentence = (
                f"{place.path}: in the {place.split} split, but its pixels are those of {other.path} in the "
                f"{other.split} split; keep the picture in one of them"
            )
            findings.append(Finding(FindingKind.LEAK, place.path, sentence, other.path))
        else:
            kind = FindingKind.SAME_PICTURE if other.fold == place.fold else FindingKind.SAME_FOLDS
            findings.append(Finding(kind, place.path, "identical pixels", other.path))
    return findings


def _near(one: Place, other: Place, correlated: float) -> Finding:
    if one.data_set != other.data_set:
        kind = FindingKind.NEAR_SETS
    elif one.split != other.split:
        kind = FindingKind.NEAR_SPLITS
    else:
        kind = FindingKind.NEAR if one.fold == other.fold else FindingKind.NEAR_FOLDS
    return Finding(kind, one.path, f"correlation {correlated:.2f}", other.path, correlated)


def _imbalance(data_set: DataSet, pixels: Counter[int]) -> list[Finding]:
    classes = sorted(data_set.labels.classes or {value for value in pixels if value})
    if not pixels or len(classes) < 2:
        return []
    absent = [value for value in classes if not pixels[value]]
    if absent:
        return [Finding(FindingKind.IMBALANCE, data_set.name, f"class {absent[0]} has no pixel")]
    rarest, commonest = min(classes, key=pixels.__getitem__), max(classes, key=pixels.__getitem__)
    ratio = pixels[commonest] / pixels[rarest]
    if ratio < IMBALANCE:
        return []
    text = f"class {commonest} has {ratio:.0f} times the pixels of class {rarest}"
    return [Finding(FindingKind.IMBALANCE, data_set.name, text)]
