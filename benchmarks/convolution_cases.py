"""The forms of a convolution on a CPU, at layers of the network: PyTorch's own, one product, Winograd's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Call, Case, Row, Settings, run_cases
from custom_networks.operators import winograd
from custom_networks.operators.convolution import convolve_as_product, product_pays

PLAIN, PRODUCT, WINOGRAD = "PyTorch", "product", "Winograd"


class Layer(NamedTuple):
    """A layer: channels in and out, sides of kernel and map, dilation."""

    channels: int
    out: int
    kernel: int
    side: int
    dilation: int = 1


LAYERS = {
    "StitchViT, SGE": Layer(256, 256, 3, 64),
    "StitchViT, dilated": Layer(256, 256, 3, 64, 2),
    "dual attention, first": Layer(2304, 576, 3, 8),
    "dual attention, second": Layer(576, 576, 3, 8),
    "SGDC /16, widening": Layer(1024, 4096, 1, 16),
    "SGDC /16, narrowing": Layer(4096, 1024, 1, 16),
    "SGDC /4, widening": Layer(256, 1024, 1, 64),
    "encoder /32": Layer(2048, 832, 1, 8),
}
QUICK = {name: LAYERS[name]._replace(channels=16, out=16, side=8) for name in list(LAYERS)[:5]}


def form_of(layer: Layer, x: Tensor, weight: Tensor) -> str:
    """Name the form that `convolve` takes."""
    if product_pays(len(x) * layer.side**2, layer.channels, layer.out, layer.kernel, layer.dilation):
        return PRODUCT
    return WINOGRAD if winograd.pays(x, weight, layer.dilation) else PLAIN


def inputs(layer: Layer, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Map, weights, bias and gradient of the result, channels-last."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)

    weight = normal(layer.out, layer.channels, layer.kernel, layer.kernel) / (layer.channels**0.5 * layer.kernel)
    bias = torch.randn(layer.out, generator=generator)
    x, grad = (normal(batch, channels, layer.side, layer.side) for channels in (layer.channels, layer.out))
    return x, weight, bias, grad


def forms(layer: Layer) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Name each form that a layer can take, and compute it."""
    padding = layer.dilation * (layer.kernel // 2)
    found = {PLAIN: partial(F.conv2d, padding=padding, dilation=layer.dilation)}
    if layer.dilation == 1:
        found[PRODUCT] = convolve_as_product
    if layer.kernel == winograd.TAPS and layer.side % (winograd.TILE * layer.dilation) == 0:
        found[WINOGRAD] = partial(winograd.convolve_by_winograd, dilation=layer.dilation)
    return found


def build(layer: Layer, batch: int, form: str, backward: bool) -> Call:
    """Make the call of one case; it returns the result and, for `backward`, the gradients."""
    *leaves, grad = inputs(layer, batch)
    convolve = forms(layer)[form]

    def forward() -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (convolve(*leaves),)

    def forward_and_backward() -> tuple[Tensor, ...]:
        variables = [leaf.requires_grad_() for leaf in leaves]
        result = convolve(*variables)
        return result.detach(), *torch.autograd.grad(result, variables, grad)

    return forward_and_backward if backward else forward


def relative_error(got: tuple[Tensor, ...], layer: Layer, batch: int) -> float:
    """Return the largest error of result and gradients, each as a share of its largest value, to float64."""
    *leaves, grad = (tensor.double() for tensor in inputs(layer, batch))
    variables = [leaf.requires_grad_() for leaf in leaves]
    result = forms(layer)[PLAIN](*variables)
    exact = [result, *torch.autograd.grad(result, variables, grad)][: len(got)]
    return max(
        ((each - wanted).abs().max() / wanted.abs().max()).item() for each, wanted in zip(got, exact, strict=True)
    )


def run(settings: Settings) -> Row:
    """Measure every layer, form, batch and pass; nothing on a GPU, which has PyTorch's form alone."""
    rows: list[Row] = []
    layers = QUICK if settings.quick else LAYERS
    for name, layer in layers.items() if settings.device == "cpu" else ():
        for batch in (1,) if settings.quick else (1, 8):
            x, weight, *_ = inputs(layer, batch)
            taken = form_of(layer, x, weight)
            for backward in (False, True):
                about = {"pass": "forward+backward" if backward else "forward", "batch": batch, "layer": name}
                print(" ".join(map(str, about.values())), file=sys.stderr, flush=True)
                cases = [Case(form, partial(build, layer, batch, form, backward)) for form in forms(layer)]
                measured, _, outputs = run_cases(cases, settings)
                plain_ms = measured[0]["median_ms"]
                for row in measured:
                    row |= {"taken": "yes" if row["name"] == taken else ""}
                    if row["name"] in outputs:
                        row["times_plain_speed"] = plain_ms / row["median_ms"]
                        row["max_error"] = relative_error(outputs[row["name"]], layer, batch)
                    rows.append(about | row)
    return {"rows": rows}
