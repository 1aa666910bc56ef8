"""Export: the trained network as a file that runs without this package, and the bundle as one archive."""

from custom_networks.export.archive import write_archive
from custom_networks.export.exporting import Exported, export_model
from custom_networks.export.registry import FORMATS

__all__ = ["FORMATS", "Exported", "export_model", "write_archive"]
