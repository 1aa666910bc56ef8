from .checking import check_overrides as check_overrides
from .checking import check_values as check_values
from .command_line import from_command_line as from_command_line
from .knobs import knob_values as knob_values
from .merged import Configuration as Configuration
