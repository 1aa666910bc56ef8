"""Which values the options take, to their very limits; instances with parameters that an evaluation tuned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import toy_network
from PIL import Image
from toy_weights import write_record

from custom_networks.baselines.baseline import Baseline
from custom_networks.errors import UserError
from custom_networks.metrics import WatershedParameters
from custom_networks.prediction.options import Options, Request

Run = Callable[..., tuple[int, str, str]]


TAKEN = [("threshold", 0), ("threshold", 1), ("review_below", 1), ("overlap", 0), ("overlap", 0.9), ("mpp", 0.01)]
TAKEN += [("mpp", 1000), ("level", 0), ("min_area", 0), ("scale", 0.01), ("scale", 4), ("bit_depth", 12)]
REFUSED = [("threshold", -0.01), ("threshold", 1.01), ("threshold", True), ("review_below", 1.01), ("overlap", 0.91)]
REFUSED += [("overlap", None), ("scale", 0.009), ("scale", 4.1), ("mpp", 0.009), ("mpp", 1001), ("mpp", True)]
REFUSED += [("mpp", "0.5"), ("level", -1), ("level", True), ("level", 1.0), ("min_area", -1), ("min_area", True)]
REFUSED += [("skip_glass", 1), ("amp", None)]


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_values_at_the_limits_are_taken(name: str, value: object) -> None:
    assert getattr(Options(mode="window", **{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_values_beyond_the_limits_are_refused(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"--{name} {value}: must be "):
        Options(mode="window", **{name: value})


@pytest.mark.parametrize(
    "wrong", [{"axis": 3}, {"axis": -1}, {"spacing": -1.0}, {"spacing": float("inf")}, {"spacing": float("nan")}]
)
def test_a_request_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"--{next(iter(wrong))} .*: must be "):
        Request(**wrong)  # type: ignore[arg-type]
    assert [Request(axis=axis).axis for axis in (0, 1, 2)] == [0, 1, 2]


def test_by_default_a_picture_is_computed_alone() -> None:
    """So that the result of a run that was killed, and resumed, is that of an uninterrupted one, byte for byte."""
    assert Request().batch_size == 1


def tuned(path: Path, **changes: float) -> Path:
    path.write_text(json.dumps({"parameters": {**WatershedParameters().as_dict(), **changes}, "split": "validation"}))
    return path


def test_instances_follow_the_tuned_parameters(sgdnet: Run, checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    image = sorted(pictures.iterdir())[0]
    counts = []
    for name, changes in (("small", {}), ("none", {"min_area": 10**6})):
        words = ("--checkpoint", checkpoint, "--outputs", "instances", "--output", tmp_path / name, "--device", "cpu")
        file = tuned(tmp_path / f"{name}.json", **changes)
        code, _, err = sgdnet("predict", image, *words, "--watershed", file)
        assert code == 0, err
        counts.append(int(np.asarray(Image.open(tmp_path / name / f"{image.stem}_instances.png")).max()))
    assert counts[0] > counts[1] == 0


@pytest.mark.parametrize("kind", ["baseline", "refinement"])
def test_weights_without_an_edge_map_give_all_others(sgdnet: Run, pictures: Path, tmp_path: Path, kind: str) -> None:
    network = (
        Baseline("monai.networks.nets.UNet", options={"spatial_dims": 2, "channels": [4, 8], "strides": [2]})
        if kind == "baseline"
        else toy_network(refinement="none")
    )
    torch.save(network.state_dict(), tmp_path / "model.pt")
    write_record(tmp_path / "model.pt", network, image_size=64)
    words = (sorted(pictures.iterdir())[0], "--checkpoint", tmp_path / "model.pt", "--output", tmp_path / "out")
    code, _, err = sgdnet("predict", *words, "--device", "cpu", "--outputs", "mask,edge")
    assert (code, len(err.strip().splitlines()), "leave edge out" in err) == (1, 1, True)
    assert not (tmp_path / "out").exists()
    code, _, err = sgdnet("predict", *words, "--device", "cpu", "--outputs", "all")
    assert code == 0, err
    assert (tmp_path / "out" / "measurements.csv").is_file()


def test_another_file_is_one_sentence(sgdnet: Run, checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    words = ("--checkpoint", checkpoint, "--output", tmp_path / "out", "--watershed", tmp_path / "other.json")
    code, _, err = sgdnet("predict", pictures, *words)
    assert code == 1
    assert 'other.json: "parameters" is missing; give the watershed.json of a tuning' in err
    assert not (tmp_path / "out").exists()


def test_the_record_says_what_was_used_not_asked_for(sgdnet, checkpoint, pictures, tmp_path, monkeypatch):
    """On a processor without bfloat16 `--amp true` computes in float32, and the record says so."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    words = ("--checkpoint", checkpoint, "--output", tmp_path / "out", "--amp", "true", "--device", "cpu")
    code, _, err = sgdnet("predict", pictures, *words)
    assert code == 0, err
    assert json.loads((tmp_path / "out" / "predict.jsonl").read_text().splitlines()[0])["settings"]["amp"] is False


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("normalization", {"name": "other", "mean": [0, 0, 0], "std": [1, 1, 1]}),
        ("classes", {"1": "round", "2": "other"}),
    ],
)
def test_what_the_record_of_the_weights_says_is_a_setting(
    sgdnet: Run, two_classes: Path, pictures: Path, tmp_path: Path, name: str, other: dict[str, object]
) -> None:
    """Also of weights whose file is the same; the journal of an earlier version, which lacks it, goes on."""
    for suffix in (".pt", ".json"):
        shutil.copy(two_classes.with_suffix(suffix), tmp_path / f"model{suffix}")
    words = ("predict", pictures, "--checkpoint", tmp_path / "model.pt", "--output", tmp_path / "out")
    assert sgdnet(*words)[0] == 0
    record = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**record, name: other}))
    code, _, err = sgdnet(*words)
    assert (code, f"was predicted with {name} " in err) == (1, True)
    journal = tmp_path / "out" / "predict.jsonl"
    first, *lines = journal.read_text().splitlines()
    earlier = json.loads(first)
    del earlier["settings"]["normalization"], earlier["settings"]["classes"]
    journal.write_text("\n".join([json.dumps(earlier), *lines, ""]))
    code, out, err = sgdnet(*words)
    assert (code, "4 done before" in out) == (0, True), err
