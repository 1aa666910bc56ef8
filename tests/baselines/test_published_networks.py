"""Networks written from papers: their counts beside what the papers print, and how far they see."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2]))  # benchmarks/ is not installed

from benchmarks.macs import count_macs, count_parameters
from custom_networks.baselines import LeViTUNet, TransUNet, UNetV2, VMUNetV2, selective_scan
from custom_networks.baselines.cto import NormalizedEdgeModulation
from custom_networks.baselines.levit import LeViT
from custom_networks.baselines.sdi import Infusion
from custom_networks.baselines.unet_v2 import PyramidTransformer

LEVIT_CLASSIFIERS = 2 * (2 * 768 + 768 * 1000 + 1000)
PVT_CLASSIFIER = 512 * 1000 + 1000


@pytest.mark.parametrize(
    ("build", "millions", "more"),
    [
        (lambda: TransUNet(out_channels=9, image_size=224), 105.28, 0),
        (lambda: LeViT(image_size=224), 39.1, LEVIT_CLASSIFIERS),
        (PyramidTransformer, 25.4, PVT_CLASSIFIER),
        (UNetV2, 25.15, 0),
        (VMUNetV2, 22.77, 0),
    ],
    ids=["TransUNet", "LeViT-384", "PVT v2-B2", "U-Net v2", "VM-UNet V2"],
)
def test_parameters_are_the_published_ones(build: Callable[[], nn.Module], millions: float, more: int) -> None:
    with torch.device("meta"):
        assert (count_parameters(build()) + more) / 1e6 == pytest.approx(millions, rel=0.002)


@pytest.mark.parametrize(
    ("network", "published", "ours"),
    [(TransUNet, 37.02, 38.42), (UNetV2, 5.40, 5.56), (VMUNetV2, 5.31, 5.34), (LeViTUNet, 23.57, 12.38)],
)
def test_multiply_adds(
    network: type[nn.Module], published: float, ours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LeViT-UNet's published figure is not reached, and its docstring says so."""
    monkeypatch.setattr(selective_scan, "CHUNK", 1 << 16)  # the scan has no products: one chunk is counted sooner
    with torch.device("meta"):
        found = count_macs(network(), 256) / 1e9
    assert found == pytest.approx(ours, abs=0.01)
    assert network is LeViTUNet or found == pytest.approx(published, rel=0.04)


def test_scans_carry_a_change_across_the_whole_image() -> None:
    torch.manual_seed(0)
    small = {"channels": 16, "depths": (1, 1, 1, 1), "width": 8, "drop_path": 0.0}
    network = VMUNetV2(**small).eval()  # type: ignore[arg-type]
    image = torch.randn(1, 3, 64, 64)
    other = image.clone()
    other[..., 32:] += 1
    with torch.no_grad():
        changed = (network(image) - network(other)).abs()
    assert (changed > 0).float().mean() > 0.9


def test_small_maps_are_upsampled_corner_on_corner() -> None:
    """As U-Net v2's authors do: the corners keep their values."""
    infusion, small = Infusion(1, 1), torch.arange(4.0).view(1, 1, 2, 2)
    torch.nn.init.dirac_(infusion.smooth[0].weight)
    torch.nn.init.zeros_(infusion.smooth[0].bias)
    got = infusion([small], torch.zeros(1, 1, 3, 3))
    torch.testing.assert_close(got, torch.tensor([[[[0.0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_edges_of_cto_keep_their_precision_in_sixteen_bits(dtype: torch.dtype) -> None:
    """Under autocast, and with weights of 16 bits: sums of 256 channels near 100 differ by little."""
    torch.manual_seed(0)
    x = 0.4 + 0.01 * torch.randn(1, 256, 16, 16)
    x = x.bfloat16().float()
    modulation = NormalizedEdgeModulation().eval()
    expected = modulation(x) / x
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
        got = modulation.to(dtype)(x.bfloat16()).float() / x
    assert (got - expected).abs().max() < 0.01
