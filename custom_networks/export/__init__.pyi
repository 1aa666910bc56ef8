from .archive import write_archive as write_archive
from .exporting import FORMATS as FORMATS
from .exporting import Exported as Exported
from .exporting import export_model as export_model
