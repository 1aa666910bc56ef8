"""`sgdnet report`: an evaluation or a training as one self-contained HTML file."""

from custom_networks.report.command import write_report

__all__ = ["write_report"]
