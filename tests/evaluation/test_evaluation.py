"""`sgdnet evaluate`: nothing dropped, the sizes it measures at, agreement with MONAI's handlers, instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import BUNDLE, run_python
from evaluation_fixtures import evaluate
from networks import toy_network
from PIL import Image
from pipelines import training_config, write_nuclei

import custom_networks.evaluation.results
from custom_networks import load_checkpoint
from custom_networks.data.resizing import resized
from custom_networks.evaluation.begun import LOCK
from custom_networks.evaluation.case_maps import read_case_maps
from custom_networks.files import lock_file
from custom_networks.metrics import FLAGS, METRICS, measure
from custom_networks.run.folder import is_locked
from custom_networks.statistics import read_per_image
from custom_networks.weights.normalization import ISIC

Run = Callable[..., tuple[int, str, str]]


def test_every_image_has_a_row_with_every_figure(evaluated: Path) -> None:
    frame = read_per_image(evaluated)
    assert list(frame.index) == [f"case {number}" for number in range(6)]
    assert set(frame.columns) >= {"group", "site", "size", "contrast", "ita", "skin_tone", "datalist_dice", *FLAGS}
    assert [name for name in METRICS if name in frame.columns] == [name for name in METRICS if name not in NUCLEI]
    assert frame["unit"].eq("px").all()
    assert list(zip(frame["width"], frame["height"], strict=True))[:3] == [(64, 64), (96, 72), (72, 96)]
    assert frame.loc["case 5", "sensitivity"] != frame.loc["case 5", "sensitivity"]  # nothing there to find


NUCLEI = ("pq", "sq", "dq", "aji")


def test_the_summary_is_that_of_the_rows(evaluated: Path) -> None:
    frame, about = read_per_image(evaluated), json.loads((evaluated / "summary.json").read_text())
    assert about["images"] == 6
    assert about["counts"] == {name: int(frame[name].sum()) for name in FLAGS}
    for name, row in about["metrics"].items():
        assert row["mean"] == pytest.approx(frame[name].mean()), name
    assert about["metrics"]["sensitivity"]["undefined"] == 1
    assert set(about["subgroups"]) == {"size", "contrast", "skin_tone", "site"}
    table = pd.read_csv(evaluated / "summary.csv", index_col="metric")
    assert table.loc["dice", "mean"] == pytest.approx(frame["dice"].mean())
    parts = pd.read_csv(evaluated / "subgroups.csv")
    of_site = parts[(parts["column"] == "site") & (parts["metric"] == "dice")].set_index("subgroup")["mean"]
    assert of_site["A"] == pytest.approx(frame.loc[frame["site"] == "A", "dice"].mean())
    assert "own resolution" in (evaluated / "printed.txt").read_text()
    assert about["checkpoint"]["sha256"]
    assert about["made"]["versions"]["torch"] == torch.__version__


def test_a_row_repeats_by_hand(evaluated: Path, ellipses: Path, scaled_weights: Path) -> None:
    """One wide picture through the network without any of the pipeline."""
    network = toy_network()
    load_checkpoint(network, scaled_weights)
    picture = Image.open(ellipses.parent / "images" / "1.png")  # 96 x 72
    mask = np.asarray(Image.open(ellipses.parent / "masks" / "1.png")) > 0
    plain = torch.from_numpy(np.asarray(picture).astype(np.float32)).permute(2, 1, 0)  # (W, H), as MONAI reads
    small = resized(plain, (64, 64)).round()
    mean, std = (torch.tensor(values)[:, None, None] for values in (ISIC.mean, ISIC.std))
    with torch.no_grad():
        logits = network.eval()(((small - mean) / std)[None]).transpose(2, 3)
    probability = torch.nn.functional.interpolate(torch.sigmoid(logits), (72, 96), mode="bilinear")[0, 0].numpy()
    row = read_per_image(evaluated).loc["case 1"]
    expected = measure(probability, mask)
    for name in ("dice", "iou", "brier", "ece"):
        assert row[name] == pytest.approx(expected[name], abs=1e-3), name


def test_the_network_resolution_agrees_with_the_handlers_of_training(
    ellipses: Path, scaled_weights: Path, tmp_path: Path
) -> None:
    knobs = {
        "datalist": str(ellipses),
        "checkpoint": str(scaled_weights),
        "split": "test",
        "device": torch.device("cpu"),
    }
    knobs |= {"bundle_root": str(BUNDLE), "output_dir": str(tmp_path), "resolution": "network", "batch_size": 4}
    parser = training_config("evaluate.json", **knobs)
    evaluator = parser.get_parsed_content("validate#evaluator")
    evaluator.run()
    frame = parser.get_parsed_content("evaluation").frame()
    pairs = {"val_mean_dice": "dice", "val_mean_iou": "iou", "val_hd95": "hd95"}
    for theirs, ours in pairs.items():
        assert frame[ours].mean() == pytest.approx(evaluator.state.metrics[theirs], rel=1e-5), ours
    assert frame["missed"].sum() == evaluator.state.metrics["val_misses"]
    assert frame["dice"].std() > 0


def test_cases_and_thumbnails_are_bounded(evaluated: Path) -> None:
    about = json.loads((evaluated / "summary.json").read_text())
    reasons = [reason for case in about["cases"] for reason in case["reasons"]]
    assert {reason: reasons.count(reason) for reason in ("worst", "median", "best")} == dict.fromkeys(
        ("worst", "median", "best"), 2
    )
    assert len(list((evaluated / "thumbnails").iterdir())) == 6
    maps = read_case_maps(evaluated / about["cases"][0]["file"])
    assert maps.edge.shape == maps.guidance.shape == maps.overview.shape[:2]
    assert maps.truth.shape == maps.prediction.shape == maps.detail.shape[:2]


def test_the_record_says_what_was_used_and_who_is_grouped(
    ellipses: Path, scaled_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # a processor without bfloat16
    words = ("--datalist", ellipses, "--checkpoint", scaled_weights, "--split", "test", "--cases", 0, "--amp", "true")
    printed = evaluate(*words, "--output_dir", tmp_path / "eval")
    about = json.loads((tmp_path / "eval" / "summary.json").read_text())
    assert about["settings"]["amp"] is False
    assert about["groups"] == 3
    assert "6 images of 3 groups (test)" in printed
    assert "too few groups" in printed
    row = about["metrics"]["dice"]
    frame = read_per_image(tmp_path / "eval")
    assert row["mean_with_object"] == pytest.approx(frame["dice"][:5].mean()), "the sixth picture is blank"
    assert row["mean_of_groups"] == pytest.approx(frame.groupby("group")["dice"].mean().mean())
    assert about["calibration"]["border_ece"] != about["calibration"]["ece"]
    assert about["detection"]["lesions"] == 5
    assert about["area"]["mean_difference"] == pytest.approx((frame["area_predicted"] - frame["area_true"]).mean())


def test_an_evaluation_is_not_overwritten(sgdnet: Run, evaluated: Path, ellipses: Path, scaled_weights: Path) -> None:
    before = (evaluated / "per_image.csv").read_bytes()
    words = ("--datalist", ellipses, "--checkpoint", scaled_weights, "--split", "test", "--output_dir", evaluated)
    code, _, error = sgdnet("evaluate", *words)
    assert code == 1
    assert "already holds an evaluation" in error
    assert (evaluated / "per_image.csv").read_bytes() == before


def test_one_that_was_stopped_is_made_again_by_the_same_command_alone(
    sgdnet: Run, ellipses: Path, scaled_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "eval"
    words = ("evaluate", "--datalist", ellipses, "--checkpoint", scaled_weights, "--split", "test", "--cases", 0)
    words += ("--num_workers", 0, "--device", "cpu", "--output_dir", folder)
    with monkeypatch.context() as patch:
        patch.setattr(custom_networks.evaluation.results, "plot_areas", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(RuntimeError):  # its rows are written, its summary is not
            sgdnet(*words)
    rows = (folder / "per_image.csv").read_bytes()
    assert not is_locked(folder, LOCK)
    assert json.loads((folder / "begun.json").read_text())["settings"]["tolerance"] == 2
    code, _, error = sgdnet(*words, "--tolerance", 3)
    assert (code, (folder / "per_image.csv").read_bytes()) == (1, rows)
    assert "holds an evaluation that was stopped before its end, with tolerance 2.0 (now 3); go on with" in error
    other = tmp_path / "model.pt"
    other.write_bytes(scaled_weights.read_bytes() + b"0")
    other.with_suffix(".json").write_bytes(scaled_weights.with_suffix(".json").read_bytes())
    code, _, error = sgdnet(*words, "--checkpoint", other)
    assert (code, "stopped before its end, with checkpoint" in error) == (1, True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")  # is not read here
    code, _, error = sgdnet(*words)
    assert code == 0, error
    assert (folder / "per_image.csv").read_bytes() == rows
    assert not (folder / "begun.json").exists()
    code, _, error = sgdnet(*words)
    assert (code, "already holds an evaluation; choose" in error) == (1, True)


def test_two_evaluations_do_not_share_a_folder(
    sgdnet: Run, ellipses: Path, scaled_weights: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--datalist", ellipses, "--checkpoint", scaled_weights, "--split", "test")
    held = lock_file(tmp_path / ".evaluate.lock")
    assert held is not None
    code, _, error = sgdnet(*words, "--num_workers", 0, "--device", "cpu", "--output_dir", tmp_path)
    held.release()
    assert (code, "another process evaluates into this folder" in error) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [".evaluate.lock"]


def test_nuclei_have_pq_with_parameters_tuned_on_validation(scaled_weights: Path, tmp_path: Path) -> None:
    datalist = write_nuclei(tmp_path / "set")
    folder = tmp_path / "eval"
    words = ("--datalist", datalist, "--checkpoint", scaled_weights, "--cases", 1, "--subgroups", "size")
    printed = evaluate(*words, "--tune_watershed", "true", "--output_dir", folder)
    about = json.loads((folder / "summary.json").read_text())
    tuned = json.loads((folder / "watershed.json").read_text())
    assert about["instances"]["watershed"] == tuned["parameters"]
    assert len(tuned["tried"]) == 48
    frame = read_per_image(folder)
    assert frame[["pq", "aji"]].notna().all(axis=None)
    pooled = about["instances"]["pooled"]
    assert pooled["pq_plus"] == pytest.approx(max(row["pq"] for row in tuned["tried"]))
    assert "pq_plus" in printed
    again = tmp_path / "again"
    evaluate(*words, "--watershed", folder / "watershed.json", "--output_dir", again)
    assert json.loads((again / "summary.json").read_text())["instances"]["pooled"] == pooled


@pytest.mark.slow
def test_the_bundle_gives_the_same_numbers(ellipses: Path, scaled_weights: Path, tmp_path: Path) -> None:
    knobs = {"datalist": ellipses, "checkpoint": scaled_weights, "split": "test", "num_workers": 0, "device": "cpu"}
    knobs |= {"dataset_dir": ellipses.parent, "batch_size": 4}
    words = [word for name, value in knobs.items() for word in (f"--{name}", str(value))]
    files = "['configs/train.json','configs/evaluate.json']"
    verbs = (
        ["-m", "monai.bundle", "run", "evaluating", "--config_file", files],
        ["-m", "custom_networks.cli", "evaluate"],
    )
    frames = []
    for number, verb in enumerate(verbs):  # each in a process of its own, so that threads round alike
        folder = tmp_path / str(number)
        result = run_python([*verb, *words, "--output_dir", str(folder)])
        assert result.returncode == 0, result.stderr[-2000:]
        frames.append(read_per_image(folder))
    ours, theirs = frames
    names = [name for name in METRICS if name in ours.columns]
    pd.testing.assert_frame_equal(ours[names], theirs[names], rtol=1e-6)
