"""When to validate, and on which statistics: every few epochs and after the last one, the same in every process."""

from __future__ import annotations

from ignite.engine import Events
from monai.engines.workflow import Workflow
from monai.handlers import ValidationHandler

from custom_networks.processes import share_buffers


class EpochValidation(ValidationHandler):
    """MONAI's `ValidationHandler`, which also validates the last epoch, whatever `interval` is.

    Of several processes, all validate with the first one's statistics of batch normalisation: each would otherwise
    measure its share of the images with another network.

    Args:
        validator: see `ValidationHandler`.
        interval: epochs from one validation to the next.
    """

    def attach(self, engine: Workflow) -> None:  # type: ignore[override]
        """Listen to the ends of epochs."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.validate)

    def validate(self, engine: Workflow) -> None:
        """Validate where the interval, or the end, asks for it."""
        if engine.state.epoch % self.interval == 0 or engine.state.epoch == engine.state.max_epochs:
            share_buffers(self.validator.network)  # type: ignore[union-attr]
            self(engine)
