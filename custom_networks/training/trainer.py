"""MONAI's supervised trainer on whole batches, with outputs in the form that MONAI's own handlers read."""

from __future__ import annotations

from typing import Any

from monai.engines import SupervisedTrainer


class BatchTrainer(SupervisedTrainer):
    """`SupervisedTrainer` that leaves the batch whole and still suits handlers made for decollated outputs.

    MONAI's handlers (`MLFlowHandler`, `StatsHandler`, ...) read the loss as `from_engine(["loss"], first=True)`, which
    expects a list of dictionaries. Taking every batch apart costs time and is of no use to a training loss; so the
    output of an iteration is a list with one dictionary, that of the whole batch.
    """

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        """Train on one batch; returns its image, label, prediction and loss as the only item of a list."""
        return [super()._iteration(engine, batchdata)]
