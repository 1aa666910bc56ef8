"""`sgdnet prepare`: from a data set as it is downloaded to a MONAI datalist, with splits, a cache and a data card."""

from custom_networks.data.prepare.command import prepare_dataset
from custom_networks.data.prepare.kinds import KINDS
from custom_networks.data.prepare.settings import Settings

__all__ = ["KINDS", "Settings", "prepare_dataset"]
