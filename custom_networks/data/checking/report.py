"""The report of a check: a table to read, and the same as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from custom_networks.data.checking.findings import Finding, FindingKind
from custom_networks.data.checking.run import Report

EXAMPLES = 3  # files named for each kind; the JSON names all


def as_table(report: Report) -> str:
    """Write the report for a terminal: the sets, then errors, then warnings, each kind with its count and fix."""
    lines = []
    for number, (name, splits) in enumerate(report.data_sets):
        counts = ", ".join(f"{count} {split}" for split, count in splits.items() if count) or "no items"
        shares = report.shares[number]
        middle = f"; foreground {statistics.median(shares):.1%} of the median image" if shares else ""
        lines.append(f"{name}: {counts}{middle}")
    for title, is_error in (("Errors", True), ("Warnings", False)):
        groups = _groups(finding for finding in report.findings if finding.kind.is_error == is_error)
        if groups:
            lines += ["", title]
        for kind, findings in groups:
            lines.append(f"  {len(findings):>6}  {kind.what}: {kind.fix}")
            shown = sorted(findings, key=lambda finding: -(finding.correlation or 1))[:EXAMPLES]  # the surest first
            lines += [f"          {_example(finding)}" for finding in shown]
            if len(findings) > EXAMPLES:
                lines.append(f"          ... and {len(findings) - EXAMPLES} more")
    errors = len(report.errors)
    warnings = len(report.findings) - errors
    total = sum(count for _, splits in report.data_sets for count in splits.values())
    lines += [
        "",
        f"{total} items in {report.seconds:.1f} s: {_plural(errors, 'error')}, {_plural(warnings, 'warning')}",
    ]
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    """Write the report with every finding named."""
    return {
        "data_sets": [
            {
                "name": name,
                "items": splits,
                "median_foreground_share": statistics.median(shares) if shares else None,
            }
            for (name, splits), shares in zip(report.data_sets, report.shares, strict=True)
        ],
        "seconds": round(report.seconds, 2),
        "errors": len(report.errors),
        "warnings": len(report.findings) - len(report.errors),
        "findings": [
            {
                "kind": finding.kind.name.lower(),
                "error": finding.kind.is_error,
                "path": finding.path,
                **({"other": finding.other} if finding.other else {}),
                "what": finding.kind.what,
                **({"detail": finding.detail} if finding.detail else {}),
                **({} if finding.correlation is None else {"correlation": round(finding.correlation, 4)}),
                "fix": finding.kind.fix,
            }
            for finding in report.findings
        ],
    }


def _groups(findings: Iterable[Finding]) -> list[tuple[FindingKind, list[Finding]]]:
    groups: dict[FindingKind, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    return [(kind, groups[kind]) for kind in FindingKind if kind in groups]


def _example(finding: Finding) -> str:
    if finding.kind.is_error:
        return finding.sentence
    pair = f" and {finding.other}" if finding.other else ""
    return f"{finding.path}{pair}{f' ({finding.detail})' if finding.detail else ''}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
