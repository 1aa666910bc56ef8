"""What a campaign counts, for one table at its end: `python tests/campaign_counts.py REPORT.xml ...`.

Tests record their counts as properties, which pytest writes into its JUnit reports (`--junitxml`).
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Iterable

THIRDS = ("in the first third", "second", "last")
COLUMNS = ("inputs", "answered well", "hangs", "tracebacks", "kills", *THIRDS, "chains", "ends equal")
Counts = dict[str, dict[str, int]]
Record = Callable[[str, object], None]
"""The fixture `record_property`."""
_PROPERTY = "campaign"


def count(record: Record, verb: str, column: str, number: int = 1) -> None:
    """Count for the table.

    Args:
        record: the fixture `record_property` of the test.
        verb: of the command.
        column: one of `COLUMNS`.
        number: to be added.
    """
    record(_PROPERTY, f"{verb}|{column}|{number}")


def count_kills(record: Record, verb: str, shares: Iterable[float]) -> None:
    """Count processes that were killed while they ran, in all and by the third of their work in which they were hit.

    Args:
        record: the fixture `record_property` of the test.
        verb: of the command.
        shares: of an uninterrupted run's time, 0 to 1, after which each was hit.
    """
    for share in shares:
        count(record, verb, "kills")
        count(record, verb, THIRDS[min(int(3 * share), 2)])


def counted(reports: Iterable[str]) -> tuple[Counts, int]:
    """Sum up the counts of reports by verb and column, and the tests that failed."""
    counts: Counts = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    failed = 0
    for report in reports:
        root = ElementTree.parse(report).getroot()  # our own report, just written
        failed += len([*root.iter("failure"), *root.iter("error")])
        for found in root.iter("property"):
            if found.get("name") == _PROPERTY:
                verb, column, number = str(found.get("value")).split("|")
                counts[verb][column] += int(number)
    return counts, failed


def table(counts: Counts) -> str:
    """Write the counts as text, with their sums below."""
    sums = {column: sum(row[column] for row in counts.values()) for column in COLUMNS}
    rows = [("verb", {column: column for column in COLUMNS}), *sorted(counts.items()), ("all", sums)]
    return "\n".join(
        f"{verb:<10}" + "".join(f"{row[column]:>{len(column) + 2}}" for column in COLUMNS) for verb, row in rows
    )


if __name__ == "__main__":
    found, failures = counted(sys.argv[1:])
    print(table(found))
    print(f"{failures} tests failed")
    sys.exit(1 if failures or not found else 0)
