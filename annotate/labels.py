"""Labels: every version of every image, who drew it and how, and what state the image is in.

In `annotations/labels/NAME/`:

- 0001.png: class of each pixel, 0 for background
- 0001.json: who, when, which model, clicks, seconds; a version exists when this file does
- state.json: skipped or flagged, with a comment; it holds until the next version

All files are written atomically, a version's PNG before its JSON: a server killed in between leaves an unused PNG. A
JSON that cannot be read is told at the start, and its number is never given again.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from annotate.errors import ClientError, Conflict, NotFound, Unfit
from annotate.records import numbered, read_record
from custom_networks.data.formats import read
from custom_networks.errors import UserError
from custom_networks.files import write_atomically, write_json

STATES = ("unlabelled", "labelled", "skipped", "flagged")
STATE_FILE = "state.json"
MAX_CLICKS = 10_000


@dataclass(frozen=True)
class Version:
    """A label of an image.

    Args:
        version: number, from 1.
        by: the annotator.
        when: UTC, ISO 8601.
        model: version of the model whose proposal was corrected; None where drawn by hand.
        clicks: [{x, y, positive, t}] in the order they were made.
        scribbles: how many.
        seconds: of work on the image for this version.
        sha256: of the PNG.
        restored_from: number of the version that this one brings back.
        comment: of the annotator.
        base_version: the version that was corrected, 0 for none.
    """

    version: int
    by: str
    when: str
    model: Any = None
    clicks: list[dict[str, Any]] = field(default_factory=list)
    scribbles: int = 0
    seconds: float = 0.0
    sha256: str = ""
    restored_from: int | None = None
    comment: str = ""
    base_version: int = 0


@dataclass(frozen=True)
class State:
    """What the annotator said of an image.

    Args:
        state: one of `STATES`.
        comment: of the annotator.
        by: the annotator.
        when: UTC, ISO 8601.
        at_version: newest version then; a later one ends the state.
    """

    state: str
    comment: str = ""
    by: str = ""
    when: str = ""
    at_version: int = 0


_VERSION, _STATE = TypeAdapter(Version), TypeAdapter(State)


class LabelStore:
    """The labels of a studies folder; one process at a time may use it.

    Args:
        folder: `annotations/labels`.

    Attributes:
        damaged: records that could not be read at the start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._versions: dict[str, list[Version]] = {}
        self._states: dict[str, State] = {}
        self.damaged: list[Path] = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.is_dir():
                self._load(path)

    def versions(self, name: str) -> list[Version]:
        """Versions of an image, newest last."""
        return list(self._versions.get(name, ()))

    def newest(self, name: str) -> Version | None:
        """Newest version of an image, None without any."""
        found = self._versions.get(name)
        return found[-1] if found else None

    def state(self, name: str) -> State:
        """State of an image: what the annotator said last, else labelled or unlabelled."""
        newest = self.newest(name)
        number = newest.version if newest else 0
        said = self._states.get(name)
        if said is not None and said.at_version == number:
            return said
        if newest is None:
            return State("unlabelled")
        return State("labelled", newest.comment, newest.by, newest.when, number)

    def labelled(self, names: Mapping[str, Any]) -> list[str]:
        """Those of some images whose newest label counts, in the order in which they were first labelled."""
        found = [name for name in names if self.state(name).state in ("labelled", "flagged") and self.newest(name)]
        return sorted(found, key=lambda name: (self._versions[name][0].when, name))

    def get(self, name: str, number: int | None = None) -> Version:
        """Return a version; None for the newest; raises NotFound."""
        found = self._versions.get(name, [])
        if number is None and found:
            return found[-1]
        for version in found:
            if version.version == number:
                return version
        what = "no label yet" if number is None else f"no version {number}"
        raise NotFound(f"{name}: {what}" + (f"; there are {len(found)}" if found else ""))

    def path(self, name: str, number: int | None = None) -> Path:
        """Path of a version's PNG; raises NotFound."""
        return self._file(name, self.get(name, number).version, ".png")

    def submit(self, name: str, pixels: NDArray[np.integer], by: str, about: Mapping[str, Any]) -> Version:
        """Store a new version.

        Args:
            name: of the image.
            pixels: (H, W), class of each pixel.
            by: the annotator.
            about: base_version, the newest that the annotator has seen, and `Version`'s model, clicks, scribbles,
                seconds and comment.

        Returns:
            The version.

        Raises:
            Conflict: when base_version is not the newest; nothing is written.
            Unfit: for an `about` that holds anything else.
        """
        checked = checked_about(about)
        with self._lock:
            newest = self.newest(name)
            number = newest.version if newest else 0
            _refuse_stale(name, checked["base_version"], newest)
            return self._write(name, label_png(pixels), Version(number + 1, by, now(), **checked))

    def restore(self, name: str, number: int, by: str, base: int | None = None) -> Version:
        """Bring an old version back as a new one.

        Args:
            name: of the image.
            number: of the old version.
            by: the annotator.
            base: newest version that the annotator has seen; None goes on top of whatever is the newest.

        Returns:
            The new version.

        Raises:
            NotFound: without such a version.
            Conflict: when base is not the newest; nothing is written.
        """
        with self._lock:
            old = self.get(name, number)
            _refuse_stale(name, base, self.newest(name))
            newest = self.get(name).version
            made = Version(newest + 1, by, now(), old.model, restored_from=number, base_version=newest)
            return self._write(name, self.path(name, number).read_bytes(), made)

    def set_state(self, name: str, state: str, comment: str, by: str, base: int | None = None) -> State:
        """Skip or flag an image, or take it back to unlabelled.

        Args:
            name: of the image.
            state: skipped, flagged or unlabelled.
            comment: of the annotator.
            by: the annotator.
            base: newest version that the annotator has seen; None marks the image whatever is the newest.

        Returns:
            The state.

        Raises:
            Unfit: for another state.
            Conflict: when base is not the newest; nothing is written.
        """
        if state not in ("unlabelled", "skipped", "flagged"):
            raise Unfit(f"state {state[:40]!r}: must be skipped, flagged or unlabelled")
        with self._lock:
            newest = self.newest(name)
            _refuse_stale(name, base, newest)
            said = State(state, comment[:2000], by, now(), newest.version if newest else 0)
            write_json(self.folder / name / STATE_FILE, asdict(said))
            self._states[name] = said
            return said

    def _write(self, name: str, png: bytes, version: Version) -> Version:
        taken = max(numbered(self.folder / name, ".json"), default=0)  # by a record that cannot be read, perhaps
        number = max(version.version, taken + 1)
        version = replace(version, version=number, sha256=hashlib.sha256(png).hexdigest())
        write_atomically(self._file(name, version.version, ".png"), lambda file: file.write(png))
        write_json(self._file(name, version.version, ".json"), asdict(version))
        self._versions.setdefault(name, []).append(version)
        return version

    def _file(self, name: str, number: int, ending: str) -> Path:
        return self.folder / name / f"{number:04}{ending}"

    def _load(self, path: Path) -> None:
        for leftover in path.glob(".[0-9]*-*"):  # of a write that a kill cut short
            leftover.unlink(missing_ok=True)
        found = []
        for number, file in numbered(path, ".json").items():
            try:
                version = replace(_VERSION.validate_python(read_record(file)), version=number)
            except ValidationError:
                self.damaged.append(file)
                continue
            if file.with_suffix(".png").is_file():
                found.append(version)
            else:
                self.damaged.append(file.with_suffix(".png"))
        if found:
            self._versions[path.name] = found
        file = path / STATE_FILE
        if file.is_file():
            try:
                self._states[path.name] = _STATE.validate_python(read_record(file))
            except ValidationError:
                self.damaged.append(file)


def read_label(data: bytes, size: tuple[int, int], classes: int, any_foreground: bool = False) -> NDArray[np.uint16]:
    """Decode an uploaded label.

    Args:
        data: a PNG of one grey channel.
        size: width and height that it must have.
        classes: largest class number.
        any_foreground: with one class, whether every value but 0 is foreground, as other clients write masks.

    Returns:
        (H, W), class of each pixel.

    Raises:
        Unfit: for anything else.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.format not in ("PNG", "TIFF", "BMP"):
                raise Unfit(f"the label is a {opened.format} file; send a PNG, which loses nothing")
            if opened.size != tuple(size):
                raise Unfit(
                    f"the label has {opened.size[0]} x {opened.size[1]} pixels, its image {size[0]} x {size[1]}"
                )
        values = np.asarray(read("label", "classes", data=data).image)
    except ClientError:
        raise
    except UserError as error:
        raise Unfit(str(error)) from None
    except Exception:  # PIL raises nearly anything on damaged bytes
        raise Unfit("the label is no PNG; send one grey channel with the class of each pixel") from None
    if any_foreground and classes == 1:
        values = (values > 0).astype(np.uint16)
    if values.max() > classes:
        raise Unfit(f"the label holds class {values.max()}, the classes end at {classes}; use 0 for background")
    return values.astype(np.uint16)


def label_png(pixels: NDArray[np.integer]) -> bytes:
    """Encode classes (H, W) as PNG of 8 bits, 16 where a class is above 255."""
    kind = np.uint8 if not pixels.size or pixels.max() <= 255 else np.uint16
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(kind)).save(buffer, "PNG")
    return buffer.getvalue()


def checked_about(about: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a client says of its label; raises Unfit naming the field."""
    known = {"base_version", "model", "clicks", "scribbles", "seconds", "comment"}
    unknown = sorted(set(map(str, about)) - known)
    if unknown:
        raise Unfit(f"about: no field {unknown[0][:40]!r}; known are {', '.join(sorted(known))}")
    clicks = about.get("clicks") or []
    if not isinstance(clicks, list) or len(clicks) > MAX_CLICKS or not all(map(_is_click, clicks)):
        raise Unfit("about: clicks must be a list of {x, y, positive, t}")
    model = about.get("model")
    if model is not None and not isinstance(model, int | str):
        raise Unfit("about: model must be a version")
    if isinstance(model, str):
        model = model[:100]
    comment = about.get("comment") or ""
    if not isinstance(comment, str):
        raise Unfit("about: comment must be text")
    return {
        "base_version": int(_number(about, "base_version", 10**9)),
        "model": model,
        "clicks": [{key: click[key] for key in ("x", "y", "positive", "t") if key in click} for click in clicks],
        "scribbles": int(_number(about, "scribbles", 10**6)),
        "seconds": round(float(_number(about, "seconds", 10**7)), 3),
        "comment": comment[:2000],
    }


def _refuse_stale(name: str, base: int | None, newest: Version | None) -> None:
    """Raise Conflict, with who was faster and when, where an annotator has seen another version than the newest."""
    number = newest.version if newest else 0
    if base is None or base == number:
        return
    said = f"version {number} by {newest.by}" if newest else "no version"
    raise Conflict(
        f"{name}: based on version {base}, but there is {said} now; compare the two, "
        f"then send it again with base_version {number}",
        current={"version": number, "by": newest.by, "when": newest.when} if newest else None,
    )


def now() -> str:
    """Present time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _number(about: Mapping[str, Any], name: str, limit: float) -> float:
    value = about.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise Unfit(f"about: {name} must be a number from 0 to {limit:g}")
    return value


def _is_click(click: Any) -> bool:
    if not isinstance(click, dict):
        return False
    numbers = [click.get("x"), click.get("y"), click.get("t", 0)]
    return all(isinstance(value, int | float) and abs(value) < 1e12 for value in numbers)
