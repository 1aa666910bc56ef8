"""Learning-rate schedule of the training protocol (section 4.1): polynomial decay per epoch."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class PolynomialDecay(LambdaLR):
    """`rate = initial * (1 - epoch / max_epochs) ** power`, a function of the epoch alone.

    torch's own `PolynomialLR` multiplies the previous rate and stores its length: resumed with a longer schedule it
    goes up. Here a resumed run takes the rate that the new schedule has at that epoch.

    Args:
        optimizer: its initial rates are the rates of epoch 0.
        max_epochs: length of the schedule.
        power: exponent; 0.9 in the predecessor's code.
    """

    def __init__(self, optimizer: Optimizer, max_epochs: int, power: float = 0.9) -> None:
        super().__init__(optimizer, lambda epoch: max(0.0, 1 - epoch / max_epochs) ** power)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of epochs done; the schedule itself belongs to the configuration."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at an epoch, at the rate this schedule has there."""
        self.last_epoch = state_dict["last_epoch"]
        for group, rate, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
            group["lr"] = rate * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
