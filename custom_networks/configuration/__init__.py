"""Reading and checking configurations: JSON files, overrides, and the values of knobs."""

from custom_networks.configuration.checking import check_overrides, check_values
from custom_networks.configuration.command_line import from_command_line
from custom_networks.configuration.knobs import knob_values
from custom_networks.configuration.merged import Configuration

__all__ = ["Configuration", "check_overrides", "check_values", "from_command_line", "knob_values"]
