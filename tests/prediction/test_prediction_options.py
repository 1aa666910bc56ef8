"""Instances with parameters that an evaluation tuned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from custom_networks.metrics import WatershedParameters

Run = Callable[..., tuple[int, str, str]]


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
