"""VM-UNet V2: an encoder of visual state space blocks and U-Net v2's decoder.

Source: Zhang et al., "VM-UNet-V2: Rethinking Vision Mamba UNet for Medical Image Segmentation", ISBRA 2024; its blocks
are those of Liu et al., "VMamba: Visual State Space Model", 2024: the map is read as four sequences, along its rows
and columns, forwards and backwards.

With the authors' encoder of 2, 2, 9 and 2 blocks it has 22.73 M parameters (published: 22.77) and 5.34 GMACs (5.31).
Table 2 of the SGD-Net paper prints 17.91 M and 4.40 G, and no depths: 2, 2, 5 and 2, which the overlay has, come
nearest, with 17.95 M and 4.17 G.

Deviations: random initialisation; one head, at the finest level; the scan is plain PyTorch, without a GPU kernel of
its own. The multiply-adds of the recurrence, which are no products that a counter knows, are left out.

Symbols: B batch, C channels, H and W height and width, E inner channels (2C), K = 4 directions, S states, L = HW.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.layers import DropPath
from torch import Tensor, nn

from custom_networks.baselines.sdi import InfusionDecoder
from custom_networks.baselines.selective_scan import selective_scan
from custom_networks.network.layers import resize_to

DIRECTIONS = 4


def sequences(x: Tensor) -> Tensor:
    """Read (B, E, H, W) as (B, 4, E, L): along rows, along columns, and both backwards."""
    forwards = torch.stack([x.flatten(2), x.transpose(2, 3).flatten(2)], 1)
    return torch.cat([forwards, forwards.flip(3)], 1)


def merge(y: Tensor, height: int, width: int) -> Tensor:
    """Put (B, 4, E, L) back as a map (B, E, H, W) and sum up the four."""
    rows, columns = (y[:, :2] + y[:, 2:].flip(3)).unbind(1)
    return rows.unflatten(2, [height, width]) + columns.unflatten(2, [width, height]).transpose(2, 3)


class SelectiveScan2d(nn.Module):
    """VMamba's SS2D: mix a map (B, H, W, C) by scans in four directions.

    Args:
        channels: C.
        states: S.
        expansion: E / C.
        step_range: least and largest step width at the start.
    """

    def __init__(
        self, channels: int, states: int = 16, expansion: int = 2, step_range: tuple[float, float] = (0.001, 0.1)
    ) -> None:
        super().__init__()
        inner, rank = channels * expansion, math.ceil(channels / 16)
        self.sizes = [rank, states, states]
        self.enter = nn.Linear(channels, 2 * inner, bias=False)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.select = nn.Parameter(torch.empty(DIRECTIONS, rank + 2 * states, inner))
        self.step = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        self.step_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        decay = torch.arange(1, states + 1, dtype=torch.float32).log()
        self.log_decay = nn.Parameter(decay.repeat(DIRECTIONS, inner, 1))  # (K, E, S)
        self.skip = nn.Parameter(torch.ones(DIRECTIONS, inner))
        self.norm = nn.LayerNorm(inner)
        self.leave = nn.Linear(inner, channels, bias=False)
        nn.init.uniform_(self.select, -(inner**-0.5), inner**-0.5)
        nn.init.uniform_(self.step, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            low, high = map(math.log, step_range)
            steps = torch.exp(torch.rand_like(self.step_bias) * (high - low) + low)
            self.step_bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus of it is the step

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, H, W, C)."""
        height, width = x.shape[1:3]
        x, gate = self.enter(x).chunk(2, dim=-1)
        x = F.silu(self.mix(x.permute(0, 3, 1, 2)))
        u = sequences(x)  # (B, K, E, L)
        step, b, c = torch.einsum("bkel,kse->bksl", u, self.select).split(self.sizes, dim=2)
        delta = F.softplus(torch.einsum("bkrl,ker->bkel", step, self.step) + self.step_bias[..., None])
        y = selective_scan(u, delta, -torch.exp(self.log_decay), b, c, self.skip)
        mixed = self.norm(merge(y, height, width).permute(0, 2, 3, 1))
        return self.leave(mixed * F.silu(gate))


class ScanBlock(nn.Module):
    """VMamba's VSS block: normalise, scan, add; (B, H, W, C) in and out."""

    def __init__(self, channels: int, drop_path: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6),
            SelectiveScan2d(channels),
            DropPath(drop_path) if drop_path else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Mix (B, H, W, C)."""
        return x + self.body(x)


class PatchMerging(nn.Module):
    """Join 2 x 2 pixels and double the channels: (B, H, W, C) to (B, H/2, W/2, 2C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Join, for even H and W."""
        joined = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        return self.reduce(self.norm(joined))


class VMUNetV2(nn.Module):
    """VM-UNet V2 for 2D images whose sides are multiples of 32.

    Args:
        in_channels: of the image.
        out_channels: of the logits.
        width: channels of the decoder.
        channels: of the encoder's first map; each later one has twice as many.
        depths: blocks of the encoder's stages.
        drop_path: probability that the last block is left out in training; earlier ones less.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 48,
        channels: int = 96,
        depths: Sequence[int] = (2, 2, 9, 2),
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        widths = [channels * 2**stage for stage in range(len(depths))]
        self.embed = nn.Conv2d(in_channels, channels, 4, 4)
        self.norm = nn.LayerNorm(channels)
        self.merge = nn.ModuleList(PatchMerging(each) for each in widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ScanBlock(each, next(rates)) for _ in range(depth)))
            for each, depth in zip(widths, depths, strict=True)
        )
        self.decoder = InfusionDecoder(widths, width, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, H, W) of (B, 3, H, W)."""
        x = self.norm(self.embed(image).permute(0, 2, 3, 1))
        maps = []
        for stage, blocks in enumerate(self.stages):
            x = blocks(x if stage == 0 else self.merge[stage - 1](x))
            maps.append(x.permute(0, 3, 1, 2))
        return resize_to(self.decoder(maps), image)
