"""Every bad input is refused in one sentence that names it, by every verb that reads it, and harms nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bad_inputs import BAD, Bad
from data_sets import LAYOUTS
from verbs import state, verbs_of


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good data set of each layout."""
    folders = {name: tmp_path_factory.mktemp("good") / name for name in LAYOUTS}
    for name, folder in folders.items():
        folder.mkdir()
        LAYOUTS[name].write(folder)
    return folders


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_good_input_passes(good: dict[str, Path], tmp_path: Path, name: str) -> None:
    for verb, run in verbs_of(LAYOUTS[name]).items():
        outcome = run(good[name], LAYOUTS[name], tmp_path)
        assert (outcome.code, outcome.trace) == (0, ""), (verb, outcome)


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=bad.name, marks=[pytest.mark.slow] if bad.slow else []) for bad in BAD]
)
def test_a_bad_input_is_one_sentence(good: dict[str, Path], tmp_path: Path, bad: Bad) -> None:
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
        assert outcome.trace == "", f"{verb}: {outcome.trace}"
        if bad.works:
            assert outcome.code == 0, f"{verb}: {outcome.text}"
            continue
        assert outcome.code != 0, f"{verb} took it: {outcome.text}"
        naming = [line for line in outcome.text.splitlines() if bad.word in line]
        assert naming, f"{verb} does not name {bad.word!r}: {outcome.text}"
        assert len(outcome.text.split("Error: ")) <= 2, outcome.text
        assert not list(output.glob("prepared/*.json")), f"{verb} wrote a datalist"
    assert state(folder) == before


@pytest.mark.parametrize("place", ["~nouser/set", "nowhere/set", "x" * 300, "caf\udce9", "a\nb", ""])
def test_a_place_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    for verb, run in verbs_of(LAYOUTS["folder"]).items():
        outcome = run(Path(place), LAYOUTS["folder"], tmp_path.with_name("out"))
        assert outcome.trace == "", f"{verb}: {outcome.trace}"
        assert outcome.code != 0, f"{verb}: {outcome.text}"
    assert list(tmp_path.iterdir()) == []
