"""One step of training: zero the gradients, forward, loss, backward, Adam."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measure import Case, Row, Settings, max_difference, run_cases
from benchmarks.networks import attention_unet, cto, literal_sgdnet, made, sgdnet, swin_unetr
from custom_networks.losses.sgd_loss import SGDNetLoss
from custom_networks.training.graphed import TrainingInferer

LITERAL = "SGD-Net, literal"


@dataclass(frozen=True)
class Form:
    """One way to train a network.

    Attributes:
        make: makes the network.
        channels_last: whether its weights and images are channels-last.
        bfloat16: whether it runs under bfloat16 autocast.
        cuda_graph: whether its passes are recorded, as `--cuda_graph true` does; on a GPU alone.
        compiled: whether `torch.compile` compiles it, for minutes.
        fused: whether Adam is the fused one, as train.json has it; the others take the usual one.
    """

    make: Callable[[], nn.Module]
    channels_last: bool = False
    bfloat16: bool = False
    cuda_graph: bool = False
    compiled: bool = False
    fused: bool = True


FORMS: dict[str, Form] = {
    LITERAL: Form(literal_sgdnet, fused=False),
    "SGD-Net": Form(sgdnet),
    "SGD-Net, channels-last": Form(sgdnet, True),
    "SGD-Net, channels-last, bfloat16 autocast": Form(sgdnet, True, True),
    "SGD-Net, channels-last, bfloat16, checkpointing": Form(partial(sgdnet, checkpointing=True), True, True),
    "CTO": Form(cto, fused=False),
    "CTO, channels-last": Form(cto, True),
}
ON_A_GPU: dict[str, Form] = {
    "SGD-Net, literal, bfloat16": Form(literal_sgdnet, bfloat16=True, fused=False),
    "SGD-Net, literal, bfloat16, CUDA graph": Form(literal_sgdnet, bfloat16=True, cuda_graph=True, fused=False),
    "SGD-Net, channels-last, bfloat16, CUDA graph": Form(sgdnet, True, True, True),
    "CTO, channels-last, bfloat16": Form(cto, True, True),
    "CTO, channels-last, bfloat16, CUDA graph": Form(cto, True, True, True),
    "AttentionUnet, channels-last, bfloat16": Form(attention_unet, True, True),
    "SwinUNETR, bfloat16": Form(swin_unetr, bfloat16=True),
}
"""Measured there beside those of `FORMS` in bfloat16 and the literal network."""
COMPILED: dict[str, Form] = {
    "SGD-Net, channels-last, bfloat16, torch.compile": Form(sgdnet, True, True, compiled=True),
    "SGD-Net, channels-last, bfloat16, torch.compile, CUDA graph": Form(sgdnet, True, True, True, compiled=True),
}
"""Also measured there with `--compile`."""


def discs(batch: int, size: int) -> Tensor:
    """Masks (B, 1, size, size) of one disc each."""
    axis = torch.arange(size) + 0.5
    distance = torch.hypot(axis[:, None] - size / 2, axis[None] - size / 2)
    return torch.stack([(distance < size * (0.2 + 0.2 * i / batch)).float()[None] for i in range(batch)])


def build(name: str, size: int, batch: int, device: str) -> Callable[[], Tensor]:
    """Make a step; it returns the loss before the update."""
    form = {**FORMS, **ON_A_GPU, **COMPILED}[name]
    memory_format = torch.channels_last if form.channels_last else torch.contiguous_format
    network = made(form.make, device).train().to(device, memory_format=memory_format)  # type: ignore[call-overload]
    if form.compiled:
        network.compile(dynamic=False)
    noise = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))
    image = noise.to(device).contiguous(memory_format=memory_format)
    labels = discs(batch, size).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=form.fused)
    loss_function = SGDNetLoss()
    inferer = TrainingInferer(form.bfloat16, device, form.cuda_graph)
    inferer.amp = form.bfloat16  # on any processor, where it pays or not

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        outputs = inferer(image, network)
        loss = loss_function(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def run(settings: Settings, batches: Sequence[int] = (2,)) -> Row:
    """Measure a step of each network at 256 x 256."""
    size = 64 if settings.quick else 256
    forms = list(FORMS)
    if settings.device.startswith("cuda"):
        forms = [name for name, form in FORMS.items() if form.bfloat16 or name == LITERAL]
        forms += [*ON_A_GPU, *(COMPILED if settings.compile else ())]
    result: list[Row] = []
    for batch in batches:
        if time.monotonic() > settings.deadline:
            break
        print(f"{size}x{size}, batch {batch}", file=sys.stderr, flush=True)
        cases = [Case(name, partial(build, name, size, batch, settings.device), memory_warm_up=1) for name in forms]
        rows, calls, outputs = run_cases(cases, settings)
        calls.clear()  # their memory is for the next batch
        for row in rows:
            row |= {"size": size, "batch": batch}
            if row["name"] in outputs:
                row["first_loss"] = outputs[row["name"]].item()
                if LITERAL in outputs and row["name"].startswith("SGD-Net"):
                    row["loss_difference"] = max_difference(outputs[row["name"]], outputs[LITERAL])
            if "median_ms" in row:
                row["images_per_s"] = 1000 * batch / row["median_ms"]
        result += rows
    return {"rows": result}
