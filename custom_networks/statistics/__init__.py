"""Statistics of per-image tables: summaries with intervals, folds, subgroups, and the comparison of runs."""

from custom_networks.statistics.bootstrap import MIN_GROUPS, Interval, bootstrap_interval
from custom_networks.statistics.lesion import SIZES, border_contrast, contrast_classes, lesion_size, size_classes
from custom_networks.statistics.per_image import PER_IMAGE, metric_columns, read_per_image
from custom_networks.statistics.skin_tone import SKIN_TONES, SkinTone, estimate_skin_tone, skin_tone_class
from custom_networks.statistics.subgroups import subgroup_differences, subgroups_of, summarise_subgroups
from custom_networks.statistics.summary import summarise, summarise_folds

__all__ = [
    "MIN_GROUPS",
    "PER_IMAGE",
    "SIZES",
    "SKIN_TONES",
    "Interval",
    "SkinTone",
    "bootstrap_interval",
    "border_contrast",
    "contrast_classes",
    "estimate_skin_tone",
    "lesion_size",
    "metric_columns",
    "read_per_image",
    "size_classes",
    "skin_tone_class",
    "subgroup_differences",
    "subgroups_of",
    "summarise",
    "summarise_folds",
    "summarise_subgroups",
]
