"""The quick part of the check, before every training: all of it but the search for near-duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from custom_networks.data.checking.examine import Labels
from custom_networks.data.checking.findings import FindingKind
from custom_networks.data.checking.read import DataSet
from custom_networks.data.checking.run import run_check
from custom_networks.errors import UserError


class Checked(NamedTuple):
    """What a check without errors found.

    Attributes:
        notices: one for each kind of warning: what it is, how often, and an example.
        bit_depth: of the images, see `decided_depth`.
    """

    notices: list[str]
    bit_depth: int | None


def check_items(
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    labels: Labels | None = None,
    num_workers: int | None = None,
    leaks_are_errors: bool = True,
    bit_depth: int | None = None,
) -> Checked:
    """Check each pair of image and mask, and the splits against each other; files are decoded once, in threads.

    Those that an earlier check has decoded, and that did not change since, are not decoded again.

    Args:
        splits: items `{"image": path, "label": path}` of each split; without "label", only the image is read.
        labels: what the labels should hold; binary masks by default.
        num_workers: threads; None takes one for each core this process may use, 8 at most.
        bit_depth: declared for grey images stored in 16 bits; None where the files are to tell.
        leaks_are_errors: false counts a picture in two splits among the notices, since an official split has it so.

    Returns:
        What is worth knowing.

    Raises:
        UserError: for the first error in the order of the items, with the count of the others.
    """
    data_set = DataSet(
        "data",
        {name: [dict(item) for item in items] for name, items in splits.items()},
        labels or Labels(),
        bit_depth=bit_depth,
    )
    report = run_check([data_set], near_duplicates=False, num_workers=num_workers, remembered=True)
    errors = [finding for finding in report.errors if leaks_are_errors or finding.kind is not FindingKind.LEAK]
    if errors:
        count = len(errors) - 1
        raise UserError(f"{errors[0].sentence}{f' (and {count} more with errors)' if count else ''}")
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for finding in report.findings:
        what = finding.detail if finding.detail and not finding.other else finding.kind.what
        counts[what] = counts.get(what, 0) + 1
        examples.setdefault(what, Path(finding.path).name if finding.kind is not FindingKind.IMBALANCE else "")
    notices = [f"{what}: {count}, e.g. {examples[what]}" if examples[what] else what for what, count in counts.items()]
    return Checked(notices, report.bit_depth[0])
