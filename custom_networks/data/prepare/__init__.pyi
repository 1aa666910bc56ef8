from .command import prepare_dataset as prepare_dataset
from .settings import KINDS as KINDS
from .settings import Settings as Settings
