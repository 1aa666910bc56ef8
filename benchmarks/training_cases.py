"""One step of training: zero the gradients, forward, loss, backward, Adam."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measure import Case, Row, Settings, max_difference, run_cases
from benchmarks.networks import cto, literal_sgdnet, sgdnet
from custom_networks.losses.sgd_loss import SCALES, SGDNetLoss

LITERAL = "SGD-Net, literal"
NETWORKS: dict[str, tuple[Callable[[], nn.Module], bool, bool]] = {
    LITERAL: (literal_sgdnet, False, False),
    "SGD-Net": (sgdnet, False, False),
    "SGD-Net, channels-last": (sgdnet, True, False),
    "SGD-Net, channels-last, bfloat16 autocast": (sgdnet, True, True),
    "SGD-Net, channels-last, bfloat16, checkpointing": (partial(sgdnet, checkpointing=True), True, True),
    "CTO": (cto, False, False),
}
"""Name: network, channels-last, bfloat16 autocast."""


def discs(batch: int, size: int) -> Tensor:
    """Masks (B, 1, size, size) of one disc each."""
    axis = torch.arange(size) + 0.5
    distance = torch.hypot(axis[:, None] - size / 2, axis[None] - size / 2)
    return torch.stack([(distance < size * (0.2 + 0.2 * i / batch)).float()[None] for i in range(batch)])


def build(name: str, size: int, batch: int, device: str) -> Callable[[], Tensor]:
    """Make a step; it returns the loss before the update."""
    make, channels_last, autocast = NETWORKS[name]
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    network = make().train().to(device, memory_format=memory_format)  # type: ignore[call-overload]
    noise = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    image = noise.to(device).contiguous(memory_format=memory_format)
    labels = discs(batch, size).to(device)
    fused = name.startswith("SGD-Net") and name != LITERAL  # as train.json has it; the others as is usual
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=fused)
    loss_function = SGDNetLoss()

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=autocast):
            outputs = network(image)
        if name == "CTO":  # its segmentation loss alone
            outputs = outputs[: len(SCALES)]
        loss = loss_function(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def run(settings: Settings, batches: Sequence[int] = (2,)) -> Row:
    """Measure a step of each network at 256 x 256."""
    size = 64 if settings.quick else 256
    result: list[Row] = []
    for batch in batches:
        print(f"{size}x{size}, batch {batch}", file=sys.stderr, flush=True)
        cases = [Case(name, partial(build, name, size, batch, settings.device), memory_warm_up=1) for name in NETWORKS]
        rows, _, outputs = run_cases(cases, settings)
        for row in rows:
            row |= {"size": size, "batch": batch}
            if row["name"] in outputs:
                row["first_loss"] = outputs[row["name"]].item()
                if LITERAL in outputs and row["name"] != "CTO":
                    row["loss_difference"] = max_difference(outputs[row["name"]], outputs[LITERAL])
                row["images_per_s"] = 1000 * batch / row["median_ms"]
        result += rows
    return {"rows": result}
