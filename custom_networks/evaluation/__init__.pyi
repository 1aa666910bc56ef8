from .handler import Evaluation as Evaluation
from .items import EvaluationSet as EvaluationSet
from .items import evaluation_set as evaluation_set
from .maps import MapsInferer as MapsInferer
from .results import conclude as conclude
