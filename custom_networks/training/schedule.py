"""Learning-rate schedule of the training protocol (section 4.1): polynomial decay per epoch, warm-up if wanted."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class PolynomialDecay(LambdaLR):
    """`rate = initial * (1 - epoch / max_epochs) ** power`, a function of the epoch alone.

    In the first `warmup_epochs` it is multiplied by `(epoch + 1) / (warmup_epochs + 1)`; epochs count from 0.

    torch's own `PolynomialLR` multiplies the previous rate and stores its length: resumed with a longer schedule it
    goes up. Here a resumed run takes the rate that the new schedule has at that epoch.

    Args:
        optimizer: its initial rates are the rates of epoch 0.
        max_epochs: length of the schedule.
        power: exponent; 0.9 in the predecessor's code.
        warmup_epochs: epochs of rising rate; 0 starts at the full one, as the paper does.
    """

    def __init__(self, optimizer: Optimizer, max_epochs: int, power: float = 0.9, warmup_epochs: int = 0) -> None:
        def factor(epoch: int) -> float:
            return min(1.0, (epoch + 1) / (warmup_epochs + 1)) * max(0.0, 1 - epoch / max_epochs) ** power

        super().__init__(optimizer, factor)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of epochs done; the schedule itself belongs to the configuration."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at an epoch, at the rate this schedule has there."""
        self.last_epoch = state_dict["last_epoch"]
        for group, rate, factor in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
            group["lr"] = rate * factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]
