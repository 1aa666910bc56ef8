"""StitchViT against attention over sub-grids cut out one by one."""

import oracles
import pytest
import torch

from custom_networks.network.stitch_vit import StitchViT, place_blocks, stitch, unstitch


def test_tokens_by_hand():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert stitch(x, 2)[0].tolist() == [[0, 2, 8, 10], [1, 3, 9, 11], [4, 6, 12, 14], [5, 7, 13, 15]]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_pixel_goes_to_token_of_its_remainders_and_back(stride):
    x = torch.randn(2, 3, 8, 12)
    tokens = stitch(x, stride)
    assert tokens.shape == (2, stride**2, 3 * 96 // stride**2)
    for i in range(8):
        for j in range(12):
            token = tokens[0, i % stride * stride + j % stride].view(8 // stride, 12 // stride, 3)
            assert torch.equal(token[i // stride, j // stride], x[0, :, i, j])
    assert torch.equal(unstitch(tokens, x, stride).permute(0, 3, 1, 2), x)


def test_blocks_by_hand():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    placed = place_blocks(stitch(x, 2), x, 2)
    assert placed[0, :, :, 0].tolist() == [[0, 2, 1, 3], [8, 10, 9, 11], [4, 6, 5, 7], [12, 14, 13, 15]]


PLACEMENT = pytest.mark.parametrize("placement", ["interleaved", "blocks"])


@PLACEMENT
@pytest.mark.parametrize(("strides", "size"), [((4, 2), (8, 4)), ((2, 1), (6, 10)), ((16, 8, 4, 2), (16, 32))])
def test_whole_block(strides, size, placement):
    torch.manual_seed(0)
    channels = 2 * len(strides)
    module = StitchViT(channels, strides, placement)
    oracles.compare(module, lambda w, x: oracles.stitch_vit(w, x, strides, placement), torch.randn(2, channels, *size))


def test_placements_differ():
    torch.manual_seed(0)
    module, other = StitchViT(4, (4, 2)), StitchViT(4, (4, 2), "blocks")
    other.load_state_dict(module.state_dict())
    x = torch.randn(1, 4, 8, 8)
    assert not torch.allclose(module(x), other(x), atol=1e-3)


@PLACEMENT
@pytest.mark.parametrize("size", [(16, 32), (32, 16), (8, 8)])
@pytest.mark.parametrize("small", [8, 4])
def test_resized_is_the_whole_block_then_the_resize(size, small, placement):
    torch.manual_seed(0)
    target = (size[0] // small, size[1] // small)

    class Resized(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vit = StitchViT(4, (4, 2), placement)

        def forward(self, x):
            return self.vit.resized(x, torch.empty(1, 1, *target))

    def literal(w, x):
        return oracles.resize(oracles.stitch_vit(oracles.sub(w, "vit"), x, (4, 2), placement), target)

    oracles.compare(Resized(), literal, torch.randn(2, 4, *size))


def test_resized_in_training_sees_every_pixel():
    """Batch statistics are those of the whole map."""
    torch.manual_seed(0)
    module, x, like = StitchViT(4, (4, 2)).train(), torch.randn(2, 4, 16, 16), torch.empty(1, 1, 2, 2)
    oracles.close(module.resized(x, like), oracles.resize(module(x), (2, 2)))


def test_defaults_are_the_papers():
    module = StitchViT()
    assert module.strides == (16, 8, 4, 2)
    assert module.query.weight.shape == (256, 256, 1, 1)


def test_channels_that_do_not_divide():
    with pytest.raises(ValueError, match="multiple of the 4 strides, got 10"):
        StitchViT(10)


def test_misspelt_placement():
    message = "stitch placement must be one of interleaved, blocks, got 'block'; did you mean 'blocks'"
    with pytest.raises(ValueError, match=message):
        StitchViT(4, placement="block")


@pytest.mark.parametrize("form", ["autocast", "bfloat16 weights"])
def test_energies_are_not_rounded_to_bfloat16(form):
    """Query, key and value are the map itself, exact in bfloat16; energies, in the hundreds, would be off by 1."""
    torch.manual_seed(0)
    vit = StitchViT(4, (2,))
    for layer in (vit.query, vit.key, vit.value):
        torch.nn.init.zeros_(layer.bias)
        torch.nn.init.dirac_(layer.weight)
    x = (
        3 * torch.randn(1, 1, 16, 16).repeat_interleave(2, 2).repeat_interleave(2, 3) + torch.randn(1, 4, 32, 32) / 8
    ).bfloat16()
    with torch.no_grad():
        expected = vit.double().attend(x.double())
        if form == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                actual = vit.float().attend(x)
        else:
            actual = vit.bfloat16().attend(x)
    assert (actual.double() - expected).norm() <= 2**-8 * expected.norm()


def test_attention_keeps_the_layout_of_the_maps():
    x = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last)
    attended = StitchViT(8, (4, 2)).attend(x)
    assert attended.is_contiguous(memory_format=torch.channels_last)
