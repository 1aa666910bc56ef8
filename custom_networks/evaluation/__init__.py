"""Evaluation: every image of a split measured, one row each, and what a report needs of the few that stand out."""

from custom_networks.evaluation.handler import Evaluation
from custom_networks.evaluation.items import EvaluationSet, evaluation_set
from custom_networks.evaluation.maps import MapsInferer
from custom_networks.evaluation.results import conclude

__all__ = ["Evaluation", "EvaluationSet", "MapsInferer", "conclude", "evaluation_set"]
