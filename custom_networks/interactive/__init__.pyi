from .guidance import Guidance as Guidance
from .predictor import Answer as Answer
from .predictor import InteractivePredictor as InteractivePredictor
