"""The record of weights that leave this machine: what they are, without any path of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from custom_networks.weights.network import network_arguments
from custom_networks.weights.reading import record_of, trained_normalization, trained_size
from custom_networks.weights.record import VERSION, WeightsRecord


def portable_record(checkpoint: str | Path, network: nn.Module) -> WeightsRecord:
    """Describe weights for others: of the settings only numbers and switches stay, since text may be a path.

    Args:
        checkpoint: the weights.
        network: that has them, whose arguments complete a record of version 1.

    Returns:
        The record, of the present version.

    Raises:
        UserError: for a record that cannot be read.
    """
    stored = record_of(checkpoint)
    settings = {name: value for name, value in stored.settings.items() if isinstance(value, int | float)}
    changes: dict[str, Any] = {
        "version": VERSION,
        "network": network_arguments(network),
        "normalization": trained_normalization(checkpoint),
        "settings": {**settings, "image_size": trained_size(checkpoint)},
    }
    return stored.model_copy(update=changes)
