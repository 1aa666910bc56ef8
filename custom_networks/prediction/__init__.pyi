from .options import Options as Options
from .predictor import SGDNetPredictor as SGDNetPredictor
from .result import Prediction as Prediction
