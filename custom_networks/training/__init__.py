"""Training helpers that MONAI has no part for, or one that the bundle cannot use; see each file's header."""

from custom_networks.training.averaging import AveragedWeights, AverageUpdate
from custom_networks.training.gradients import FiniteCheck, GradientClipping
from custom_networks.training.reproducibility import set_gpu_math, set_seed
from custom_networks.training.schedule import PolynomialDecay
from custom_networks.training.seeding import EpochSeed
from custom_networks.training.trainer import BatchTrainer
from custom_networks.training.validation import EpochValidation

__all__ = [
    "AverageUpdate",
    "AveragedWeights",
    "BatchTrainer",
    "EpochSeed",
    "EpochValidation",
    "FiniteCheck",
    "GradientClipping",
    "PolynomialDecay",
    "set_gpu_math",
    "set_seed",
]
