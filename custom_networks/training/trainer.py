"""MONAI's supervised trainer on whole batches, and when it validates."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.workflow import Workflow
from monai.handlers import ValidationHandler

from custom_networks.processes import share_buffers
from custom_networks.training.termination import TERMINATION


class BatchTrainer(SupervisedTrainer):
    """`SupervisedTrainer` that leaves the batch whole and still suits handlers made for decollated outputs.

    MONAI's handlers (`MLFlowHandler`, `StatsHandler`, ...) read the loss as `from_engine(["loss"], first=True)`, which
    expects a list of dictionaries. Taking every batch apart costs time and is of no use to a training loss; so the
    output of an iteration is a list with one dictionary, that of the whole batch. SIGTERM ends it between iterations.
    """

    def run(self) -> None:  # type: ignore[override]
        """Train to the last epoch."""
        with TERMINATION.between_iterations():
            super().run()

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Train on one batch; returns its image, label, prediction and loss as the only item of a list."""
        TERMINATION.now()
        return [super()._iteration(engine, batchdata)]


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
        assert self.validator is not None
        self.validator.add_event_handler(Events.ITERATION_STARTED, TERMINATION.now)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.validate)

    def validate(self, engine: Workflow) -> None:
        """Validate where the interval, or the end, asks for it."""
        if engine.state.epoch % self.interval == 0 or engine.state.epoch == engine.state.max_epochs:
            share_buffers(self.validator.network)  # type: ignore[union-attr]
            self(engine)
