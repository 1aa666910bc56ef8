"""The CLAIM checklist: 44 items, and nothing claimed that the run does not tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from custom_networks.report.claim import checklist
from custom_networks.report.collect import Run, collect


def test_items_are_numbered_and_filled_in_where_known(evaluated: Path) -> None:
    items = checklist(collect(evaluated))
    assert [item.number for item in items] == list(range(1, 45))
    answers = {item.number: item.answer for item in items}
    assert answers[35] == "6 images, 3 groups evaluated; exclusions are to be filled in"
    assert answers[1] is not None
    assert answers[44] is None
    assert len([item for item in checklist(Run("nothing")) if item.answer]) < 5


def test_masks_of_another_program_are_not_called_ours(evaluated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evaluated, tmp_path / "masks"))
    about = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**about, "checkpoint": {}}))
    shutil.rmtree(folder / "training", ignore_errors=True)
    answers = {item.number: item.answer for item in checklist(collect(folder))}
    assert [answers[number] for number in (1, 22, 27, 31)] == [None] * 4
    assert answers[28] is not None
