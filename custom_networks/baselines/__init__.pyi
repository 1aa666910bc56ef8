from .baseline import Baseline as Baseline
from .cto import CTO as CTO
