"""Progress on the terminal: one bar over all epochs with loss and time left, one line per epoch."""

from __future__ import annotations

import sys
import time

from ignite.engine import Events
from monai.engines.workflow import Workflow
from tqdm import tqdm

from custom_networks.run.record import EpochRow, RunRecord

TERMINAL_SECONDS, FILE_SECONDS = 0.5, 30.0


def epoch_line(row: EpochRow) -> str:
    """Say an epoch's figures in one line."""
    parts = [f"loss {row['loss']:.3f}"]
    if "val_mean_dice" in row:
        misses = int(row.get("val_misses", 0))
        parts.append(
            f"Dice {row['val_mean_dice']:.4f}  IoU {row['val_mean_iou']:.4f}  HD95 {row['val_hd95']:.2f} px"
            f"{f' ({misses} missed)' if misses else ''}"
        )
    parts.append(f"{row['images_per_second']:.1f} images/s")
    return "  ".join(parts)


class ProgressBar:
    """Handler with a tqdm bar over the whole training.

    The loss is fetched from the device only as often as the bar is drawn. Put it after `EpochRecorder`.

    Args:
        record: of the run.
    """

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.interval = TERMINAL_SECONDS if sys.stderr.isatty() else FILE_SECONDS
        self.bar: tqdm | None = None
        self.shown = 0.0

    def attach(self, engine: Workflow) -> None:
        """Listen to the run, its iterations and epochs."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE, self.close)

    def start(self, engine: Workflow) -> None:
        """Draw the bar at the run's first epoch, resumed ones counted as done."""
        if self.bar is None:
            total = engine.state.max_epochs * engine.state.epoch_length
            done = (engine.state.epoch - 1) * engine.state.epoch_length
            self.bar = tqdm(
                total=total, initial=done, desc="training", unit="step", mininterval=self.interval, dynamic_ncols=True
            )

    def step(self, engine: Workflow) -> None:
        """Advance by one iteration."""
        assert self.bar is not None
        now = time.monotonic()
        if now - self.shown >= self.interval:
            self.shown = now
            epoch = f"{engine.state.epoch}/{engine.state.max_epochs}"
            self.bar.set_postfix(epoch=epoch, loss=f"{engine.state.output[0]['loss'].item():.3f}", refresh=False)
        self.bar.update()

    def epoch(self, engine: Workflow) -> None:
        """Print the epoch's line."""
        row = self.record.rows[-1]
        best = "  best so far" if getattr(engine.state, "better", False) else ""
        tqdm.write(f"epoch {engine.state.epoch}/{engine.state.max_epochs}  {epoch_line(row)}{best}", file=sys.stdout)

    def close(self, engine: Workflow) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
