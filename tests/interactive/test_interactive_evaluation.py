"""Evaluation with a simulated user, on segmenters whose figures are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prediction_fixtures import disc

from custom_networks.errors import UserError
from custom_networks.interactive import Guidance
from custom_networks.interactive.evaluation import (
    evaluate_image,
    evaluate_interaction,
    not_honoured,
    summarise_marks,
)

SHAPE = (64, 64)
TRUTH = disc(SHAPE, (32, 32), 16)
IMAGE = np.zeros((*SHAPE, 3), np.uint8)


class Obedient:
    """Answers nothing, then the truth within some pixels of each mark, and otherwise the previous mask."""

    def __init__(self, reach: float) -> None:
        self.reach = reach

    def embed(self, image: np.ndarray) -> tuple[int, int]:
        return image.shape[:2]

    def answer(self, state: tuple[int, int], guidance: Guidance | None = None) -> Any:
        guidance = guidance or Guidance()
        mask = np.zeros(state, bool) if guidance.previous is None else guidance.previous.copy()
        marks = [*guidance.foreground, *guidance.background]
        marks += [p for stroke in (*guidance.foreground_scribbles, *guidance.background_scribbles) for p in stroke]
        for x, y in marks:
            near = disc(state, (y, x), self.reach)
            mask[near] = TRUTH[near]
        return SimpleNamespace(mask=mask)


class Deaf(Obedient):
    """Never answers anything but nothing."""

    def answer(self, state: tuple[int, int], guidance: Guidance | None = None) -> Any:
        return SimpleNamespace(mask=np.zeros(state, bool))


def table(segmenter: Any, kind: str = "clicks") -> pd.DataFrame:
    return pd.DataFrame(evaluate_image(segmenter, IMAGE, TRUTH, kind, limit=5)).assign(id="a")


@pytest.mark.parametrize("kind", ["clicks", "scribbles"])
def test_one_mark_that_corrects_everything(kind: str) -> None:
    summary = summarise_marks(table(Obedient(40), kind), 5)
    assert [row["marks"] for row in summary["after"]] == [0, 1, 2, 3, 5]
    assert [row["dice"] for row in summary["after"]] == [0, 1, 1, 1, 1]
    assert summary["noc"] == {"85": {"marks": 1, "failures": 0}, "90": {"marks": 1, "failures": 0}}
    assert summary["not_honoured"] == 0
    assert summary["answers"] == 1
    if kind == "clicks":
        distant = TRUTH & ~disc(SHAPE, (32, 32), 8)
        assert summary["far_percent"] == pytest.approx(100 * distant.mean())
        assert summary["far_worse_percent"] == 0


def test_clicks_that_are_not_heard_are_counted() -> None:
    summary = summarise_marks(table(Deaf(0)), 5)
    assert summary["not_honoured"] == 1 + 2 + 3 + 4 + 5
    assert summary["noc"]["85"] == {"marks": 5, "failures": 1}


def test_small_steps_take_more_clicks() -> None:
    frame = table(Obedient(6))
    assert frame["iou"].is_monotonic_increasing
    assert frame["far"].max() == 0


def test_the_user_stops_when_every_target_is_reached_and_all_figures_are_there() -> None:
    done = evaluate_image(Obedient(6), IMAGE, TRUTH, limit=20)
    assert 11 <= len(done) < 21
    assert done[-1]["iou"] >= 0.9 > done[-2]["iou"] or len(done) == 11


def test_not_honoured_counts_both_kinds() -> None:
    guidance = Guidance(foreground=[(32, 32), (0, 0)], background=[(32, 32)], background_scribbles=[[(1, 1), (33, 32)]])
    assert not_honoured(TRUTH, guidance) == 3


def test_tables_are_written_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    Image.fromarray(TRUTH.astype(np.uint8) * 255).save(tmp_path / "a_mask.png")
    items = [{"image": str(tmp_path / "a.png"), "label": str(tmp_path / "a_mask.png")}]
    evaluate_interaction(Obedient(40), items, tmp_path / "out", clicks=2, scribbles=1, about={"split": "test"})
    assert "NoC@85 (IoU): 1.00" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "interactive.json").read_text())
    assert content["split"] == "test"
    assert content["clicks"]["after"][1]["dice"] == 1
    assert len(pd.read_csv(tmp_path / "out" / "per_mark.csv")) == 3 + 2
    with pytest.raises(UserError, match="already holds an evaluation"):
        evaluate_interaction(Obedient(40), items, tmp_path / "out")


@pytest.mark.parametrize(("clicks", "scribbles"), [(0, 0), (-1, 0), (True, 0), (1, "x")])
def test_numbers_that_cannot_be_are_told(clicks: Any, scribbles: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--clicks|--scribbles"):
        evaluate_interaction(Obedient(1), [], tmp_path, clicks=clicks, scribbles=scribbles)
