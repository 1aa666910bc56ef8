"""SGD-Net that takes guidance: clicks, scribbles, a box and the previous mask.

Guidance enters late: it is added to the encoder's maps before SGDC and to the deepest map before the decoder. Encoder,
StitchViT, dual attention and SGE do not depend on it, so that they run once an image and not once a click. The last
layer of each fusion starts at zero: with the weights of an automatic model the first output is that model's, exactly.

Source of the method: Sofiiuk et al., "Reviving Iterative Training with Mask Guidance" (RITM), 2022, where clicks and
the previous mask enter at the first convolution of the backbone; here they enter behind it.

Symbols: B batch, P the network's width (64), G guidance maps (4), H and W the input's height and width, /4 a quarter of
both.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from custom_networks.network.layers import ConvBNReLU, pad_to_multiple, resize_to
from custom_networks.network.sgdnet import SGDNet

GUIDANCE_MAPS = 4
"""Foreground marks, background marks, box, previous mask; all zeros means automatic."""
STEM_CHANNELS = 32
FUSION_CHANNELS = 64
FUSION = "fusion."  # how the names of the weights begin that an automatic model has not
EMBEDDING_PARTS = ("encoder", "stitch_vit", "dual_attention", "reduce", "sge")


class Embedding(NamedTuple):
    """What the network knows of an image before it reads any guidance.

    Attributes:
        skips: x1, x2 and x3 of the padded image, (B, 256, H/4, W/4) to (B, 1024, H/16, W/16).
        deep: (B, P, H/32, W/32).
        structure: what SGDC reads, (B, 16, H/4, W/4).
        edge: edge logits, (B, 1, H/4, W/4); empty for a network without SGE.
        size: height and width of the image before it was padded.
    """

    skips: list[Tensor]
    deep: Tensor
    structure: Tensor
    edge: Tensor
    size: tuple[int, int]


class Fusion(nn.Module):
    """What guidance adds to one map: two 3x3 convolutions over the reduced map and the guidance beside it.

    Args:
        channels: of the map.
        guidance_channels: of the embedded guidance at the map's size.
    """

    def __init__(self, channels: int, guidance_channels: int) -> None:
        super().__init__()
        self.reduce = ConvBNReLU(channels, FUSION_CHANNELS, 1)
        self.mix = nn.Sequential(
            *ConvBNReLU(FUSION_CHANNELS + guidance_channels, FUSION_CHANNELS, 3),
            *ConvBNReLU(FUSION_CHANNELS, FUSION_CHANNELS, 3),
        )
        self.expand = nn.Conv2d(FUSION_CHANNELS, channels, 1)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Add to (B, channels, h, w) what the guidance (B, guidance_channels, h, w) says of it."""
        return x + self.expand(self.mix(torch.cat([self.reduce(x), guidance], dim=1)))


class GuidanceFusion(nn.Module):
    """Embed guidance maps at /4, /8, /16 and /32 and fuse each with the map of its size.

    Args:
        channels: of the maps, shallow to deep.
        maps: G.
    """

    def __init__(self, channels: Sequence[int], maps: int = GUIDANCE_MAPS) -> None:
        super().__init__()

        def halve(in_channels: int, out_channels: int) -> nn.Sequential:
            convolution = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

        widths = [STEM_CHANNELS, *[FUSION_CHANNELS] * (len(channels) - 1)]
        stem = nn.Sequential(*halve(maps, STEM_CHANNELS // 2), *halve(STEM_CHANNELS // 2, STEM_CHANNELS))
        self.pyramid = nn.ModuleList([stem, *(halve(a, b) for a, b in itertools.pairwise(widths))])
        self.levels = nn.ModuleList(Fusion(c, width) for c, width in zip(channels, widths, strict=True))

    def forward(self, features: Sequence[Tensor], guidance: Tensor) -> list[Tensor]:
        """Fuse.

        Args:
            features: maps at /4, /8, /16, /32.
            guidance: (B, G, H, W), 0 to 1.

        Returns:
            The maps with what the guidance adds.
        """
        fused: list[Tensor] = []
        for embed, level, x in zip(self.pyramid, self.levels, features, strict=True):
            guidance = embed(guidance)
            fused.append(level(x, guidance))
        return fused


class InteractiveSGDNet(SGDNet):
    """SGD-Net for images with guidance beside them: (B, 3 + 4, H, W), or (B, 3, H, W) for none.

    `embed` and `answer` are the two halves of `forward`: one runs once an image, the other once a click.

    Args:
        train_embedding: whether the parts that do not read the guidance are trained too. False leaves them as they
            are, statistics of batch normalisation included, at a third of the cost of a step.
        network: arguments of `SGDNet`.

    Raises:
        ValueError: for an argument out of its range.
        UserError: for weights that are missing or do not fit.
    """

    def __init__(self, train_embedding: bool = False, **network: Any) -> None:
        super().__init__(**network)
        x1, x2, x3, _ = self.encoder.out_channels
        self.image_channels: int = self.arguments["in_channels"]
        self.train_embedding = train_embedding
        self.fusion = GuidanceFusion((x1, x2, x3, self.arguments["encoder_width"]))
        for module in self.embedding_parts():
            module.requires_grad_(train_embedding)

    def embedding_parts(self) -> list[nn.Module]:
        """Modules that do not depend on the guidance."""
        return [part for name in EMBEDDING_PARTS if (part := getattr(self, name)) is not None]

    def train(self, mode: bool = True) -> InteractiveSGDNet:
        """Switch to training; parts that are not trained stay in `eval()`."""
        super().train(mode)
        if not self.train_embedding:
            for module in self.embedding_parts():
                module.eval()
        return self

    def embed(self, image: Tensor) -> Embedding:
        """Compute what does not depend on guidance.

        Args:
            image: (B, 3, H, W), any height and width.

        Returns:
            What `answer` needs of the image.
        """
        x = pad_to_multiple(image, self.size_factor)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.train_embedding):
            skips, deep, edge, structure = self.encode(x)
        return Embedding(skips, deep, structure, edge, (image.shape[2], image.shape[3]))

    def answer(self, embedding: Embedding, guidance: Tensor) -> Tensor | list[Tensor]:
        """Segment an embedded image with guidance.

        Args:
            embedding: from `embed`.
            guidance: (B, 4, H, W), 0 to 1.

        Returns:
            As `forward`.
        """
        padded = pad_to_multiple(guidance, self.size_factor)
        decoded = self._decode(embedding, padded)
        height, width = embedding.size
        heads = self.heads if self.training else self.heads[:1]
        maps = [head(x) for head, x in zip(heads, decoded, strict=False)]
        maps += [embedding.edge] if self.training and embedding.edge.numel() else []
        maps = [resize_to(logits, padded)[:, :, :height, :width] for logits in maps]
        return maps if self.training else maps[0]

    def decode(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Run `SGDNet.decode` on a padded image with or without guidance, (B, 3 + 4 or 3, H, W)."""
        image, guidance = x[:, : self.image_channels], x[:, self.image_channels :]
        if guidance.shape[1] == 0:
            guidance = x.new_zeros((x.shape[0], GUIDANCE_MAPS, *x.shape[2:]))
        embedding = self.embed(image)
        return self._decode(embedding, guidance), embedding.edge, embedding.structure

    def _decode(self, embedding: Embedding, guidance: Tensor) -> list[Tensor]:
        """Decoded maps (B, P, h, w), fine to coarse, of an embedded image and its padded guidance."""
        *skips, deep = self.fusion([*embedding.skips, embedding.deep], guidance)
        return self.refine_and_decode(skips, deep, embedding.structure)


def with_fusion(network: InteractiveSGDNet, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Complete the weights of an automatic network with the fusion of an interactive one.

    Args:
        network: whose fusion stands in.
        state: weights of an automatic network, or of an interactive one, which are complete.

    Returns:
        Weights that `network` takes.
    """
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(FUSION)}
    return {**own, **state}
