"""Every verb answers a bad command with one sentence and the right exit code, and harms nothing."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_commands import BAD, BadCommand
from campaign_counts import Record
from judging import answer, count_answer
from stage import GOOD, OUT, build
from verbs import attempt, state

from custom_networks.annotating import AGAIN
from custom_networks.cli import VERBS, main

EVERY = 60  # of the rows, one is run by default
ONCE_FAULTS = {  # and those that once ended in a traceback, were taken for good, or named nothing
    ("prepare", "--num_workers -1"),
    ("prepare", "output below a link to itself"),
    ("check", "--dataset_dir missing"),
    ("train", "--network_def#encoder_width wide"),
    ("train", "--network_def#encoder_width 3"),
    ("train", "a data set whose folder is not in UTF-8"),
    ("evaluate", "images not in UTF-8"),
    ("evaluate", "--cache ram"),
    ("export", "--image_size 0"),
    ("package", "weights of integers"),
    ("package", "weights of NaN"),
    ("package", "record network of huge width"),
    ("package", "record label_kind misspelt"),
    ("folds", "--seed -1"),
    ("folds", "input of 300 letters"),
    ("compare", "input with a line break"),
    ("report", "output of 300 letters"),
}
HAS_SERVER = all(importlib.util.find_spec(name) for name in ("monailabel", "fastapi"))


def rows() -> Iterator[object]:
    """All rows; those of `annotate` that get as far as the server need its environment."""
    for number, bad in enumerate(BAD):
        marks = [pytest.mark.slow] if number % EVERY and (bad.verb, bad.name) not in ONCE_FAULTS else []
        if bad.verb == "annotate" and not bad.told_by_parser:
            marks.append(pytest.mark.skipif(not HAS_SERVER, reason="needs the environment of the server"))
        yield pytest.param(bad, id=f"{bad.verb}: {bad.name}".encode("ascii", "backslashreplace").decode(), marks=marks)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage") / "good"
    folder.mkdir()
    return build(folder)


@pytest.fixture
def stage(good: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the stage."""
    folder = tmp_path / "stage"
    shutil.copytree(good, folder)
    yield folder
    shutil.rmtree(folder)  # 20 MB a test would fill a disk


def test_every_verb_has_bad_commands() -> None:
    counts = Counter(bad.verb for bad in BAD)
    assert counts.keys() == VERBS.keys()
    assert min(counts.values()) >= 15
    assert counts.total() >= 300
    assert {(bad.verb, bad.name) for bad in BAD} >= ONCE_FAULTS


@pytest.mark.slow
def test_the_good_commands_work(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stage)
    for verb, words in GOOD.items():
        if verb in ("annotate", "table"):
            continue  # one serves until it is stopped, the other prints what has run
        shutil.rmtree(OUT)
        Path(OUT).mkdir()
        outcome = attempt(lambda words=words: main(list(words)))  # type: ignore[misc]
        assert (outcome.code, outcome.trace) == (0, ""), (verb, outcome)
        assert list(Path(OUT).iterdir()) or "--dry_run" in words, verb


@pytest.mark.parametrize("bad", list(rows()))
def test_a_bad_command_is_one_sentence(
    stage: Path, bad: BadCommand, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AGAIN, "1")  # a server is looked for in this environment alone
    bundle = Path(__file__).resolve().parents[2] / "bundle"
    before = state(bundle)
    outcome, faults = answer(stage, bad)
    faults += ["wrote into the bundle of the checkout"] if state(bundle) != before else []
    count_answer(record_property, bad.verb, outcome, faults)
    assert not faults, outcome.text[-2000:]
