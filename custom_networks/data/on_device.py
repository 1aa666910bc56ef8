"""All training images on the device, in 8 bits, augmented there batch by batch.

A GPU that trains faster than processes can load is not starved then. The order of the images is the `DataLoader`'s at
the same random state.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, RandomizableTrait
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.utils.data import DataLoader as TorchDataLoader
from torch.utils.data import Sampler

from custom_networks.data.batch_augmentation import Batch, batch_steps, sent
from custom_networks.data.caching import SHARE
from custom_networks.data.resources import free_memory
from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.processes import rank

logger = logging.getLogger(__name__)

KEYS = ("image", "label")


class OnDeviceLoader(TorchDataLoader):
    """Loader that keeps the images on a device and yields the batches that MONAI's `DataLoader` yields.

    Each pass draws one number from torch's random state, which `EpochSeed` sets, and takes all of its augmentation
    from it: a resumed run repeats an uninterrupted one, on every device.

    Args:
        dataset: items as the bundle trains on them; what comes before its first random transform is done once, here.
        batch_size: items of a batch; the last one may have fewer.
        shuffle: whether each pass has another order.
        sampler: of the items, instead of `shuffle`.
        device: that keeps the images and augments.
        num_workers: threads that load.

    Raises:
        UserError: for random transforms that cannot run on batches, or images that do not fit.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = False,
        sampler: Sampler[int] | None = None,
        device: torch.device | str = "cpu",
        num_workers: int = 2,
    ) -> None:
        super().__init__(dataset, batch_size, shuffle, sampler)
        self.device = torch.device(device)
        transform = dataset.transform
        end = transform.get_index_of_first(lambda each: isinstance(each, RandomizableTrait))
        self.steps = batch_steps([] if end is None else transform.transforms[end:])
        self.kept = self._load(transform, end, max(1, num_workers))

    def _load(self, transform: Compose, end: int | None, num_workers: int) -> Batch:
        """Load every item in threads; returns (N, C, W, H) for each key."""
        assert isinstance(self.dataset, Dataset)
        items = self.dataset.data

        def load(item: dict[str, Any]) -> Batch:
            loaded = transform(item, end=end, threading=True)
            return {key: convert_to_tensor(loaded[key], track_meta=False) for key in KEYS}

        kept: Batch = {}
        with ThreadPool(num_workers) as threads:
            for number, maps in enumerate(threads.imap(load, items)):
                if not kept:
                    self._check_room(len(items) * sum(tensor.nbytes for tensor in maps.values()))
                for key, tensor in maps.items():
                    kept[key] = _put(kept.get(key), number, tensor, len(items), self.device)
        return kept

    def _check_room(self, needed: int) -> None:
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else free_memory()
        if needed > SHARE * free:
            raise UserError(
                f"--data_on_device true: {needed / 2**30:.1f} GB of images are more than half of what is free on "
                f"{self.device}, {free / 2**30:.1f} GB; set --data_on_device false"
            )
        if rank() == 0:
            logger.info("all images kept on %s: %.2f GB", self.device, needed / 2**30)

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Go through the images once."""
        # a DataLoader draws this number too, for its workers, before its sampler draws
        seed = int(torch.empty((), dtype=torch.int64).random_().item())
        generator = torch.Generator().manual_seed(seed)
        for indices in self.batch_sampler or ():
            positions = sent(torch.as_tensor(indices), self.device)
            batch = {key: tensor[positions] for key, tensor in self.kept.items()}
            for step in self.steps:
                batch = step(batch, generator)
            yield batch


def _put(kept: Tensor | None, number: int, tensor: Tensor, count: int, device: torch.device) -> Tensor:
    """Put one item among `count` kept ones, which take the wider of both types."""
    if kept is None:
        kept = torch.empty((count, *tensor.shape), dtype=tensor.dtype, device=device)
    wider = torch.promote_types(kept.dtype, tensor.dtype)
    if wider != kept.dtype:
        kept = kept.to(wider)
    kept[number] = tensor.to(device)
    return kept


def training_loader(
    dataset: Dataset,
    batch_size: int,
    shuffle: bool = True,
    num_workers: int = 0,
    sampler: Sampler[int] | None = None,
    on_device: bool | str = False,
    device: torch.device | str = "cpu",
) -> TorchDataLoader:
    """Choose the loader of the training.

    Args:
        dataset: items as the bundle trains on them.
        batch_size: items of a batch.
        shuffle: whether each pass has another order; False with a `sampler`.
        num_workers: processes of MONAI's `DataLoader`, or threads that fill the device.
        sampler: of the items, for several processes.
        on_device: whether all images are kept on the device and augmented there.
        device: that one.

    Returns:
        `OnDeviceLoader` or MONAI's `DataLoader`.
    """
    if flag(on_device):
        return OnDeviceLoader(dataset, batch_size, shuffle, sampler, device, num_workers)
    return DataLoader(dataset, num_workers=num_workers, batch_size=batch_size, shuffle=shuffle, sampler=sampler)
