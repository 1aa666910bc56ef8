"""Parameters, multiply-adds, time and memory of SGD-Net and every `configs/baselines/`, beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.macs import count_macs, count_parameters
from benchmarks.measure import Case, Row, Settings, run_cases
from benchmarks.network_cases import Inference, picture
from custom_networks.bundle_files import config_file, default_bundle
from custom_networks.configuration.merged import read_config

SGDNET = "sgdnet"
"""The network of train.json without an overlay."""
LABELS = {
    SGDNET: "SGD-Net",
    "cto": "CTO",
    "unet": "U-Net",
    "attention_unet": "Attention U-Net",
    "unet_plus_plus": "UNet++",
    "segresnet": "SegResNet",
    "swin_unetr": "SwinUNETR",
    "flexible_unet": "FlexibleUNet, ResNet-34",
    "dynunet": "DynUNet, nnU-Net-like",
    "transunet": "TransUNet",
    "levit_unet": "LeViT-UNet-384",
    "unet_v2": "U-Net v2",
    "vm_unet_v2": "VM-UNet V2",
}
PUBLISHED = {
    SGDNET: (75.88, 36.23),
    "cto": (62.22, 22.70),
    "unet": (7.78, 14.59),
    "levit_unet": (64.23, 23.57),
    "transunet": (114.65, 37.02),
    "unet_v2": (25.15, 5.40),
    "vm_unet_v2": (17.91, 4.40),
}
"""Table 2 of the paper: millions of parameters, and what it calls GFLOPs, which are multiply-adds."""


def network_of(name: str) -> nn.Module:
    """Build the network of an overlay of `configs/baselines/`, or of train.json, in `eval()`, as the bundle does."""
    from monai.bundle import ConfigParser

    root = default_bundle()
    files: list[str | Path] = [config_file(root, "train.json")]
    if name != SGDNET:
        files.append(config_file(root, f"baselines/{name}.json"))
    torch.manual_seed(0)
    parser = ConfigParser(read_config(files))
    parser["bundle_root"] = str(root)
    network: nn.Module = parser.get_parsed_content("network_def")
    return network.eval()


def call_of(name: str, size: int, device: str) -> Inference:
    """Make the call of one case: one image."""
    return Inference(network_of(name).to(device), picture(size, 1, device))


def run(settings: Settings, names: Sequence[str] = tuple(LABELS)) -> Row:
    """Measure one image of 256 x 256 through each network."""
    size = 64 if settings.quick else 256
    cases = [Case(name, partial(call_of, name, size, settings.device)) for name in names]
    rows, calls, _ = run_cases(cases, settings)
    for row in rows:
        name = row["name"]
        published = PUBLISHED.get(name)
        row |= {"name": LABELS[name], "config": name, "size": size}
        if name in calls:
            network = calls[name].network  # type: ignore[attr-defined]
            row |= {"parameters": count_parameters(network), "gmacs": count_macs(network, size) / 1e9}
        if published:
            row |= {"published_mparameters": published[0], "published_gmacs": published[1]}
    return {"rows": rows}
