"""The weights: those the server started with, version 0, and fine-tuned ones beside them, with roll-back.

In `annotations/models/`:

- 0001/model.pt and model.json: fine-tuned weights, only where they were published
- 0001/about.json: Dice before and after, on how many labels they were trained
- active.json: the version in use
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from annotate.errors import Conflict, NotFound, Unavailable
from annotate.records import numbered, read_record
from custom_networks.errors import UserError
from custom_networks.files import sha256, write_atomically, write_json
from custom_networks.prediction.outputs.coco import LESION
from custom_networks.weights import record_of, trained_classes
from custom_networks.weights.reading import trained_codes
from custom_networks.weights.segments import SegmentCode

ABOUT, ACTIVE = "about.json", "active.json"


@dataclass(frozen=True)
class Model:
    """A version of the weights.

    Args:
        version: 0 for those the server started with.
        published: whether its weights are kept, and may be used.
        dice: on the held-out images, None where it was not measured.
        trained_on: how many labels.
        when: UTC, ISO 8601.
        before: Dice of the version before it on the same images.
        sha256: of the weights.
        run: name of the fine-tuning's folder in `annotations/training`.
        checkpoint: their file.
    """

    version: int
    published: bool = True
    dice: float | None = None
    trained_on: int = 0
    when: str = ""
    before: float | None = None
    sha256: str = ""
    run: str = ""
    checkpoint: Path = field(default_factory=Path)

    def as_dict(self) -> dict[str, Any]:
        """What a client is told; no paths."""
        return {name: value for name, value in asdict(self).items() if name not in ("checkpoint", "run")}


class Models:
    """The versions of the weights.

    Args:
        folder: `annotations/models`.
        shipped: weights that the server starts with; the file may be missing.
    """

    def __init__(self, folder: Path, shipped: Path) -> None:
        self.folder = folder
        self.shipped = shipped
        self._lock = threading.RLock()
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._guided: dict[str, bool] = {}
        self._damaged: set[str] = set()
        self._classes: dict[str, dict[int, str]] = {}
        for leftover in folder.glob(".new-*") if folder.is_dir() else []:
            shutil.rmtree(leftover, ignore_errors=True)

    def all(self) -> list[Model]:
        """Every version, oldest first."""
        with self._lock:
            found = []
            if self.shipped.is_file():
                found.append(
                    Model(0, dice=_dice(self.shipped), sha256=self._hash(self.shipped), checkpoint=self.shipped)
                )
            for number, place in numbered(self.folder).items():
                content = read_record(place / ABOUT)
                weights = place / "model.pt"
                if content:
                    published = bool(content.get("published")) and weights.is_file()
                    digest = self._hash(weights) if published else ""
                    known: dict[str, Any] = {key: content.get(key) for key in ("dice", "trained_on", "when", "before")}
                    known["run"] = str(content.get("run", ""))
                    found.append(Model(number, published, sha256=digest, checkpoint=weights, **known))
            return found

    def active(self) -> Model | None:
        """The version in use; None where there are no weights yet.

        It is the one that was chosen, else that of the start, else the newest; fine-tuned ones that cannot be read are
        passed over.
        """
        usable = {model.version: model for model in self.all() if model.published}
        order = [self.chosen(), 0, *sorted(usable, reverse=True)]
        return next((usable[n] for n in order if n in usable and (n == 0 or self._loads(usable[n]))), None)

    def chosen(self) -> int | None:
        """Number of the version that was chosen last; None where none was, or the record cannot be read."""
        number = read_record(self.folder / ACTIVE).get("version")
        return number if isinstance(number, int) else None

    def damaged(self) -> list[Path]:
        """Records of fine-tuned weights that cannot be read."""
        return [place / ABOUT for place in numbered(self.folder).values() if not read_record(place / ABOUT)]

    def required(self) -> Model:
        """The version in use; raises Unavailable where there are no weights."""
        found = self.active()
        if found is None:
            raise Unavailable(
                f"there are no weights yet ({self.shipped} is missing); train with `sgdnet train`, or draw labels and "
                "start fine-tuning"
            )
        return found

    def activate(self, version: int) -> Model:
        """Use a version from now on; raises NotFound, or Conflict for one whose weights were not published."""
        found = next((model for model in self.all() if model.version == version), None)
        if found is None:
            raise NotFound(f"no model {version}; there are {', '.join(str(m.version) for m in self.all()) or 'none'}")
        if not found.published:
            raise Conflict(f"model {version} was worse on the held-out images and was not published; choose another")
        if version and not self._loads(found):
            raise Conflict(f"model {version}: its weights are damaged; choose another")
        write_json(self.folder / ACTIVE, {"version": version})
        return found

    def add(self, weights: Path, about: dict[str, Any]) -> Model:
        """Keep the result of a fine-tuning, and use it where it was published.

        Args:
            weights: `model.pt`, with `model.json` beside it.
            about: published, dice, before, trained_on, when, run.

        Returns:
            The version; weights that were not published are not kept.
        """
        with self._lock:
            number = 1 + max(numbered(self.folder), default=0)
            temporary = self.folder / f".new-{number:04}"
            shutil.rmtree(temporary, ignore_errors=True)
            write_json(temporary / ABOUT, about)
            if about["published"]:
                for file in (weights, weights.with_suffix(".json")):
                    write_atomically(temporary / f"model{file.suffix}", _copier(file))
            temporary.rename(self.folder / f"{number:04}")
            if about["published"]:
                self.activate(number)
            return next(model for model in self.all() if model.version == number)

    def takes_clicks(self, model: Model) -> bool:
        """Whether a version's weights are those of a network that takes guidance."""
        if model.sha256 not in self._guided:
            try:
                from custom_networks.weights import takes_clicks
            except ImportError:
                return False
            self._guided[model.sha256] = takes_clicks(model.checkpoint)
        return self._guided[model.sha256]

    def classes(self) -> dict[int, str]:
        """Names of the classes of the version in use; {1: "lesion"} where it has one without a name."""
        found = self.active()
        if found is None:
            return LESION
        if found.sha256 not in self._classes:
            try:
                self._classes[found.sha256] = trained_classes(found.checkpoint) or LESION
            except UserError:
                self._classes[found.sha256] = LESION
        return self._classes[found.sha256]

    def codes(self, classes: Mapping[int, str]) -> dict[int, SegmentCode]:
        """DICOM codes of classes, as far as the weights in use know them: those of the same number and name.

        Args:
            classes: names by number from 1.

        Returns:
            The codes by number; none without weights.
        """
        found, named = self.active(), self.classes()
        if found is None:
            return {}
        try:
            known = trained_codes(found.checkpoint)
        except UserError:
            return {}
        return {
            number: code for number, code in known.items() if number in classes and classes[number] == named[number]
        }

    def _loads(self, model: Model) -> bool:
        """Whether a version's weights can be read; tried once for each file."""
        if model.sha256 in self._damaged:
            return False
        try:
            self.takes_clicks(model)
        except UserError:
            self._damaged.add(model.sha256)
            return False
        return True

    def _hash(self, path: Path) -> str:
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = sha256(path)
        return self._hashes[key]


def _dice(weights: Path) -> float | None:
    """Dice of the best epoch, as the record of weights has it."""
    try:
        return record_of(weights).metrics.get("val_mean_dice")
    except UserError:
        return None


def _copier(source: Path) -> Any:
    def copy(target: Any) -> None:
        with source.open("rb") as file:
            shutil.copyfileobj(file, target)

    return copy
