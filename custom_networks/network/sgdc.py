"""SGDC: structure-guided dynamic convolution, section 3.3, eqs. (2) to (4).

Deviations from the authors' file: the local branch takes the normalised map, as the paper says and their code does
not (`local_input="raw"` reproduces the code); no unfold. As in their code, and not in eqs. (3) and (4), residuals
carry a learned scale per channel (`layer_scale_init=None` leaves it out).

Symbols: B batch, C channels, G heads, k kernel side, K = k*k taps, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from custom_networks.errors import nearest
from custom_networks.network.layers import LayerNorm2d, constant_parameter, resize_to
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.dynamic_convolution import DynamicConvolution

LOCAL_INPUTS = ("normalized", "raw")


class FeedForward(nn.Sequential):
    """1x1 C -> ratio * C, GELU, 1x1 back, eq. (4)."""

    def __init__(self, channels: int, ratio: int = 4) -> None:
        inner = ratio * channels
        super().__init__(Convolution(channels, inner, 1), nn.GELU(), Convolution(inner, channels, 1))


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


class LocalBranch(nn.Module):
    """3x3 depthwise convolution of the gated map, eq. (2).

    Args:
        channels: C.
        raw: whether it reads the raw map (the authors' file) or the normalised one (the paper).
    """

    def __init__(self, channels: int, raw: bool = False) -> None:
        super().__init__()
        self.raw = raw
        self.sections = [channels]
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, normalized: Tensor, parameters: list[Tensor]) -> Tensor:
        """Convolve one of two maps (B, C, H, W); `parameters` are the gate's logits (B, C, H, W)."""
        return self.conv((x if self.raw else normalized) * torch.sigmoid(parameters[0]))


class DynamicBranch(nn.Module):
    """Gated dynamic convolution of the normalised map, eq. (3).

    Args:
        channels: C.
        heads: G.
        kernel_size: k, odd.
        backend: of the dynamic convolution.
    """

    def __init__(self, channels: int, heads: int, kernel_size: int, backend: str = "auto") -> None:
        super().__init__()
        self.sections = [channels, heads * kernel_size**2]
        self.operator = DynamicConvolution(heads, kernel_size, backend)

    def forward(self, x: Tensor, normalized: Tensor, parameters: list[Tensor]) -> Tensor:
        """Convolve `normalized`, (B, C, H, W); `parameters` are gate (B, C, H, W) and kernel logits (B, G*K, H, W)."""
        return self.operator(normalized, parameters[1]) * torch.sigmoid(parameters[0])


class NoBranch(nn.Module):
    """A branch that is left out: zero."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[int] = []

    def forward(self, x: Tensor, normalized: Tensor, parameters: list[Tensor]) -> Tensor:
        """Return zeros of x's shape."""
        return torch.zeros_like(x)


def scaled_sum(x: Tensor, scale: Tensor | float, change: Tensor) -> Tensor:
    """Return x + scale * change, with a scale per channel (C, 1, 1) in one pass over the maps.

    Not in an ONNX graph, where `addcmul` multiplies by a float32 constant, which the float16 around it does not take.
    """
    if isinstance(scale, Tensor):
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
            if torch.onnx.is_in_onnx_export():
                return x + scale * change
        return torch.addcmul(x, scale, change)
    return x + scale * change


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
        backend: of the dynamic convolution, a name in `operators/backends/registry.py` or "auto".

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
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if local_input not in LOCAL_INPUTS:
            known = f"{', '.join(LOCAL_INPUTS)}, got {local_input!r}{nearest(str(local_input), LOCAL_INPUTS)}"
            raise ValueError(f"local_input must be one of {known}")
        if not (local_branch or dynamic_branch):
            raise ValueError("SGDC needs a branch: set local_branch or dynamic_branch to true")
        self.fuse = GuidanceAddition(channels, guidance_channels) if guidance_channels else SelfGuidance()
        self.local = LocalBranch(channels, local_input == "raw") if local_branch else NoBranch()
        self.dynamic = DynamicBranch(channels, heads, kernel_size, backend) if dynamic_branch else NoBranch()
        self.sections = self.local.sections + self.dynamic.sections
        self.local_sections = len(self.local.sections)
        self.parameterize = Convolution(channels, sum(self.sections), 1)  # one convolution for both branches
        self.norm = LayerNorm2d(channels)
        self.ffn_norm = LayerNorm2d(channels)
        self.ffn = FeedForward(channels)
        self.mix_scale: Tensor | float = 1.0
        self.ffn_scale: Tensor | float = 1.0
        if layer_scale_init is not None:
            self.mix_scale = constant_parameter(channels, layer_scale_init)
            self.ffn_scale = constant_parameter(channels, layer_scale_init)

    def mix(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Sum of the local and the dynamic branch, eqs. (2) and (3); (B, C, H, W)."""
        parameters = self.parameterize(self.fuse(x, guidance)).split(self.sections, dim=1)
        local, dynamic = parameters[: self.local_sections], parameters[self.local_sections :]
        normalized = self.norm(x)
        return self.local(x, normalized, local) + self.dynamic(x, normalized, dynamic)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Refine a map, eq. (4).

        Args:
            x: (B, C, H, W).
            guidance: (B, 16, h, w), resized to x.

        Returns:
            (B, C, H, W).
        """
        x = scaled_sum(x, self.mix_scale, self.mix(x, guidance))
        return scaled_sum(x, self.ffn_scale, self.ffn(self.ffn_norm(x)))
