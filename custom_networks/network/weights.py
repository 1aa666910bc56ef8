"""Files of weights: read from disk, loaded strictly, never downloaded.

ImageNet weights for the encoder are the published `res2net50_v1b_26w_4s-3cf99910.pth`; the only keys dropped are the
classifier's, by name.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from custom_networks.errors import UserError

CLASSIFIER_KEYS = ("fc.weight", "fc.bias")
logger = logging.getLogger(__name__)


ADVICE = ("Weights only load failed", "Please file an issue", "Check the documentation", "(1)", "(2)")
"""How lines of PyTorch's message begin that do not say what is wrong, but how to load a file all the same."""


def read_checkpoint(path: str | Path, mapped: bool = False) -> Any:
    """Read what `torch.save` wrote: tensors, numbers, text and containers of them; other pickles are refused.

    Args:
        path: the file.
        mapped: whether tensors stay on disk until they are used, for a look at what else is in the file.

    Returns:
        Its content, tensors on the CPU.

    Raises:
        UserError: where there is no such file, or it is not one of PyTorch's, or holds more than that.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; give the path of a .pt or .pth file that exists")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
    except Exception as error:  # whatever a file that is none makes the unpickler stumble over
        lines = (line.strip() for line in str(error).splitlines())
        reason = next((line for line in lines if line and not line.startswith(ADVICE)), type(error).__name__)[:120]
        raise UserError(
            f"{path}: not a file of PyTorch weights ({reason}); give one written by torch.save that holds tensors alone"
        ) from error


def read_state_dict(path: str | Path, mapped: bool = False) -> dict[str, Tensor]:
    """Read a file of weights.

    Args:
        path: the file; a checkpoint that holds the weights under `network`, `model` or `state_dict` is unwrapped.
        mapped: see `read_checkpoint`.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        UserError: for a file that cannot be read or holds no weights.
    """
    content = read_checkpoint(path, mapped)
    for key in ("network", "model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path}: holds no state dict (names and tensors); give a file of weights")
    return dict(content)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: str | Path, what: str) -> None:
    """Load weights whose names and shapes must all match.

    Args:
        module: the network or part that takes them.
        state: tensors by name.
        source: file they came from, for the message.
        what: name of the module, for the message.

    Raises:
        UserError: naming the file and the first keys that are missing, unexpected, of another shape or type, or hold
            what is no number.
    """
    own = module.state_dict()
    expected = {name: tensor.shape for name, tensor in own.items()}
    problems = [
        ("missing", [name for name in expected if name not in state]),
        ("unexpected", [name for name in state if name not in expected]),
        (
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(shape)}"
                for name, shape in expected.items()
                if name in state and state[name].shape != shape
            ],
        ),
        (
            "of another type",
            [
                f"{name} {state[name].dtype} instead of {tensor.dtype}"
                for name, tensor in own.items()
                if name in state and state[name].is_floating_point() != tensor.is_floating_point()
            ],
        ),
    ]
    found = [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for kind, keys in problems
        if keys
    ]
    if found:
        raise UserError(f"{source}: these weights are not those of this {what}: keys {'; '.join(found)}")
    broken = next((name for name, tensor in state.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise UserError(f"{source}: {broken} holds NaN or infinity, so nothing can be computed; give other weights")
    module.load_state_dict(dict(state), strict=True)


def load_encoder(encoder: nn.Module, path: str | Path) -> None:
    """Load the published Res2Net-50 v1b ImageNet weights into the encoder.

    Args:
        encoder: a `Res2Net`.
        path: the published file, or one with the same keys.

    Raises:
        UserError: a missing file, or keys that do not match.
    """
    state = read_state_dict(path)
    dropped = [key for key in CLASSIFIER_KEYS if state.pop(key, None) is not None]
    load_strictly(encoder, state, path, "Res2Net-50 v1b encoder")
    logger.info("encoder weights from %s; dropped %s", path, ", ".join(dropped) or "nothing")
