"""Prediction: any image in, a mask out, from the command line or from Python."""

from custom_networks.prediction.options import Options
from custom_networks.prediction.predictor import SGDNetPredictor
from custom_networks.prediction.result import Prediction

__all__ = ["Options", "Prediction", "SGDNetPredictor"]
