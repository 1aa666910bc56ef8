"""Remember what a check found in a file, so that a file that did not change is not decoded again.

An SQLite database in the user's cache folder holds a row for each item: the hash of its paths, the stamps of its files
(size, time of modification, time of the last change of the inode) and what was found. Rows are written in transactions,
512 items at once, so a check that is killed leaves what it had done. A damaged database is made anew; where it cannot
be written, everything is read each time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from custom_networks.data.checking.examine import Examined, Labels
from custom_networks.data.checking.findings import Finding, FindingKind
from custom_networks.data.images import decoders
from custom_networks.files import user_cache

logger = logging.getLogger(__name__)

NAME = "checks.sqlite3"
_SETTLED = 2.0  # seconds since a file's last change: the coarsest clock of a file system
_PATIENCE = 30.0  # seconds to wait for another process that writes
_PARTS = ("image", "label", "types")
_PLAIN = tuple(  # fields that JSON gives back as they were
    {field.name for field in dataclasses.fields(Examined)}
    - {"findings", "pixels_digest", "thumbnail", "foreground", "class_pixels"}
)
_TABLE = "CREATE TABLE IF NOT EXISTS checks (item BLOB PRIMARY KEY, state BLOB, content TEXT) WITHOUT ROWID"

ExaminationKey = tuple[bytes, bytes]  # of the item, and of the state of its files


class CheckMemory:
    """What was found in each item before.

    Args:
        path: of the database; in the user's cache folder by default.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_cache() / NAME

    def recall(self, keys: Sequence[ExaminationKey | None]) -> list[Examined | None]:
        """Return what was found in items whose files did not change since; None for all others."""
        found: dict[bytes, tuple[bytes, str]] = {}
        wanted = [key[0] for key in keys if key is not None]
        if wanted and self.path.is_file():
            marks = ",".join("?" * len(wanted))
            rows = self._run(lambda db: db.execute(f"SELECT * FROM checks WHERE item IN ({marks})", wanted).fetchall())
            found = {item: (state, content) for item, state, content in rows or ()}
        return [
            _read(found[key[0]][1]) if key is not None and found.get(key[0], (None,))[0] == key[1] else None
            for key in keys
        ]

    def remember(self, results: Iterable[tuple[ExaminationKey | None, Examined]]) -> None:
        """Keep what was found; errors are not kept, so that they are looked for again."""
        rows = [
            (*key, _written(examined))
            for key, examined in results
            if key is not None and not any(finding.kind.is_error for finding in examined.findings)
        ]
        if rows:
            self._run(lambda db: db.executemany("INSERT OR REPLACE INTO checks VALUES (?, ?, ?)", rows))

    def _run(self, action: Any) -> Any:
        """Open the database and do something in a transaction; None where that is impossible."""
        for attempt in (1, 2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with closing(sqlite3.connect(self.path, timeout=_PATIENCE)) as database, database:
                    database.execute(_TABLE)
                    return action(database)
            except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, full
                logger.info("%s: not used (%s); every file is read", self.path, error)
                return None
            except sqlite3.DatabaseError as error:
                logger.warning("%s: damaged (%s); made anew", self.path, error)
                if attempt == 2:
                    return None
                self.path.unlink(missing_ok=True)
                self.path.with_name(f"{NAME}-journal").unlink(missing_ok=True)
        return None


def examination_key(item: Mapping[str, Any], labels: Labels) -> ExaminationKey | None:
    """Name an item and the state of its files; None where a file is missing, or changed a moment ago.

    A file written again within one tick of the file system's clock has the same stamp. An upgrade of what decodes or
    checks is another name.
    """
    paths = [os.path.abspath(str(item[part])) for part in _PARTS if part in item]  # noqa: PTH100  100,000 of them
    try:
        states = [os.stat(path) for path in paths]  # noqa: PTH116
    except (OSError, ValueError):
        return None
    if any(time.time() - max(state.st_mtime, state.st_ctime) < _SETTLED for state in states):
        return None
    declared = sorted(labels.classes) if labels.classes is not None else None
    name = [decoders(), paths, item.get("sha256"), [part in item for part in _PARTS], labels.kind, declared]
    stamps = [(state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in states]
    return _digest(name), _digest(stamps)


def _digest(content: Any) -> bytes:
    return hashlib.blake2b(json.dumps(content).encode("utf-8", "surrogateescape"), digest_size=16).digest()


def _written(examined: Examined) -> str:
    return json.dumps(
        {
            "findings": [{**dataclasses.asdict(each), "kind": each.kind.name} for each in examined.findings],
            "pixels_digest": examined.pixels_digest.hex(),
            **{name: getattr(examined, name) for name in ("foreground", "class_pixels", *_PLAIN)},
        }
    )


def _read(content: str) -> Examined | None:
    try:
        known = json.loads(content)
        return Examined(
            findings=[Finding(**{**each, "kind": FindingKind[each["kind"]]}) for each in known["findings"]],
            pixels_digest=bytes.fromhex(known["pixels_digest"]),
            foreground=(known["foreground"][0], known["foreground"][1]),
            class_pixels={int(value): count for value, count in known["class_pixels"].items()},
            **{name: known[name] for name in _PLAIN},
        )
    except (ValueError, KeyError, TypeError, IndexError):
        return None
