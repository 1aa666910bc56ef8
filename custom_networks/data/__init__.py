"""Data: phantoms, pairs and folds, checks, reading, normalisation."""

from custom_networks.data.folder import find_images, find_pairs, load_datalist, load_test_list
from custom_networks.data.images import StrictPILReader, to_mask, to_rgb
from custom_networks.data.normalization import Normalization
from custom_networks.data.sources import (
    checked_datalist,
    checked_images,
    checked_size,
    choose,
    image_metas,
    to_uint8,
)

__all__ = [
    "Normalization",
    "StrictPILReader",
    "checked_datalist",
    "checked_images",
    "checked_size",
    "choose",
    "find_images",
    "find_pairs",
    "image_metas",
    "load_datalist",
    "load_test_list",
    "to_mask",
    "to_rgb",
    "to_uint8",
]
