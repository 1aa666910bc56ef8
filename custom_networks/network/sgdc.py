"""SGDC: structure-guided dynamic convolution, section 3.3, eqs. (2) to (4), and the modules Table 4 swaps it for.

Deviations from the authors' file: the local branch takes the normalised map, as the paper says and their code does
not (`local_input="raw"` reproduces the code); no unfold. As in their code, and not in eqs. (3) and (4), residuals
carry a learned scale per channel (`layer_scale_init=None` leaves it out).

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps, H height, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.network.layers import LayerNorm2d, constant_parameter, resize_to
from custom_networks.operators.dynamic_convolution import dynamic_convolution

LOCAL_INPUTS = ("normalized", "raw")


class FeedForward(nn.Sequential):
    """1x1 C -> ratio * C, GELU, 1x1 back, eq. (4)."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__(nn.Conv2d(channels, ratio * channels, 1), nn.GELU(), nn.Conv2d(ratio * channels, channels, 1))


class GuidanceAddition(nn.Module):
    """Add the projected guidance to the map: "Baseline + SGE", row 3 of Table 4; also how SGDC fuses the two.

    Args:
        channels: C of the map.
        guidance_channels: channels of the guidance.
    """

    def __init__(self, channels: int, guidance_channels: int = 16) -> None:
        super().__init__()
        self.project = nn.Conv2d(guidance_channels, channels, 1)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Fuse (B, C, H, W) with a guidance of any size, (B, 16, h, w)."""
        return x + self.project(resize_to(guidance, x))


class SelfGuidance(nn.Module):
    """The map guides itself: "w/ Self-Guidance" of Table 5. The guidance is not read."""

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return `x`."""
        return x


class SGDC(nn.Module):
    """Structure-guided dynamic convolution block.

    Args:
        channels: C.
        guidance_channels: channels of the guidance; 0 means self-guidance.
        heads: G; the channels of a head share their kernels.
        kernel_size: k, odd.
        local_branch: whether the gated 3x3 depthwise convolution is there.
        dynamic_branch: whether the dynamic convolution is there.
        local_input: "normalized" (the paper) or "raw" (the authors' file).
        layer_scale_init: initial scale of both residuals, None for no scale.

    Raises:
        ValueError: for a `local_input` that does not exist, or no branch at all.
    """

    def __init__(
        self,
        channels: int,
        guidance_channels: int = 16,
        heads: int = 4,
        kernel_size: int = 7,
        local_branch: bool = True,
        dynamic_branch: bool = True,
        local_input: str = "normalized",
        layer_scale_init: float | None = 1e-6,
    ) -> None:
        super().__init__()
        if local_input not in LOCAL_INPUTS:
            raise ValueError(f"local_input must be one of {', '.join(LOCAL_INPUTS)}, got {local_input!r}")
        if not (local_branch or dynamic_branch):
            raise ValueError("SGDC needs a branch: set local_branch or dynamic_branch to true")
        self.heads = heads
        self.kernel_size = kernel_size
        self.local_branch = local_branch
        self.dynamic_branch = dynamic_branch
        self.raw_local = local_input == "raw"
        self.fuse = GuidanceAddition(channels, guidance_channels) if guidance_channels else SelfGuidance()
        # one head for gate1 and gate2 (C each) and the kernel logits (G*K); a branch left out needs no outputs
        self.sections = [channels * local_branch, channels * dynamic_branch, heads * kernel_size**2 * dynamic_branch]
        self.parameterize = nn.Conv2d(channels, sum(self.sections), 1)
        self.norm = LayerNorm2d(channels)
        self.local: nn.Module = nn.Identity()
        if local_branch:
            self.local = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.ffn_norm = LayerNorm2d(channels)
        self.ffn = FeedForward(channels)
        self.mix_scale: Tensor | float = 1.0
        self.ffn_scale: Tensor | float = 1.0
        if layer_scale_init is not None:
            self.mix_scale = constant_parameter(channels, layer_scale_init)
            self.ffn_scale = constant_parameter(channels, layer_scale_init)

    def mix(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Sum of the local and the dynamic branch, eqs. (2) and (3); (B, C, H, W)."""
        gate1, gate2, logits = self.parameterize(self.fuse(x, guidance)).split(self.sections, dim=1)
        normalized = self.norm(x)
        mixed = torch.zeros_like(x)
        if self.local_branch:
            mixed = self.local((x if self.raw_local else normalized) * torch.sigmoid(gate1))
        if self.dynamic_branch:
            dynamic = dynamic_convolution(normalized, logits, self.heads, self.kernel_size)
            mixed = mixed + dynamic * torch.sigmoid(gate2)
        return mixed

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Refine a map, eq. (4).

        Args:
            x: (B, C, H, W).
            guidance: (B, 16, h, w), resized to x.

        Returns:
            (B, C, H, W).
        """
        x = x + self.mix_scale * self.mix(x, guidance)
        return x + self.ffn_scale * self.ffn(self.ffn_norm(x))


class PooledDynamicConvolution(nn.Module):
    """ContMix-like refinement, row 4 of Table 4: kernels from affinities to an average-pooled context.

    After Lou and Yu, "OverLoCK", CVPR 2025: each pixel's query is compared with keys pooled to a k x k grid, and a
    linear map turns the K affinities of a head into its K kernel logits. Where SGDC reads the guidance at the
    pixel, this pools it.

    Args:
        channels: C.
        guidance_channels: channels of the guidance.
        heads: G.
        kernel_size: k, side of the kernels and of the pooled grid.
        reduction: queries and keys have C / reduction channels.
    """

    def __init__(
        self, channels: int, guidance_channels: int = 16, heads: int = 4, kernel_size: int = 7, reduction: int = 4
    ) -> None:
        super().__init__()
        self.heads = heads
        self.kernel_size = kernel_size
        inner = channels // reduction
        self.fuse = GuidanceAddition(channels, guidance_channels)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.to_logits = nn.Linear(kernel_size**2, kernel_size**2)
        self.norm = LayerNorm2d(channels)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Refine (B, C, H, W) with a guidance of any size."""
        height, width = x.shape[2], x.shape[3]
        fused = self.fuse(x, guidance)
        query = self.query(fused).unflatten(1, [self.heads, -1]).flatten(3)  # (B, G, c, HW)
        pooled = F.adaptive_avg_pool2d(self.key(fused), self.kernel_size)
        key = pooled.unflatten(1, [self.heads, -1]).flatten(3)  # (B, G, c, K)
        affinity = query.transpose(2, 3) @ key * query.shape[2] ** -0.5  # (B, G, HW, K)
        logits = self.to_logits(affinity).transpose(2, 3).flatten(1, 2).unflatten(2, [height, width])
        return x + self.project(dynamic_convolution(self.norm(x), logits, self.heads, self.kernel_size))


class NoRefinement(nn.Module):
    """The map passes unchanged: rows 1 and 2 of Table 4. The guidance is not read."""

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Return `x`."""
        return x
