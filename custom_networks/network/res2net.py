"""Encoder: Res2Net-50 v1b, 26w x 4s.

Source: Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", TPAMI 2021, v1b (deep stem, average-pooled
shortcuts); section 3.1 of the SGDC paper uses it with ImageNet weights. Parameter names are those of the published
file `res2net50_v1b_26w_4s-3cf99910.pth`, so that it loads strictly. Differences: no classifier; four maps come out.

Width and depths are arguments, so that the same blocks make a small network, too.

Symbols: B batch, H and W the input's height and width, /4 a quarter of both, P planes of the first stage (64).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from custom_networks.operators.convolution import Convolution

EXPANSION = 4
SPLITS = 4
BASE_WIDTH = 26
PLANES = 64
DEPTHS = (3, 4, 6, 3)
STRIDES = (1, 2, 2, 2)


class Bottle2neck(nn.Module):
    """Bottleneck whose 3x3 convolution is split into a hierarchy of `SPLITS` groups.

    Args:
        in_channels: channels of the input.
        planes: base planes of the stage; the output has `planes * EXPANSION` channels.
        stride: of the 3x3 convolutions.
        first: whether this is the first block of a stage: its splits do not feed each other, it carries the stride,
            and its shortcut is a pooled projection.
        base_width: channels of a split where `planes` is 64.
    """

    def __init__(
        self, in_channels: int, planes: int, stride: int = 1, *, first: bool = False, base_width: int = BASE_WIDTH
    ) -> None:
        super().__init__()
        width = math.floor(planes * base_width / 64)
        out_channels = planes * EXPANSION
        self.width = width
        self.first = first
        self.conv1 = Convolution(in_channels, width * SPLITS, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * SPLITS)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, stride, 1, bias=False) for _ in range(SPLITS - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SPLITS - 1))
        self.conv3 = Convolution(width * SPLITS, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if first else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if first:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                Convolution(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, planes * 4, H / stride, W / stride)."""
        splits = torch.split(self.relu(self.bn1(self.conv1(x))), self.width, dim=1)
        outputs: list[Tensor] = []
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):  # noqa: B905 (TorchScript has no strict=)
            split = splits[i] if i == 0 or self.first else splits[i] + outputs[i - 1]
            outputs.append(self.relu(bn(conv(split))))
        outputs.append(self.pool(splits[-1]))
        return self.relu(self.bn3(self.conv3(torch.cat(outputs, dim=1))) + self.downsample(x))


class Res2Net(nn.Module):
    """Res2Net v1b without its classifier; Res2Net-50 26w x 4s unless told otherwise.

    Args:
        in_channels: channels of the picture.
        depths: blocks of each of the four stages.
        planes: P; the stages have P, 2P, 4P and 8P, the stem P/2, P/2 and P channels.
        base_width: channels of a split for every 64 planes.

    Attributes:
        out_channels: of the four maps: 4P, 8P, 16P, 32P.

    Raises:
        ValueError: for depths that are not four positive numbers, or widths that leave a layer without channels.
    """

    def __init__(
        self,
        in_channels: int = 3,
        depths: Sequence[int] = DEPTHS,
        planes: int = PLANES,
        base_width: int = BASE_WIDTH,
    ) -> None:
        super().__init__()
        if len(depths) != len(STRIDES) or min(depths) < 1:
            raise ValueError(f"depths of the encoder must be four numbers of 1 or more, got {list(depths)}")
        if planes < 2 or planes % 2 or planes * base_width < 64:
            raise ValueError(
                f"planes of the encoder must be even and planes * base_width 64 or more, "
                f"got planes {planes} and base_width {base_width}"
            )
        half = planes // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, 1, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, planes, 3, 1, 1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.out_channels = tuple(planes * EXPANSION * 2**stage for stage in range(len(STRIDES)))
        channels = planes
        layers = []
        for depth, stride, out_channels in zip(depths, STRIDES, self.out_channels, strict=True):
            inner = out_channels // EXPANSION
            blocks = [Bottle2neck(channels, inner, stride, first=True, base_width=base_width)]
            blocks += [Bottle2neck(out_channels, inner, base_width=base_width) for _ in range(depth - 1)]
            layers.append(nn.Sequential(*blocks))
            channels = out_channels
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (B, 3, H, W) into 4P channels at /4 (256), 8P at /8, 16P at /16 and 32P at /32 (2048)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)
