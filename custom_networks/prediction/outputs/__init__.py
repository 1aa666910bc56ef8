"""What a prediction is written as, one file for each kind."""

from custom_networks.prediction.outputs.case import Case, Volume
from custom_networks.prediction.outputs.registry import (
    IMAGE_OUTPUTS,
    TABLE_OUTPUTS,
    chosen_outputs,
    follows_objects,
    image_output,
)

__all__ = ["IMAGE_OUTPUTS", "TABLE_OUTPUTS", "Case", "Volume", "chosen_outputs", "follows_objects", "image_output"]
