"""SGD-Net cut into stages: what the network itself hands to each of its parts, recorded and called again alone.

Nothing of the network is written down a second time: the parts' own methods are wrapped for one pass, which keeps their
arguments.

Symbols: B batch, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from custom_networks.network.sgdnet import SGDNet

METHODS: dict[str, tuple[tuple[str, str], ...]] = {
    "encoder": (("encoder", "forward"),),
    "StitchViT": (("stitch_vit", "resized"),),
    "dual attention": (("dual_attention", "forward"),),
    "reduce": (("reduce", "forward"),),
    "SGE": (("sge", "forward"),),
    "SGDC /4": (("refine.0", "forward"),),
    "SGDC /8": (("refine.1", "forward"),),
    "SGDC /16": (("refine.2", "forward"),),
    "decoder": (("decoder", "forward"),),
    "heads": (("heads.0", "forward"), ("heads.1", "forward"), ("heads.2", "forward")),
}
"""Stage: its submodules and their methods. Padding, joining and the resizing of logits stand between the stages."""
SIZE_ALONE = {"resized": (1,)}
"""Positions of arguments that a method reads for their size alone, which moves no byte."""


class Step(NamedTuple):
    """One recorded call.

    Attributes:
        module: whose parameters it reads.
        call: the module's method.
        arguments: that the network gave it.
        read: those of them that are read.
    """

    module: nn.Module
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    read: tuple[Any, ...]


Stages = dict[str, list[Step]]


@contextmanager
def _wrapped(network: SGDNet, stages: Stages) -> Iterator[None]:
    """Have each method of the stages keep what it is called with."""

    def wrap(stage: str, module: nn.Module, method: str) -> None:
        original = getattr(module, method)

        def keep(*arguments: Any) -> Any:
            unread = SIZE_ALONE.get(method, ())
            read = tuple(each for i, each in enumerate(arguments) if i not in unread)
            stages[stage].append(Step(module, original, arguments, read))
            return original(*arguments)

        setattr(module, method, keep)

    methods = [
        (stage, network.get_submodule(path), method) for stage, pairs in METHODS.items() for path, method in pairs
    ]
    for stage, module, method in methods:
        wrap(stage, module, method)
    try:
        yield
    finally:
        for _, module, method in methods:
            delattr(module, method)


def record(network: SGDNet, run: Callable[[], Any]) -> Stages:
    """Run a network once and keep what each of its stages is called with.

    Args:
        network: whose stages are meant.
        run: a pass through it, as it is to be measured: with or without gradients, under autocast or not.

    Returns:
        The calls of each stage, in the order of `METHODS`; a stage that the pass leaves out is not there.
    """
    stages: Stages = {stage: [] for stage in METHODS}
    with _wrapped(network, stages):
        run()
    return {stage: steps for stage, steps in stages.items() if steps}


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class Forward:
    """A stage's forward pass, without gradients.

    Args:
        steps: recorded.
        context: entered for each call; autocast, say.
    """

    def __init__(self, steps: Sequence[Step], context: Callable[[], Any]) -> None:
        self.steps = steps
        self.context = context

    def __call__(self) -> list[Any]:
        """Compute, and return what the steps return."""
        with torch.no_grad(), self.context():
            return [step.call(*step.arguments) for step in self.steps]

    def moved_bytes(self) -> int:
        """Bytes of inputs, outputs and weights, each once."""
        weights = [weight for step in self.steps for weight in step.module.parameters()]
        inputs = _tensors([step.read for step in self.steps])
        return sum(each.nbytes for each in (*weights, *inputs, *_tensors(self())))


class ForwardBackward:
    """A stage's forward and backward pass, with the gradients that the network would ask for.

    Args:
        steps: recorded in a pass with gradients.
        context: entered for each forward pass.
    """

    def __init__(self, steps: Sequence[Step], context: Callable[[], Any]) -> None:
        def leaf(each: Any) -> Any:
            return each.detach().requires_grad_(each.requires_grad) if isinstance(each, Tensor) else each

        self.steps = [Step(step.module, step.call, *tree_map(leaf, (step.arguments, step.read))) for step in steps]
        self.context = context
        self.weights = [weight for step in steps for weight in step.module.parameters() if weight.requires_grad]
        self.leaves = [each for each in _tensors([step.arguments for step in self.steps]) if each.requires_grad]
        self.gradients = [torch.randn_like(each) for each in self._outputs()]

    def _outputs(self) -> list[Tensor]:
        with self.context():
            outputs = [step.call(*step.arguments) for step in self.steps]
        return [each for each in _tensors(outputs) if each.requires_grad]

    def __call__(self) -> None:
        """Compute the outputs and every gradient, from none."""
        for each in (*self.weights, *self.leaves):
            each.grad = None
        torch.autograd.backward(self._outputs(), self.gradients)

    def moved_bytes(self) -> int:
        """Bytes of inputs and weights, read in each pass, of outputs, and of all their gradients."""
        weights = sum(weight.nbytes for weight in self.weights)
        inputs = _tensors([step.read for step in self.steps])
        outputs = sum(each.nbytes for each in self.gradients)
        return 3 * weights + 2 * outputs + sum((3 if each.requires_grad else 2) * each.nbytes for each in inputs)
