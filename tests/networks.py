"""The network of the tests that ask how it behaves: every block real, under a million parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from custom_networks import SGDNet

TOY = {"encoder_depths": (1, 2, 1, 1), "encoder_width": 8, "kernel_size": 3}
"""Arguments of `SGDNet`; the second stage has an ordinary bottleneck, too. A graph of 9 taps is exported and opened in
a fraction of the time of one of 49."""
TOY_OVERRIDES = {
    "network_def#encoder_depths": [1, 2, 1, 1],
    "network_def#encoder_width": 8,
    "network_def#kernel_size": 3,
}
"""The same as overrides of a configuration."""
TOY_WORDS = [word for name, value in TOY_OVERRIDES.items() for word in (f"--{name}", str(value))]
"""The same on the command line."""


def toy_network(**arguments: Any) -> SGDNet:
    """Build it, with other arguments of `SGDNet` if need be."""
    from custom_networks import SGDNet

    return SGDNet(**{**TOY, **arguments})
