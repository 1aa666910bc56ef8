"""Encoder: Res2Net-50 v1b, 26w x 4s.

Source: Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", TPAMI 2021, v1b (deep stem, average-pooled
shortcuts); section 3.1 of the SGDC paper uses it with ImageNet weights. Parameter names are those of the published
file `res2net50_v1b_26w_4s-3cf99910.pth`, so that it loads strictly. Differences: no classifier; four maps come out.

Symbols: B batch, H and W the input's height and width, /4 a quarter of both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

EXPANSION = 4
SPLITS = 4
BASE_WIDTH = 26
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # planes, depth, stride


class Bottle2neck(nn.Module):
    """Bottleneck whose 3x3 convolution is split into a hierarchy of `SPLITS` groups.

    Args:
        in_channels: channels of the input.
        planes: base planes of the stage; the output has `planes * EXPANSION` channels.
        stride: of the 3x3 convolutions.
        first: whether this is the first block of a stage: its splits do not feed each other, it carries the stride,
            and its shortcut is a pooled projection.
    """

    def __init__(self, in_channels: int, planes: int, stride: int = 1, *, first: bool = False) -> None:
        super().__init__()
        width = math.floor(planes * BASE_WIDTH / 64)
        out_channels = planes * EXPANSION
        self.width = width
        self.first = first
        self.conv1 = nn.Conv2d(in_channels, width * SPLITS, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * SPLITS)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, stride, 1, bias=False) for _ in range(SPLITS - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SPLITS - 1))
        self.conv3 = nn.Conv2d(width * SPLITS, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(3, stride, padding=1) if first else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if first:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
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


class Res2Net50(nn.Module):
    """Res2Net-50 v1b 26w x 4s without its classifier.

    Args:
        in_channels: channels of the picture.
    """

    out_channels = tuple(planes * EXPANSION for planes, _, _ in STAGES)

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 1, 1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        layers = []
        for planes, depth, stride in STAGES:
            blocks = [Bottle2neck(channels, planes, stride, first=True)]
            channels = planes * EXPANSION
            blocks += [Bottle2neck(channels, planes) for _ in range(depth - 1)]
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (B, 3, H, W) into 256 channels at /4, 512 at /8, 1024 at /16 and 2048 at /32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)
