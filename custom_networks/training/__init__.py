"""Training helpers that MONAI has no part for, or one that the bundle cannot use; see each file's header."""

from custom_networks.training.checkpoints import CheckpointLoader, Checkpoints
from custom_networks.training.finish import finish_training
from custom_networks.training.precision import MixedPrecisionInferer
from custom_networks.training.processes import flag, local_device, rank, run_folder
from custom_networks.training.progress import ProgressBar
from custom_networks.training.record import RunRecord
from custom_networks.training.recorder import EpochRecorder
from custom_networks.training.schedule import PolynomialDecay
from custom_networks.training.seeding import EpochSeed
from custom_networks.training.setup import finish, prepare, readable_errors
from custom_networks.training.tracking import MLflowTracking, tracking_store

__all__ = [
    "CheckpointLoader",
    "Checkpoints",
    "EpochRecorder",
    "EpochSeed",
    "MLflowTracking",
    "MixedPrecisionInferer",
    "PolynomialDecay",
    "ProgressBar",
    "RunRecord",
    "finish",
    "finish_training",
    "flag",
    "local_device",
    "prepare",
    "rank",
    "readable_errors",
    "run_folder",
    "tracking_store",
]
