"""Metrics that MONAI lacks or gets wrong."""
