"""`sgdnet check`, and the quick part of it that runs before every training."""

from custom_networks.data.checking.findings import Finding, Kind
from custom_networks.data.checking.quick import check_items

__all__ = ["Finding", "Kind", "check_items"]
