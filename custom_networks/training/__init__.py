"""Training helpers that MONAI has no part for, or one that the bundle cannot use; see each file's header."""

from custom_networks.training.averaging import AveragedWeights
from custom_networks.training.gradients import FiniteCheck, GradientClipping
from custom_networks.training.reproducibility import set_reproducibility
from custom_networks.training.schedule import PolynomialDecay
from custom_networks.training.seeding import EpochSeed
from custom_networks.training.trainer import BatchTrainer
from custom_networks.training.validation import EpochValidation

__all__ = [
    "AveragedWeights",
    "BatchTrainer",
    "EpochSeed",
    "EpochValidation",
    "FiniteCheck",
    "GradientClipping",
    "PolynomialDecay",
    "set_reproducibility",
]
