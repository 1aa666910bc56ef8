"""Mixed precision that means the same on CPU and GPU: bfloat16 autocast around the network's forward pass.

MONAI's trainer hard-codes autocast for CUDA; on a CPU its `amp` does nothing. bfloat16 has float32's range, so no
loss scaling is needed. The loss is computed outside, in float32. Where bfloat16 does not pay on a CPU, float32 is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from torch import Tensor

from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.processor import computes_in_bfloat16


class MixedPrecisionInferer(SimpleInferer):
    """Run the network on the whole input, under bfloat16 autocast when `amp` is set.

    Args:
        amp: whether to use bfloat16, if it pays on this processor.
        device: where the network runs.

    Attributes:
        amp: whether bfloat16 is used.

    Raises:
        UserError: where the device has no bfloat16.
    """

    def __init__(self, amp: bool, device: torch.device | str) -> None:
        super().__init__()
        self.amp = bool(flag(amp))
        self.device_type = torch.device(device).type
        if self.amp and self.device_type not in ("cpu", "cuda"):
            raise UserError(f"amp: device {device} has no bfloat16 autocast here; use --amp false")
        if self.amp and self.device_type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise UserError("amp: this GPU has no bfloat16 (Ampere or newer has); use --amp false")
        if self.device_type == "cpu":
            self.amp = computes_in_bfloat16(self.amp)

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:  # MONAI annotates a Tensor, in train() it is a list
        """Return the network's output in float32."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.amp):
            outputs = super().__call__(plain(inputs), network, *args, **kwargs)
        return in_float32(outputs)


def plain(inputs: Tensor) -> Tensor:
    """Return the tensor within MONAI's: no bookkeeping in every operator."""
    return inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs


def in_float32(outputs: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Return what a network gave in float32, one map or several."""
    return outputs.float() if isinstance(outputs, Tensor) else [output.float() for output in outputs]
