"""Resize without a dark frame: MONAI's `Resized` with the anti-aliasing of `torch.nn.functional.interpolate`.

MONAI's own `anti_aliasing` blurs with zeros around the image, so that shrinking darkens its border: a constant 200 of
1024 x 768 pixels becomes 179 there at 256 x 256. Here the filter stretches with the pixels and is cut off, and made to
sum to 1 again, at the border, as Pillow has it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import InvertibleTransform, MapTransform
from monai.transforms.utils import scale_affine
from monai.utils import TraceKeys, convert_to_tensor, ensure_tuple_rep
from torch import Tensor

FILTERED = ("bilinear",)  # modes with an anti-aliasing filter


def resized(image: Tensor, size: Sequence[int], mode: str = "bilinear") -> Tensor:
    """Resize the two sides of an image; pixel centres lie at half-integers on both scales.

    Args:
        image: (C, X, Y) of any type.
        size: new X and Y, pixels, 2 at least (torch 2.13 fills a side of 1 wrongly).
        mode: "bilinear", anti-aliased where it shrinks, or "nearest-exact" for labels.

    Returns:
        (C, X, Y), float32.
    """
    image = image.float()
    if tuple(image.shape[1:]) == tuple(size):
        return image
    return F.interpolate(image[None], size=list(size), mode=mode, antialias=mode in FILTERED)[0]


class Resize(InvertibleTransform):
    """Resize an image with `resized`; the inverse gives its size back.

    Args:
        spatial_size: new X and Y, pixels.
    """

    def __init__(self, spatial_size: Sequence[int]) -> None:
        self.spatial_size = tuple(spatial_size)

    def __call__(self, image: Tensor, mode: str = "bilinear") -> Tensor:
        """Resize (C, X, Y); a `MetaTensor` keeps its metadata, its affine follows."""
        image = convert_to_tensor(image, track_meta=get_track_meta())
        before = tuple(image.shape[1:])
        out = resized(image.as_tensor() if isinstance(image, MetaTensor) else image, self.spatial_size, mode)
        if not isinstance(image, MetaTensor):
            return out
        meta = self.track_transform_meta(
            image,
            sp_size=self.spatial_size,
            affine=scale_affine(before, self.spatial_size),
            extra_info={"mode": mode, "align_corners": TraceKeys.NONE},
            orig_size=before,
            transform_info=self.get_transform_info(),
        )
        return MetaTensor(out).copy_meta_from(meta)

    def inverse(self, image: Tensor) -> Tensor:
        """Give (C, X, Y) the size that it had."""
        record = self.pop_transform(image)
        again = Resize(record[TraceKeys.ORIG_SIZE])
        with again.trace_transform(False):
            return again(image, record[TraceKeys.EXTRA_INFO]["mode"])


class Resized(MapTransform, InvertibleTransform):
    """Resize items of a dictionary with `Resize`.

    Args:
        keys: of the items.
        spatial_size: new X and Y, pixels, 2 at least (torch 2.13 fills a side of 1 wrongly).
        mode: "bilinear" or "nearest-exact", one for all keys or one each.
        allow_missing_keys: whether an absent key is passed over.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spatial_size: Sequence[int],
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.resize = Resize(spatial_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize each item, (C, X, Y)."""
        items = dict(data)
        for key, mode in self.key_iterator(items, self.mode):
            items[key] = self.resize(items[key], mode)
        return items

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Give each item its size back."""
        items = dict(data)
        for key in self.key_iterator(items):
            items[key] = self.resize.inverse(items[key])
        return items
