"""Say what is wrong with how a command answered a bad input; and count answers, for the table of the campaign."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bad_commands import BadCommand
from campaign_counts import Record, count
from permissions import permissions_count
from stage import OUT
from verbs import Outcome, attempt, state

from custom_networks.cli import main


def count_answer(record: Record, verb: str, outcome: Outcome, faults: list[str]) -> None:
    """Count how a verb answered a bad input."""
    count(record, verb, "inputs")
    count(record, verb, "answered well", int(not faults))
    count(record, verb, "hangs", int(outcome.hung))
    count(record, verb, "tracebacks", int(bool(outcome.trace and not outcome.hung) or "Traceback" in outcome.text))


def outside(stage: Path) -> dict[str, tuple[int, str]]:
    """State of everything on a stage but the output folder."""
    return {name: found for name, found in state(stage).items() if Path(name).parts[0] != OUT}


def answer(stage: Path, bad: BadCommand) -> tuple[Outcome, list[str]]:
    """Run a bad command on a copy of the stage that is its own.

    Args:
        stage: the copy; the present folder of the process lies in it meanwhile.
        bad: the command, and what is done to the stage before.

    Returns:
        What it did, and everything that is wrong with that; empty if nothing is.
    """
    bad.spoil(stage)
    before = outside(stage)
    temporary = stage.with_name(f"{stage.name} temporary")
    temporary.mkdir()
    (stage / OUT).chmod(0o555 if bad.read_only else 0o755)
    with contextlib.chdir(stage), _temporary_files_in(temporary), contextlib.ExitStack() as permissions:
        if bad.read_only:
            permissions.enter_context(permissions_count())
        outcome = attempt(lambda: main(bad.command))
    (stage / OUT).chmod(0o755)
    faults = [outcome.trace] if outcome.trace else []
    faults += ["a traceback is printed"] if "Traceback" in outcome.text else []
    faults += [f"ends with code {outcome.code}"] if outcome.code != bad.code else []
    faults += _of_sentence(outcome.text, bad)
    after = outside(stage)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    faults += [f"changed or written outside the output: {changed}"] if changed else []
    left = [*temporary.iterdir(), *(stage / OUT).rglob(".*-*")]
    faults += [f"left behind: {sorted(path.name for path in left)}"] if left else []
    return outcome, faults


def _of_sentence(text: str, bad: BadCommand) -> list[str]:
    if bad.code != 1:  # an image that failed is told in the list of those, and the rest is done
        return [] if bad.word in text else [f"does not name {bad.word!r}"]
    sentences = [line for line in text.splitlines() if line.startswith("Error: ")]
    if len(sentences) != 1:
        return [f"{len(sentences)} sentences"]
    faults = [] if text.splitlines()[-1] == sentences[0] else ["the sentence is not the last line"]
    return faults if bad.word in sentences[0] else [*faults, f"does not name {bad.word!r}"]


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
