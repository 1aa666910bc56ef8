"""A training run: its folder, its record, resuming, tracking, progress and summary."""

from custom_networks.run.checkpoints import CheckpointLoader, Checkpoints
from custom_networks.run.folder import claim_folder
from custom_networks.run.progress import ProgressBar
from custom_networks.run.record import RunRecord
from custom_networks.run.recorder import EpochRecorder
from custom_networks.run.resume import continue_run
from custom_networks.run.summary import summarise_run
from custom_networks.run.tracking import MLflowTracking, tracking_store

__all__ = [
    "CheckpointLoader",
    "Checkpoints",
    "EpochRecorder",
    "MLflowTracking",
    "ProgressBar",
    "RunRecord",
    "claim_folder",
    "continue_run",
    "summarise_run",
    "tracking_store",
]
