"""The verb that predicts images."""

from __future__ import annotations

from typing import Any

from custom_networks.arguments import arguments_of
from custom_networks.verbs.result import Result


def predict(**values: Any) -> Result:
    """Write a mask for every image: files, folders to the bottom, patterns; what is done already stays."""
    from custom_networks.prediction.command import predict_images
    from custom_networks.prediction.options import Options, Request

    names = {each.name for each in arguments_of(Options)}
    options = {name: value for name, value in values.items() if name in names}
    more = {name: value for name, value in values.items() if name not in names}
    return Result(*predict_images(Request(**more, options=options)))
