"""Interactive segmentation: guidance by clicks, scribbles and boxes, its simulation, and the predictor."""

from custom_networks.interactive.guidance import Guidance
from custom_networks.interactive.predictor import Answer, InteractivePredictor
from custom_networks.weights.reading import takes_clicks

__all__ = ["Answer", "Guidance", "InteractivePredictor", "takes_clicks"]
