"""Keep decoded and resized images: in memory where they fit, else on disk.

What is kept comes from the first transforms, which load and resize, so that images stay in 8 bits; the others follow
each time.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import pickle
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from monai.data import CacheDataset, Dataset, MetaTensor, PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose
from monai.utils import convert_to_tensor, ensure_tuple

from custom_networks.data.images import decoders
from custom_networks.data.resources import free_memory
from custom_networks.errors import UserError, nearest
from custom_networks.files import PathLike, check_regular, sha256, write_atomically
from custom_networks.processes import rank

logger = logging.getLogger(__name__)

CACHES = ("auto", "memory", "disk", "none")
SHARE = 0.5  # of the free memory, or of the free disk, that a cache may take by itself
ASKED = "as asked"


def check_cache(cache: object) -> None:
    """Raise UserError for what is none of `CACHES`."""
    if cache not in CACHES:
        raise UserError(f"--cache {cache}: must be one of {', '.join(CACHES)}{nearest(str(cache), CACHES)}")


def cached_dataset(
    data: Sequence[dict[str, Any]],
    transform: Compose,
    kept: int,
    cache: str | None = "auto",
    cache_dir: PathLike = "cache",
    num_workers: int = 2,
) -> Dataset:
    """Make a data set that decodes each picture once, and say in one line where it keeps them.

    "auto" keeps them in memory when they take half of what is free at most, counting every process of this machine
    that trains along; else on disk when they take half of what is free there at most; else nowhere. What one item
    takes is measured on the first.

    Args:
        data: items of a data list.
        transform: all transforms.
        kept: how many of them, from the first, are done once and their result kept; none of these may be random.
        cache: one of `CACHES`; None, as which a command line reads "none", is the same.
        cache_dir: folder for "disk", made where it is used.
        num_workers: threads that fill the memory.

    Returns:
        `Dataset`, or `StagedDataset` with a `CacheDataset` or `DiskCacheDataset`.

    Raises:
        UserError: for another `cache`, or a folder that cannot be written.
    """
    cache = cache or "none"
    check_cache(cache)
    reason = ASKED
    first = Compose(transform.transforms[:kept])
    if cache == "auto" and data:
        cache, reason = _choose(len(data) * item_bytes(data[0], first), Path(cache_dir))
    if rank() == 0 and not (cache == "none" and reason == ASKED):
        where = {"memory": "in memory", "disk": f"on disk in {cache_dir}"}.get(cache, "nowhere")
        logger.info("%d decoded images kept %s: %s", len(data), where, reason)
    if cache == "none":
        return Dataset(data, transform)
    if cache == "disk":
        return StagedDataset(data, transform, DiskCacheDataset(data, first, cache_dir))
    return StagedDataset(data, transform, CacheDataset(data, first, num_workers=num_workers, progress=False))


class StagedDataset(Dataset):
    """Data set whose first transforms another one has done, and keeps.

    Args:
        data: items of a data list.
        transform: all transforms.
        kept: the items after the first of these transforms.
    """

    def __init__(
        self, data: Sequence[dict[str, Any]], transform: Compose, kept: CacheDataset | PersistentDataset
    ) -> None:
        super().__init__(data, transform)
        self.kept = kept
        self.start = len(kept.transform.transforms)

    def _transform(self, index: int) -> Any:
        return self.transform(copy.deepcopy(self.kept[index]), start=self.start)


def item_bytes(item: dict[str, Any], transform: Compose) -> int:
    """Bytes that one item takes in a cache, its metadata included, after the transforms that are done once."""
    return len(pickle.dumps(transform(item)))


def _choose(needed: int, folder: Path) -> tuple[str, str]:
    """Choose a cache for as many bytes; returns it and the reason."""
    free = free_memory()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    reason = f"{_size(needed)}{f' in each of {processes} processes' if processes > 1 else ''}, {_size(free)} are free"
    if needed * processes <= SHARE * free:
        return "memory", reason
    existing = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    disk = shutil.disk_usage(existing).free
    return ("disk" if needed <= SHARE * disk else "none"), f"{reason}, {_size(disk)} on the disk"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"


class DiskCacheDataset(PersistentDataset):
    """MONAI's `PersistentDataset` with files that are named by content and never half written.

    A file's name is a hash of the bytes of image and label, of the transforms with all their settings, of the packages
    that decode and of this package's own code for it: a changed image or label, another size, or an upgrade is another
    file. A damaged file is made anew. Nothing is ever deleted; the folder may be, at any time.

    Args:
        data: items with "image" and perhaps "label", each a path or a list of paths.
        transform: done once, none of them random.
        cache_dir: folder of the files.

    Raises:
        UserError: when a picture cannot be read or the folder cannot be made.
    """

    def __init__(self, data: Sequence[dict[str, Any]], transform: Compose, cache_dir: PathLike) -> None:
        try:
            super().__init__(data, transform, Path(cache_dir), hash_transform=pickle_hashing, track_meta=True)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{cache_dir}: no folder for decoded images ({error}); set another --cache_dir, or --cache none"
            ) from None
        self.keys = self._content_keys()

    def set_data(self, data: Sequence[dict[str, Any]]) -> None:
        """Take other items; unlike MONAI's, this leaves the folder as it is."""
        self.data = data
        self.keys = self._content_keys()

    def _content_keys(self) -> list[str]:
        with ThreadPoolExecutor() as threads:
            return list(threads.map(self._content_key, self.data))

    def _content_key(self, item: dict[str, Any]) -> str:
        digest = hashlib.sha256(f"{decoders()} {self.transform_hash}".encode())
        for part in ("image", "label"):
            for path in ensure_tuple(item.get(part, ())):
                check_regular(path)
                digest.update(bytes.fromhex(sha256(path)))
        return digest.hexdigest()

    def _transform(self, index: int) -> Any:
        return self._post_transform(self._kept(index))

    def _kept(self, index: int) -> dict[str, Any]:
        """Load what comes before the random transforms, or compute and write it."""
        item = self.data[index]
        assert self.cache_dir is not None
        file = self.cache_dir / f"{self.keys[index]}.pt"
        try:
            tensors = torch.load(file, weights_only=True)
        except FileNotFoundError:
            tensors = None
        except Exception as error:  # a damaged file raises nearly anything
            logger.warning("%s: damaged (%s); made anew", file, type(error).__name__)
            tensors = None
        if tensors is None:
            computed = self._pre_transform(dict(item))
            tensors = {
                key: convert_to_tensor(value, track_meta=False).contiguous()
                for key, value in computed.items()
                if isinstance(value, torch.Tensor)
            }
            self._write(file, tensors)
        metas = {key: {"filename_or_obj": str(ensure_tuple(item[key])[0])} for key in tensors}
        return {**item, **{key: MetaTensor(tensor, meta=metas[key]) for key, tensor in tensors.items()}}

    def _write(self, file: Path, tensors: dict[str, torch.Tensor]) -> None:
        try:
            write_atomically(file, lambda stream: torch.save(tensors, stream))
        except UserError as error:
            reason = getattr(error.__cause__, "strerror", None) or error
            raise UserError(
                f"{file.parent}: cannot be written ({reason}); set another --cache_dir, or --cache none"
            ) from None
