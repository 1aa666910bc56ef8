"""Every bad input is refused in one sentence that names it, by every verb that reads it, and harms nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bad_inputs import BAD, Bad
from campaign_counts import Record
from data_sets import LAYOUTS
from judging import count_answer
from verbs import Outcome, state, verbs_of


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good data set of each layout."""
    folders = {name: tmp_path_factory.mktemp("good") / name for name in LAYOUTS}
    for name, folder in folders.items():
        folder.mkdir()
        LAYOUTS[name].write(folder)
    return folders


def faults_of(outcome: Outcome, bad: Bad, output: Path) -> list[str]:
    """Everything that is wrong with how a verb took a data set."""
    faults = [outcome.trace] if outcome.trace else []
    if bad.works:
        return faults + ([f"ends with code {outcome.code}"] if outcome.code else [])
    faults += [] if outcome.code else ["took it"]
    faults += [] if any(bad.word in line for line in outcome.text.splitlines()) else [f"does not name {bad.word!r}"]
    faults += ["several sentences"] if len(outcome.text.split("Error: ")) > 2 else []
    return faults + (["wrote a datalist"] if list(output.glob("prepared/*.json")) else [])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_good_input_passes(good: dict[str, Path], tmp_path: Path, name: str) -> None:
    for verb, run in verbs_of(LAYOUTS[name]).items():
        outcome = run(good[name], LAYOUTS[name], tmp_path)
        assert (outcome.code, outcome.trace) == (0, ""), (verb, outcome)


QUICK = [bad for bad in BAD if not bad.slow][::2]
"""What `make test` runs; `make campaign` runs all."""


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=bad.name, marks=[] if bad in QUICK else [pytest.mark.slow]) for bad in BAD]
)
def test_a_bad_input_is_one_sentence(good: dict[str, Path], tmp_path: Path, bad: Bad, record_property: Record) -> None:
    folder, layout = tmp_path / "set", LAYOUTS[bad.layout]
    shutil.copytree(good[bad.layout], folder)
    bad.spoil(folder)
    before = state(folder)
    for verb, run in verbs_of(layout).items():
        if verb not in bad.verbs:
            continue
        output = tmp_path / verb
        output.mkdir()
        outcome = run(folder, layout, output)
        faults = faults_of(outcome, bad, output)
        count_answer(record_property, verb, outcome, faults)
        assert not faults, f"{verb}: {outcome.text}"
    assert state(folder) == before


@pytest.mark.parametrize("place", ["~nouser/set", "nowhere/set", "x" * 300, "caf\udce9", "a\nb", ""])
def test_a_place_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    for verb, run in verbs_of(LAYOUTS["folder"]).items():
        outcome = run(Path(place), LAYOUTS["folder"], tmp_path.with_name("out"))
        assert outcome.trace == "", f"{verb}: {outcome.trace}"
        assert outcome.code != 0, f"{verb}: {outcome.text}"
    assert list(tmp_path.iterdir()) == []
