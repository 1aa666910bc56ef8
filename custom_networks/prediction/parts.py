"""A share of the images of a run: `--part 2/4` is the second of four processes, on one machine or several."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from custom_networks.errors import UserError

WHOLE_JOURNAL, WHOLE_LOCK = "predict.jsonl", ".predict.lock"
_JOURNAL = re.compile(r"predict-(\d+)-of-(\d+)\.jsonl")


@dataclass(frozen=True)
class Part:
    """Which share of the images a process predicts.

    Args:
        number: of the part, from 1.
        count: of all parts; 1 is the whole.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Part:
        """Read `2/4`; None is the whole. Raises UserError for anything else."""
        match = re.fullmatch(r"\s*(\d{1,5})\s*/\s*(\d{1,5})\s*", "1/1" if text is None else str(text))
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count:
            raise UserError(f"--part {text}: must be a part of all, such as 1/4, 2/4, 3/4 and 4/4")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def journal(self) -> str:
        """Name of its journal."""
        return WHOLE_JOURNAL if self.count == 1 else f"predict-{self.number}-of-{self.count}.jsonl"

    @property
    def lock(self) -> str:
        """Name of the lock that its process holds."""
        return WHOLE_LOCK if self.count == 1 else f".predict-{self.number}-of-{self.count}.lock"

    @property
    def all(self) -> list[Part]:
        """Every part of the same division."""
        return [replace(self, number=number) for number in range(1, self.count + 1)]

    def has(self, name: str) -> bool:
        """Tell whether an image is of this part, by its name alone: images that are added later move no other."""
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


def refuse_other_division(folder: Path, part: Part) -> None:
    """Raise UserError where a folder was predicted in another number of parts."""
    found = _divisions(folder)
    other = next(iter(sorted(found - {part.count})), None)
    if other == 1:
        raise UserError(f"{folder}: was predicted as a whole; leave --part {part} out, or give another --output")
    if other is not None:
        raise UserError(
            f"{folder}: was predicted in {other} parts; give --part 1/{other} and so on, or another --output"
        )


def division(folder: Path) -> int | None:
    """In how many parts a folder was predicted, 1 for the whole; None where it was not."""
    return next(iter(sorted(_divisions(folder))), None)


def _divisions(folder: Path) -> set[int]:
    journals = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = {int(match[2]) for match in map(_JOURNAL.fullmatch, journals) if match}
    return found | ({1} if WHOLE_JOURNAL in journals else set())
