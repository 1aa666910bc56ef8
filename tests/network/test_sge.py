"""Structure guidance extractor against its literal re-computation."""

import oracles
import pytest
import torch

from custom_networks.network.sge import Refiner, StructureGuidanceExtractor


def test_refiner():
    module = Refiner(8)
    assert module.body[0][0].weight.shape == (2, 8, 1, 1)
    oracles.compare(module, oracles.refiner, torch.randn(2, 8, 4, 5))


@pytest.mark.parametrize(
    ("operator", "reading"),
    [("sobel", "summed"), ("sobel", "depthwise"), ("scharr", "summed"), ("laplacian", "summed"), ("none", "summed")],
)
def test_equals_literal(operator, reading):
    torch.manual_seed(0)
    module = StructureGuidanceExtractor(10, 6, 8, 3, operator, reading)
    deep, shallow = torch.randn(2, 10, 2, 3), torch.randn(2, 6, 8, 12)
    edge, guidance = module(deep, shallow)
    assert edge.shape == (2, 1, 8, 12)
    assert guidance.shape == (2, 3, 8, 12)
    oracles.compare(module, lambda w, x4, x1: oracles.sge(w, x4, x1, operator, reading), deep, shallow)


def test_the_edge_map_without_a_guidance_head():
    module = StructureGuidanceExtractor(10, 6, 8, guidance_channels=0)
    assert not any(name.startswith("guidance") for name, _ in module.named_parameters())
    deep, shallow = torch.randn(1, 10, 2, 2, dtype=torch.float64), torch.randn(1, 6, 8, 8, dtype=torch.float64)
    oracles.shake(module.double())
    oracles.close(module(deep, shallow)[0], oracles.sge(oracles.state(module), deep, shallow)[0], torch.float64)


def test_widths_of_the_paper():
    shapes = {name: tuple(p.shape) for name, p in StructureGuidanceExtractor().named_parameters()}
    assert shapes["deep.0.0.weight"] == (256, 2048, 1, 1)
    assert shapes["shallow.0.0.weight"] == (256, 256, 1, 1)
    assert shapes["deep.2.body.0.0.weight"] == (64, 256, 1, 1)
    assert shapes["fuse.0.weight"] == (256, 512, 3, 3)
    assert shapes["edge.weight"] == (1, 256, 1, 1)
    assert shapes["guidance.weight"] == (16, 256, 1, 1)
    norms = ("0.1.bias", "body.0.1.bias", "body.1.1.bias", "body.3.bias", "fuse.1.bias")
    assert all(name.endswith(norms) for name in shapes if name.endswith("bias")), "only the norms have a bias"
