from .command import write_report as write_report
