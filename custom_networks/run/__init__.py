"""A training run: its folder, its record, resuming, tracking, progress and summary."""

from custom_networks.run.checkpoints import CheckpointLoader, Checkpoints
from custom_networks.run.folder import run_folder
from custom_networks.run.progress import ProgressBar
from custom_networks.run.record import RunRecord
from custom_networks.run.recorder import EpochRecorder
from custom_networks.run.start import start_run
from custom_networks.run.summary import summarise_run
from custom_networks.run.tracking import MLflowTracking, tracking_store

__all__ = [
    "CheckpointLoader",
    "Checkpoints",
    "EpochRecorder",
    "MLflowTracking",
    "ProgressBar",
    "RunRecord",
    "run_folder",
    "start_run",
    "summarise_run",
    "tracking_store",
]
