"""Trained weights: their record, the network they belong to, and what follows from both."""

from custom_networks.weights.network import interactive_network, load_checkpoint, trained_network
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.reading import (
    record_of,
    setting_of,
    takes_clicks,
    trained_classes,
    trained_depth,
    trained_normalization,
    trained_outputs,
    trained_size,
)
from custom_networks.weights.record import WeightsRecord
from custom_networks.weights.training import About

__all__ = [
    "About",
    "Normalization",
    "WeightsRecord",
    "interactive_network",
    "load_checkpoint",
    "record_of",
    "setting_of",
    "takes_clicks",
    "trained_classes",
    "trained_depth",
    "trained_network",
    "trained_normalization",
    "trained_outputs",
    "trained_size",
]
