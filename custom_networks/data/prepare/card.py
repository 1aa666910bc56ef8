"""The data card: what a prepared data set holds, in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from custom_networks.data.datalist import SPLITS, Datalist, ListedImage, Split
from custom_networks.data.prepare.cases import DataSetKind


def write_card(
    kind: DataSetKind,
    datalist: Datalist,
    facts: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    findings: Sequence[str],
) -> str:
    """Write the data card.

    Args:
        kind: of the data set.
        datalist: the lists as they are written.
        facts: of each case by its id, as `cache.read_case` gives them.
        settings: of this run.
        findings: of the checks, a sentence each.

    Returns:
        Markdown: source, licence and citation, counts, sizes, foreground shares, checks, settings.
    """
    lists = {name: listed for name in SPLITS if (listed := datalist.listed(name))}
    known = [facts[image.id] for image in datalist.listed() if image.id is not None and image.id in facts]
    lines = [
        f"# {kind.title or settings['kind']}",
        "",
        f"- Source: {settings['source']}",
        f"- Licence: {kind.licence or 'not known to this program; add it before sharing'}",
        f"- Cite: {kind.reference or 'not known to this program'}",
        f"- Labels: {datalist.label_kind}",
    ]
    if datalist.classes:
        lines.append("- Classes: " + ", ".join(f"{number} {name}" for number, name in datalist.classes.items()))
    lines += ["", "## Lists", "", *_lists(lists, facts)]
    if known:
        lines += ["", "## Images", "", *_images(known, settings)]
    lines += ["", "## Checks", "", *([f"- {finding}" for finding in findings] or ["- nothing found"])]
    lines += ["", "## Settings", "", *(f"- {name}: {value}" for name, value in settings.items())]
    return "\n".join(lines) + "\n"


def _lists(lists: Mapping[Split, Sequence[ListedImage]], facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Table of the lists and of the training list's folds."""
    rows = ["| list | images | groups | foreground share: quartiles | without foreground |", "|---|---|---|---|---|"]
    for name, items in lists.items():
        rows.append(_row(name, items, facts))
        folds = sorted({item.fold for item in items if item.fold is not None})
        rows += [_row(f"fold {fold}", [item for item in items if item.fold == fold], facts) for fold in folds]
    return rows


def _row(name: str, items: Sequence[ListedImage], facts: Mapping[str, Mapping[str, Any]]) -> str:
    shares = [facts[item.id]["share"] for item in items if item.id is not None and item.id in facts]
    quartiles = ", ".join(f"{value:.1%}" for value in np.percentile(shares, (25, 50, 75))) if shares else "not read"
    groups = len({item.group for item in items})
    return f"| {name} | {len(items)} | {groups} | {quartiles} | {sum(share == 0 for share in shares)} |"


def _images(known: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[str]:
    sizes = Counter(tuple(case["size"]) for case in known)
    common = ", ".join(f"{width} x {height} ({count})" for (width, height), count in sizes.most_common(3))
    more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
    shares = [case["share"] for case in known]
    low, first, median, third, high = np.percentile(shares, (0, 25, 50, 75, 100))
    lines = [
        f"- Sizes (width x height) as found: {common}{more}",
        f"- Foreground share: {low:.1%} to {high:.1%}, median {median:.1%}, quartiles {first:.1%} and {third:.1%}",
    ]
    if any("objects" in case for case in known):
        objects = [case.get("objects", 0) for case in known]
        lines.append(f"- Objects: {sum(objects)}, median {np.median(objects):g} an image, at most {max(objects)}")
    spacings = {tuple(case["spacing"]) for case in known if "spacing" in case}
    if spacings:
        least, most = min(map(min, spacings)), max(map(max, spacings))
        lines.append(f"- Pixel spacing: {least:g} to {most:g} mm")
    if settings["image_size"]:
        how = "short side, aspect kept" if settings["fit"] == "short" else "both sides"
        lines.append(f"- Copies: PNG of {settings['image_size']} pixels ({how})")
    return lines
