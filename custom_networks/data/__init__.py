"""Data: phantoms, pairs and folds, checks, reading, caches."""

from custom_networks.data.caching import cached_dataset
from custom_networks.data.labels import (
    class_count,
    class_names,
    foreground_channels,
    label_kind,
    last_channel,
    to_whole_numbers,
)
from custom_networks.data.on_device import training_loader
from custom_networks.data.pairing import find_images, find_pairs
from custom_networks.data.reader import PictureReader
from custom_networks.data.resizing import Resized
from custom_networks.data.sources import (
    checked_datalist,
    checked_images,
    checked_size,
    to_uint8,
)
from custom_networks.data.splitting import load_datalist, load_test_list

__all__ = [
    "PictureReader",
    "Resized",
    "cached_dataset",
    "checked_datalist",
    "checked_images",
    "checked_size",
    "class_count",
    "class_names",
    "find_images",
    "find_pairs",
    "foreground_channels",
    "label_kind",
    "last_channel",
    "load_datalist",
    "load_test_list",
    "to_uint8",
    "to_whole_numbers",
    "training_loader",
]
