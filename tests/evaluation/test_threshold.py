"""The choice of a threshold: the best one, recorded with the weights, and taken by whoever predicts with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_fixtures import evaluate
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from custom_networks.errors import UserError
from custom_networks.evaluation.begun import EvaluationFolder
from custom_networks.evaluation.threshold import CANDIDATES, best_threshold, check_tunable, dice_by_threshold
from custom_networks.metrics.overlap import confusion, dice
from custom_networks.prediction import SGDNetPredictor
from custom_networks.weights import trained_threshold

MAPS = arrays.arrays(
    np.float32, (4, 5), elements=st.floats(0, 1, width=32) | st.sampled_from(CANDIDATES.astype(np.float32))
)
MASKS = arrays.arrays(np.bool_, (4, 5))


@given(MAPS, MASKS)
def test_dice_is_that_of_the_mask_at_each_threshold(probability: np.ndarray, truth: np.ndarray) -> None:
    expected = [dice(confusion(probability >= np.float32(threshold), truth)) for threshold in CANDIDATES]
    assert dice_by_threshold(probability, truth) == pytest.approx(expected)


def test_the_best_mean_is_chosen_and_of_equals_the_usual_one() -> None:
    truth = np.array([[True, False]])
    large, small = np.array([[0.9, 0.72]], np.float32), np.array([[0.9, 0.1]], np.float32)
    threshold, about = best_threshold([(large, truth), (small, truth)], "validation")
    assert threshold == 0.75
    assert [row["threshold"] for row in about["tried"] if row["dice"] == 1] == [0.75, 0.8, 0.85, 0.9]
    assert best_threshold([(small, truth)], "validation")[0] == 0.5


def test_it_is_not_chosen_on_test_images() -> None:
    with pytest.raises(
        UserError, match="--tune_threshold with --split test: it is chosen on the validation split alone"
    ):
        best_threshold([], "test")


@pytest.fixture
def weights(scaled_weights: Path, tmp_path: Path) -> Path:
    for name in ("model.pt", "model.json"):
        shutil.copy(scaled_weights.with_name(name), tmp_path / name)
    return tmp_path / "model.pt"


@pytest.fixture
def local(ellipses: Path, tmp_path: Path) -> Path:
    """The pictures as the validation list of a clinic that trains nothing."""
    content = json.loads(ellipses.read_text())
    for image in content["test"]:
        image |= {part: str(ellipses.parent / image[part]) for part in ("image", "label")}
    (tmp_path / "local.json").write_text(
        json.dumps({"training": [], "validation": content["test"], "test": content["test"][:1]})
    )
    return tmp_path / "local.json"


def test_a_chosen_threshold_is_recorded_and_taken_by_all(weights: Path, local: Path, tmp_path: Path) -> None:
    words = ("--datalist", local, "--checkpoint", weights, "--cases", 0)
    evaluate(*words, "--output_dir", tmp_path / "before")
    printed = evaluate(*words, "--tune_threshold", "true", "--output_dir", tmp_path / "eval")
    tried = json.loads((tmp_path / "eval" / "threshold.json").read_text())
    chosen = tried["threshold"]
    before, after = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("before", "eval"))
    assert (before["threshold"], after["threshold"]) == (0.5, chosen)
    means = {row["threshold"]: row["dice"] for row in tried["tried"]}
    # batches of another size round otherwise, and one of the pixels is half likely
    assert before["metrics"]["dice"]["mean"] == pytest.approx(means[0.5], abs=1e-4)
    assert after["metrics"]["dice"]["mean"] == pytest.approx(max(means.values()), abs=1e-4)
    assert chosen != 0.5
    assert "was chosen on these images" in printed
    assert trained_threshold(weights) == chosen
    predictor = SGDNetPredictor.from_bundle(checkpoint=weights, device="cpu")
    assert predictor.options.threshold == chosen


def test_killed_after_it_was_recorded_the_same_command_goes_on(
    weights: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--datalist", local, "--checkpoint", weights, "--cases", 0, "--tune_threshold", "true")

    def killed(*_: object) -> None:
        raise SystemExit(137)

    monkeypatch.setattr(EvaluationFolder, "end", killed)
    with pytest.raises(SystemExit):
        evaluate(*words, "--output_dir", tmp_path / "eval")
    monkeypatch.undo()
    chosen = trained_threshold(weights)
    assert chosen != 0.5
    assert not (tmp_path / "eval" / "summary.json").exists()
    evaluate(*words, "--output_dir", tmp_path / "eval")
    assert json.loads((tmp_path / "eval" / "summary.json").read_text())["threshold"] == chosen


def test_it_is_given_or_chosen(weights: Path, local: Path, tmp_path: Path, sgdnet: Callable[..., tuple[int, str, str]]):
    words = ("evaluate", "--datalist", local, "--checkpoint", weights, "--tune_threshold", "true", "--device", "cpu")
    code, _, error = sgdnet(*words, "--threshold", 0.3, "--image_size", 64, "--output_dir", tmp_path / "eval")
    assert code == 1
    assert "--threshold 0.3 with --tune_threshold true: it is given or chosen; leave one out" in error
    assert trained_threshold(weights) == 0.5


def test_instances_are_left_to_the_watershed() -> None:
    with pytest.raises(UserError, match="--tune_threshold: instances are cut out by the watershed"):
        check_tunable("model.pt", "instances")


def test_weights_without_a_record_are_refused(
    weights: Path, local: Path, tmp_path: Path, sgdnet: Callable[..., tuple[int, str, str]]
) -> None:
    weights.with_suffix(".json").unlink()
    words = ("evaluate", "--datalist", local, "--checkpoint", weights, "--tune_threshold", "true", "--device", "cpu")
    code, _, error = sgdnet(*words, "--image_size", 64, "--output_dir", tmp_path / "eval")
    assert code == 1
    assert "has no .json beside it to keep the threshold; give model.pt of a run" in error
    assert not (tmp_path / "eval").exists()


def test_masks_are_those_of_the_recorded_threshold(
    weights: Path, ellipses: Path, tmp_path: Path, sgdnet: Callable[..., tuple[int, str, str]]
) -> None:
    content = json.loads(weights.with_suffix(".json").read_text())
    sizes = []
    for threshold in (None, 0.95):
        weights.with_suffix(".json").write_text(json.dumps({**content, "threshold": threshold}))
        words = ("predict", ellipses.parent / "images", "--checkpoint", weights, "--device", "cpu", "--engine", "torch")
        assert sgdnet(*words, "--output", tmp_path / str(threshold))[0] == 0
        sizes.append(
            sum(int((np.asarray(Image.open(mask)) > 0).sum()) for mask in (tmp_path / str(threshold)).rglob("*.png"))
        )
    assert sizes[0] > sizes[1]
