"""StitchViT: attention among interleaved sub-grids of the shallowest map.

Source: section 3.1, "Transformer encoder variant"; Lin et al., "Rethinking Boundary Detection in Deep
Learning-Based Medical Image Segmentation" (CTO), Medical Image Analysis 2025. The text puts attention's result back
where its pixels came from; CTO's code writes each token as a contiguous block, which moves every pixel
(`placement="blocks"`).

Symbols: B batch, C channels, H and W height and width of the map, s stride.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from custom_networks.errors import nearest
from custom_networks.network.layers import resize_to
from custom_networks.operators.convolution import Convolution
from custom_networks.operators.float32 import precise_matmul

STRIDES = (16, 8, 4, 2)
PLACEMENTS = ("interleaved", "blocks")
RESIZE = 8  # the deepest map is this much smaller than the shallowest


def stitch(x: Tensor, stride: int) -> Tensor:
    """Turn the s*s interleaved sub-grids of a map into tokens; pixel (i, j) goes to token (i mod s, j mod s).

    Attention is the same in whatever order a token holds its numbers. Channels come last, as in the maps themselves.

    Args:
        x: (B, C, H, W), H and W multiples of `stride`.
        stride: s.

    Returns:
        (B, s*s, H/s * W/s * C).
    """
    b, c, h, w = x.shape
    grid = x.reshape(b, c, h // stride, stride, w // stride, stride)
    return grid.permute(0, 3, 5, 2, 4, 1).reshape(b, stride * stride, -1)


def unstitch(tokens: Tensor, like: Tensor, stride: int) -> Tensor:
    """Put the pixels of the tokens back where `stitch` took them from `like`, (B, C, H, W); (B, H, W, C)."""
    b, c, h, w = like.shape
    grid = tokens.reshape(b, stride, stride, h // stride, w // stride, c)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(b, h, w, c)


def attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend: softmax(Q K' / sqrt(D)) V, of few tokens with many numbers each.

    The fused attention of PyTorch is made for many tokens with few: at 4 to 256 tokens of 65,536 to 1,024 numbers its
    backward pass took a third of a training step on an H100, and plain products are no slower on a CPU.

    Args:
        queries: (B, N, D).
        keys: (B, N, D).
        values: (B, N, D).

    Returns:
        (B, N, D).
    """
    energies = precise_matmul(queries, keys.transpose(1, 2)) * queries.shape[2] ** -0.5
    return torch.softmax(energies, dim=2).to(values.dtype) @ values


def place_blocks(tokens: Tensor, like: Tensor, stride: int) -> Tensor:
    """Write token (i, j) as block (i, j) of s x s contiguous blocks; (B, H, W, C) for `like`, (B, C, H, W)."""
    b, c, h, w = like.shape
    grid = tokens.reshape(b, stride, stride, h // stride, w // stride, c)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)


class StitchViT(nn.Module):
    """Multi-scale sparse self-attention and a dilated feed-forward part, both residual.

    Args:
        channels: C, divided evenly among the strides.
        strides: one group of channels attends at each.
        placement: of attention's result: "interleaved" (the text) or "blocks" (CTO's code).

    Raises:
        ValueError: for channels that the strides do not divide, or a placement that does not exist.
    """

    def __init__(self, channels: int = 256, strides: tuple[int, ...] = STRIDES, placement: str = "interleaved") -> None:
        super().__init__()
        if channels % len(strides):
            raise ValueError(f"channels must be a multiple of the {len(strides)} strides, got {channels}")
        if placement not in PLACEMENTS:
            hint = nearest(str(placement), PLACEMENTS)
            raise ValueError(f"stitch placement must be one of {', '.join(PLACEMENTS)}, got {placement!r}{hint}")
        self.strides = strides
        self.in_blocks = placement == "blocks"
        self.resize = RESIZE
        self.query = Convolution(channels, channels, 1)
        self.key = Convolution(channels, channels, 1)
        self.value = Convolution(channels, channels, 1)
        self.project = nn.Sequential(
            Convolution(channels, channels, 3), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)
        )
        self.feed_forward = nn.Sequential(
            Convolution(channels, channels, 3, dilation=2),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
            Convolution(channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
        )

    def attend(self, x: Tensor) -> Tensor:
        """Attention of each channel group among its sub-grids; (B, C, H, W) in and out."""
        groups = len(self.strides)
        queries = self.query(x).chunk(groups, 1)
        keys = self.key(x).chunk(groups, 1)
        values = self.value(x).chunk(groups, 1)
        outputs: list[Tensor] = []
        for i, stride in enumerate(self.strides):
            q, k, v = stitch(queries[i], stride), stitch(keys[i], stride), stitch(values[i], stride)
            attended = attention(q, k, v)
            if self.in_blocks:
                outputs.append(place_blocks(attended, queries[i], stride))
            else:
                outputs.append(unstitch(attended, queries[i], stride))
        return torch.cat(outputs, 3).permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Refine (B, C, H, W); H and W multiples of the largest stride."""
        x = x + self.project(self.attend(x))
        return x + self.feed_forward(x)

    def resized(self, x: Tensor, like: Tensor) -> Tensor:
        """Refine a map and resize it bilinearly to the size of another, 8 times smaller on each side.

        That resize is the mean of the four pixels in the middle of each 8 x 8 block. In `eval()`, where batch
        normalisation needs no statistics of the rest, the feed-forward part is therefore computed for these: an 8 x 8
        block is just what the dilated and the plain 3x3 need for them, without padding. Same values, 4.1 of the
        block's 8.1 GMACs saved.

        Args:
            x: (B, C, H, W).
            like: (B, any, H/8, W/8), read for its size alone.

        Returns:
            (B, C, H/8, W/8).
        """
        b, c, h, w = x.shape
        if h != self.resize * like.shape[2] or w != self.resize * like.shape[3]:
            return resize_to(self(x), like)
        middle = self.resize // 2
        if self.training:  # the gradient of a resize is not channels-last, that of these steps is
            refined = self(x).permute(0, 2, 3, 1)
            grid = refined.reshape(b, h // self.resize, self.resize, w // self.resize, self.resize, c)
            four = grid[:, :, middle - 1 : middle + 1, :, middle - 1 : middle + 1]
            means = 0.25 * (four[:, :, 0, :, 0] + four[:, :, 0, :, 1] + four[:, :, 1, :, 0] + four[:, :, 1, :, 1])
            return means.permute(0, 3, 1, 2)
        x = x + self.project(self.attend(x))
        grid = x.reshape(b, c, h // self.resize, self.resize, w // self.resize, self.resize)
        blocks = grid.permute(0, 2, 4, 3, 5, 1).reshape(-1, self.resize, self.resize, c).permute(0, 3, 1, 2)
        dilated, plain = self.feed_forward[0], self.feed_forward[3]
        inner = F.conv2d(blocks, dilated.weight, dilated.bias, dilation=2)  # type: ignore[arg-type]
        inner = self.feed_forward[2](self.feed_forward[1](inner))  # (N, C, 4, 4)
        inner = F.conv2d(inner, plain.weight, plain.bias)  # type: ignore[arg-type]
        inner = self.feed_forward[5](self.feed_forward[4](inner))  # (N, C, 2, 2)
        means = (blocks[:, :, middle - 1 : middle + 1, middle - 1 : middle + 1] + inner).mean(dim=[2, 3])
        return means.reshape(b, h // self.resize, w // self.resize, c).permute(0, 3, 1, 2)
