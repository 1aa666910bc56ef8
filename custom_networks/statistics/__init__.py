"""Statistics of per-image tables: summaries with intervals, folds, subgroups, and the comparison of two runs."""

from custom_networks.statistics.bca import Interval, bootstrap_interval
from custom_networks.statistics.compare import check_same_images, compare, holm, rank_biserial
from custom_networks.statistics.lesion import SIZES, border_contrast, contrast_classes, lesion_size, size_classes
from custom_networks.statistics.per_image import PER_IMAGE, group_column, metric_columns, read_per_image
from custom_networks.statistics.skin_tone import SKIN_TONES, SkinTone, estimate_skin_tone, skin_tone_class
from custom_networks.statistics.summary import subgroups_of, summarise, summarise_folds, summarise_subgroups

__all__ = [
    "PER_IMAGE",
    "SIZES",
    "SKIN_TONES",
    "Interval",
    "SkinTone",
    "bootstrap_interval",
    "border_contrast",
    "check_same_images",
    "compare",
    "contrast_classes",
    "estimate_skin_tone",
    "group_column",
    "holm",
    "lesion_size",
    "metric_columns",
    "rank_biserial",
    "read_per_image",
    "size_classes",
    "skin_tone_class",
    "subgroups_of",
    "summarise",
    "summarise_folds",
    "summarise_subgroups",
]
