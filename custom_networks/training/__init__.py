"""Training helpers that MONAI has no part for, or one that the bundle cannot use; see each file's header."""

from custom_networks.training.schedule import PolynomialDecay
from custom_networks.training.seeding import EpochSeed

__all__ = ["EpochSeed", "PolynomialDecay"]
