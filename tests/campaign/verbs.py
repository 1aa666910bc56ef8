"""Run the verbs that read data sets, in this process, and say what came of it."""

from __future__ import annotations

import hashlib
import io
import signal
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
from data_sets import Layout

from custom_networks.cli import main
from custom_networks.data import checked_datalist, class_count, label_kind
from custom_networks.errors import UserError
from custom_networks.evaluation import evaluation_set

nib.imageglobals.logger.name  # noqa: B018  nibabel logs to the stream of its first import, which must not be a verb's
SECONDS = 20  # a verb takes a tenth of a second; what takes so long hangs


@dataclass(frozen=True)
class Outcome:
    """What a verb did.

    Attributes:
        code: exit code.
        text: all that it said, on both streams.
        trace: traceback of what it should have told in a sentence; empty if all is well.
        hung: whether it did not come back in time.
    """

    code: int
    text: str
    trace: str = ""
    hung: bool = False


class Hangs(BaseException):
    """A verb did not come back; no `except Exception` stops it."""


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        raise Hangs(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(call: Callable[[], object]) -> Outcome:
    """Call something as a command line would, with a limit of time."""
    streams = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    code, trace, hung = 0, "", False
    with redirect_stdout(streams), redirect_stderr(streams), _within(SECONDS):
        try:
            call()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except UserError as error:
            code = 1
            print(f"Error: {error}".encode(errors="backslashreplace").decode(), file=sys.stderr)
        except Hangs:
            code, trace, hung = 1, traceback.format_exc(), True
        except Exception:
            code, trace = 1, traceback.format_exc()
    return Outcome(code, streams.buffer.getvalue().decode(), trace, hung)  # type: ignore[attr-defined]


def check(folder: Path, layout: Layout, output: Path) -> Outcome:
    """`sgdnet check`."""
    words = ["check", str(folder / layout.datalist), "--json", str(output / "check.json")]
    return attempt(lambda: main([*words, "--sheet", str(output / "sheet.png"), "--num_workers", "1"]))


def prepare(folder: Path, layout: Layout, output: Path) -> Outcome:
    """`sgdnet prepare` of the layout's kind."""
    kind, source = layout.prepare
    return attempt(lambda: main(["prepare", kind, str(folder / source), "--output", str(output / "prepared")]))


def train(folder: Path, layout: Layout, output: Path) -> Outcome:
    """What `sgdnet train` does before its first epoch."""

    def call() -> None:
        datalist = folder / layout.datalist if layout.datalist else None
        kind = label_kind(None, datalist)
        classes = 1 if kind == "mask" or datalist is None else class_count(datalist)
        checked_datalist(folder, datalist, label_kind=kind, classes=classes)

    return attempt(call)


def evaluate(folder: Path, layout: Layout, output: Path) -> Outcome:
    """What `sgdnet evaluate` does before it looks at the weights."""

    def call() -> None:
        datalist = folder / layout.datalist if layout.datalist else None
        kind = label_kind(None, datalist)
        classes = 1 if kind == "mask" or datalist is None else class_count(datalist)
        evaluation_set(folder, datalist, output / "model.pt", "all", label_kind=kind, classes=classes)

    return attempt(call)


def verbs_of(layout: Layout) -> dict[str, Callable[[Path, Layout, Path], Outcome]]:
    """The verbs that take a layout."""
    found = {"check": check, "prepare": prepare, "train": train, "evaluate": evaluate}
    if not layout.prepare[0]:
        found.pop("prepare")
    if layout.prepare[1]:  # a table is read by `prepare` alone
        return {"prepare": prepare}
    return found


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """Mode and content of everything in a folder; what is no regular file is not opened."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path.relative_to(folder))] = status.st_mode, content
    return found
