"""SGE: structure guidance extractor, section 3.2 and Figure 1 (b).

Two maps, the deepest and the shallowest, are projected, modulated by their own edges and fused; one head predicts
the supervised edge map, another the guidance that SGDC reads. Supervision wants a sharp contour, guidance a richer
description, hence two heads.

Symbols: B batch, H and W the input's height and width, /4 a quarter of both.
"""

from __future__ import annotations

from torch import Tensor, nn

from custom_networks.network.layers import ConvBNReLU
from custom_networks.operators.convolution import Convolution, convolve
from custom_networks.operators.edges import EdgeModulation
from custom_networks.operators.upsampled_convolution import convolve_upsampled


class Refiner(nn.Module):
    """Residual bottleneck: 1x1 down, 3x3, 1x1 up.

    Args:
        channels: C.
        reduction: the 3x3 works on C / reduction channels.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = channels // reduction
        self.body = nn.Sequential(
            ConvBNReLU(channels, inner, 1),
            ConvBNReLU(inner, inner, 3),
            Convolution(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in and out."""
        return self.relu(self.body(x) + x)


class StructureGuidanceExtractor(nn.Module):
    """SGE: a one-channel edge map for supervision and a multi-channel guidance for SGDC.

    Args:
        deep_channels: channels of the deepest map.
        shallow_channels: channels of the shallowest map.
        channels: width of both streams.
        guidance_channels: channels of the guidance; 0 leaves its head out.
        edge_operator: see `EdgeModulation`.
        edge_reading: see `EdgeModulation`.
    """

    def __init__(
        self,
        deep_channels: int = 2048,
        shallow_channels: int = 256,
        channels: int = 256,
        guidance_channels: int = 16,
        edge_operator: str = "sobel",
        edge_reading: str = "summed",
    ) -> None:
        super().__init__()

        def stream(in_channels: int) -> nn.Sequential:
            return nn.Sequential(
                ConvBNReLU(in_channels, channels, 1),
                EdgeModulation(channels, edge_operator, edge_reading),
                Refiner(channels),
            )

        self.deep = stream(deep_channels)
        self.shallow = stream(shallow_channels)
        self.fuse = ConvBNReLU(2 * channels, channels, 3)
        self.edge = nn.Conv2d(channels, 1, 1, bias=False)
        self.guidance: nn.Module = nn.Identity()
        if guidance_channels:
            self.guidance = nn.Conv2d(channels, guidance_channels, 1, bias=False)

    def structure(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """Convolve the deep map, upsampled to the shallow one, and the shallow map, joined in this order.

        The deep half is convolved before it is upsampled: the same sum at 1/30 of its cost.

        Args:
            deep: (B, C, H/32, W/32).
            shallow: (B, C, H/4, W/4).

        Returns:
            (B, C, H/4, W/4).
        """
        convolution = self.fuse[0]
        for_deep, for_shallow = convolution.weight.chunk(2, dim=1)  # type: ignore[operator]
        fused = convolve(shallow, for_shallow, convolution.bias)  # type: ignore[arg-type]
        fused = fused + convolve_upsampled(deep, for_deep, (shallow.shape[2], shallow.shape[3]))
        return self.fuse[2](self.fuse[1](fused))

    def forward(self, deep: Tensor, shallow: Tensor) -> tuple[Tensor, Tensor]:
        """Extract structure.

        Args:
            deep: (B, 2048, H/32, W/32).
            shallow: (B, 256, H/4, W/4).

        Returns:
            Edge logits (B, 1, H/4, W/4) and guidance (B, 16, H/4, W/4).
        """
        structure = self.structure(self.deep(deep), self.shallow(shallow))
        return self.edge(structure), self.guidance(structure)
