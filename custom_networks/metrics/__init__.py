"""Metrics of masks, probabilities and instance maps; `policies.METRICS` is the table of them."""

from custom_networks.metrics.hausdorff import HausdorffDistance95, Misses
from custom_networks.metrics.image_metrics import measure
from custom_networks.metrics.instances import InstanceCounts, PooledPanopticQuality, match_instances
from custom_networks.metrics.policies import FLAGS, METRICS, Case, Metric, policy_table
from custom_networks.metrics.probability import Calibration
from custom_networks.metrics.watershed import GRID, WatershedParameters, split_instances, tune

__all__ = [
    "FLAGS",
    "GRID",
    "METRICS",
    "Calibration",
    "Case",
    "HausdorffDistance95",
    "InstanceCounts",
    "Metric",
    "Misses",
    "PooledPanopticQuality",
    "WatershedParameters",
    "match_instances",
    "measure",
    "policy_table",
    "split_instances",
    "tune",
]
