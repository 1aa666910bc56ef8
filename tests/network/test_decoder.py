"""Reverse attention against its literal re-computation."""

import oracles
import pytest
import torch

from custom_networks.network.decoder import ReverseAttentionDecoder, ReverseAttentionStep


@pytest.mark.parametrize(("deep", "shallow"), [((2, 3), (4, 6)), ((3, 3), (7, 5)), ((4, 4), (4, 4))])
def test_step(deep, shallow):
    torch.manual_seed(0)
    oracles.compare(
        ReverseAttentionStep(4), oracles.decoder_step, torch.randn(2, 4, *deep), torch.randn(2, 4, *shallow)
    )


def test_step_has_one_shared_slope_and_the_right_biases():
    names = {name: tuple(p.shape) for name, p in ReverseAttentionStep().named_parameters()}
    assert names["agree.2.weight"] == names["agree.5.weight"] == (1,)
    assert {"agree.0.bias", "agree.3.bias", "agree.6.bias"} <= set(names)
    assert not {"reverse.0.0.bias", "reverse.1.0.bias", "reverse.2.bias"} & set(names)


def test_three_steps_fine_first():
    torch.manual_seed(0)
    module = ReverseAttentionDecoder((3, 5, 7), 4)
    skips = [torch.randn(2, 3, 16, 8), torch.randn(2, 5, 8, 4), torch.randn(2, 7, 4, 2)]
    deep = torch.randn(2, 4, 2, 1)
    assert [tuple(x.shape) for x in module(deep, skips)] == [(2, 4, 16, 8), (2, 4, 8, 4), (2, 4, 4, 2)]

    class Flat(torch.nn.Module):
        """Tensors in place of a list."""

        def __init__(self):
            super().__init__()
            self.decoder = module

        def forward(self, deep, *skips):
            return self.decoder(deep, list(skips))

    oracles.compare(
        Flat(), lambda w, deep, *skips: oracles.decoder(oracles.sub(w, "decoder"), deep, skips), deep, *skips
    )
