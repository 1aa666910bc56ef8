"""int8: what is left alone is chosen by measuring, and the ranges leave room for images that calibration lacked."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from custom_networks.export import quantise as module
from custom_networks.export.format import DiceLimits, ExportJob, Images
from custom_networks.export.quantise import quantise, stage_of, stages_to_keep

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SIDE = 32
LIMITS = DiceLimits(0.98, 0.9)
AGREEMENT = 0.99
"""Dice that is to be reached for these limits: half of what they allow."""


@pytest.mark.parametrize(
    ("node", "stage"),
    [
        ("/network/encoder/conv1/conv1.0/Conv", "encoder.conv1"),
        ("/network/encoder/layer1/layer1.0/convs.2/Conv", "encoder.layer1"),
        ("/network/query/Conv", "stitch_vit"),
        ("/network/Conv_1", "stitch_vit"),
        ("/network/dual_attention/position/position.1/key/Conv", "dual_attention"),
        ("/network/sge/deep/deep.2/body/body.2/Conv", "sge"),
        ("/network/refine.2/ffn/ffn.0/Conv", "refine.2"),
        ("/network/heads.0/Conv", "heads.0"),
    ],
)
def test_stages_are_the_networks_own(node: str, stage: str) -> None:
    assert stage_of(node) == stage


class Network(nn.Module):
    """Two stages. Where fragile, the second reads values near 100 and takes the 100 away: 8 bits leave little."""

    def __init__(self, fragile: bool) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3, 8, 1)
        self.heads = nn.ModuleList([nn.Sequential(nn.Conv2d(8, 1, 1))])
        with torch.no_grad():
            self.reduce.weight.zero_()
            self.reduce.weight[:3, :, 0, 0] = torch.eye(3)
            self.reduce.bias.fill_(100.0 if fragile else 0.0)
            self.heads[0][0].weight.fill_(1.0)
            self.heads[0][0].bias.fill_(-8 * 100.0 if fragile else 0.0)

    def forward(self, image: Tensor) -> Tensor:
        return self.heads[0](self.reduce(image))


def traced(network: nn.Module, path: Path) -> Path:
    """Write a network as the export does, a module inside another."""

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> Tensor:
            return self.network(image)

    zeros = torch.zeros(1, 3, SIDE, SIDE)
    torch.onnx.export(
        Outer().eval(), (zeros,), str(path), dynamo=False, opset_version=18, input_names=["image"], output_names=["y"]
    )
    return path


def images(count: int) -> list[Images]:
    return list(np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32))


def job(count: int) -> ExportJob:
    return ExportJob(nn.Identity(), "int8", SIDE, {}, images(count), 0.5, LIMITS)  # type: ignore[arg-type]


def quantised_convolutions(path: Path) -> list[str]:
    """Name the convolutions whose weights are stored as int8."""
    graph = onnx.load(str(path)).graph
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if node.input[1] in made_by]


@pytest.mark.filterwarnings("ignore")
def test_stage_that_8_bits_cannot_hold_stays_in_floating_point(tmp_path: Path) -> None:
    path = traced(Network(fragile=True), tmp_path / "model.onnx")
    kept = quantise(path, job(8), "image")
    assert "heads.0" in kept
    assert not any("heads.0" in name for name in quantised_convolutions(path))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("float_outputs", [False, True])
def test_everything_is_quantised_where_the_masks_agree(tmp_path: Path, float_outputs: bool) -> None:
    path = traced(Network(fragile=False), tmp_path / "model.onnx")
    assert quantise(path, job(8), "image", float_outputs) == []
    assert len(quantised_convolutions(path)) == 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("float_outputs", [False, True])
def test_two_products_fit_in_16_bits(tmp_path: Path, float_outputs: bool) -> None:
    """Processors without VNNI add them so: 255 * (|a| + |b|) of neighbouring weights must not saturate."""
    path = traced(Network(fragile=False), tmp_path / "model.onnx")
    quantise(path, job(8), "image", float_outputs)
    weights = [onnx.numpy_helper.to_array(stored) for stored in onnx.load(str(path)).graph.initializer]
    of_convolutions = [array.astype(int) for array in weights if array.dtype == np.int8 and array.ndim == 4]
    assert len(of_convolutions) == 2
    assert all(0 < 2 * 255 * np.abs(array).max() < 2**15 for array in of_convolutions)


@pytest.mark.filterwarnings("ignore")
def test_brighter_images_than_those_of_the_calibration_are_not_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(headroom: float) -> float:
        monkeypatch.setattr(module, "HEADROOM", headroom)
        path = traced(Network(fragile=False), tmp_path / "model.onnx")
        image = 1.4 * images(8)[0][None]
        exact = onnxruntime.InferenceSession(str(path)).run(None, {"image": image})[0]
        quantise(path, job(8), "image")
        return float(np.abs(onnxruntime.InferenceSession(str(path)).run(None, {"image": image})[0] - exact).max())

    assert error(1.5) < 0.5 * error(1.0)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 0.3), min_size=1))
def test_choice_is_the_shortest_run_of_the_worst(harm: dict[str, float]) -> None:
    """With masks of 1000 pixels, of which each quantised stage loses a share, the shares adding up."""
    exact = [np.ones((1, 1, 1000), np.float32)] * 4

    def run(kept: Collection[str], count: int) -> list[Images]:
        lost = round(1000 * min(1.0, sum(value for stage, value in harm.items() if stage not in kept)))
        return [(np.arange(1000)[None, None] >= lost).astype(np.float32)] * count

    def agreement(kept: Collection[str]) -> float:
        pixels = run(kept, 1)[0].sum()
        return 2 * pixels / (1000 + pixels)

    chosen = stages_to_keep(list(harm), run, exact, LIMITS, 0.5)
    assert agreement(chosen) >= AGREEMENT or len(chosen) == len(harm) - 1
    if chosen:
        assert agreement(chosen[:-1]) < AGREEMENT
    rest = [round(1000 * value) for stage, value in harm.items() if stage not in chosen]
    assert not chosen or max(rest, default=0) <= min(round(1000 * harm[stage]) for stage in chosen)


def test_the_worst_image_counts_as_well_as_the_mean() -> None:
    exact = [np.ones((1, 1, 100), np.float32)] * 10

    def run(kept: Collection[str], count: int) -> list[Images]:
        spoilt = exact[0].copy()
        spoilt[..., :15] = 0 if "a" not in kept else 1
        return [*exact[1:], spoilt][-count:]

    assert stages_to_keep("abc", run, exact, DiceLimits(0.9, 0.5), 0.5) == []
    assert stages_to_keep("abc", run, exact, DiceLimits(0.9, 0.95), 0.5) == ["a"]
