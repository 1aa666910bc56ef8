"""Boundary targets by morphological gradient, section 4.1: dilation minus erosion, 3 pixels thick.

Dilation with radius 1 minus erosion with radius 2 is a band centred on the object's outermost pixel. It is taken on
the *label* map as a grey-level gradient, so that touching objects keep the border between them. Beyond the image's
border the nearest pixel is repeated: an object that is cut by the border gets no false frame.

Symbols: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor, ensure_tuple_rep
from torch import Tensor


def morphological_gradient(labels: Tensor, thickness: int = 3) -> Tensor:
    """Draw the boundary of every object of a label map.

    Args:
        labels: (B, C, H, W), 0 for background; masks, classes or instance numbers, on any device.
        thickness: of the band in pixels on a straight edge; thickness // 2 of them lie outside the object.

    Returns:
        (B, C, H, W) float32, 1 on the boundary, else 0.

    Raises:
        ValueError: for a thickness below 1, or a shape without batch and channel.
    """
    if thickness < 1:
        raise ValueError(f"thickness must be 1 pixel or more, got {thickness}")
    if labels.dim() != 4:
        raise ValueError(f"labels must be (B, C, H, W), got shape {tuple(labels.shape)}")
    labels = labels.float()
    outer = thickness // 2
    inner = thickness - outer
    # max-pooling ignores what lies beyond the border, which for a maximum is the same as repeating the edge pixel
    dilated = F.max_pool2d(labels, 2 * outer + 1, stride=1, padding=outer)
    eroded = -F.max_pool2d(-labels, 2 * inner + 1, stride=1, padding=inner)
    return (dilated > eroded).float()


class MorphologicalGradient(Transform):
    """MONAI transform: the boundary of a label map of one image.

    Args:
        thickness: of the band in pixels.
    """

    def __init__(self, thickness: int = 3) -> None:
        self.thickness = thickness

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Map labels (C, H, W) to a float32 boundary (C, H, W) of the same kind (array, tensor, MetaTensor)."""
        labels = convert_to_tensor(img)
        boundary = morphological_gradient(labels.unsqueeze(0), self.thickness).squeeze(0)
        return convert_to_dst_type(boundary, img, dtype=torch.float32)[0]


class MorphologicalGradientd(MapTransform):
    """Dictionary form of `MorphologicalGradient`; put it after all spatial augmentation.

    Args:
        keys: label maps to read.
        boundary_keys: where the boundaries are written.
        thickness: of the band in pixels.
        allow_missing_keys: whether a missing key is passed over.
    """

    def __init__(
        self,
        keys: KeysCollection = "label",
        boundary_keys: KeysCollection = "boundary",
        thickness: int = 3,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.boundary_keys = ensure_tuple_rep(boundary_keys, len(self.keys))
        self.gradient = MorphologicalGradient(thickness)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the boundaries to the dictionary."""
        result = dict(data)
        for key, boundary_key in self.key_iterator(result, self.boundary_keys):
            result[boundary_key] = self.gradient(result[key])
        return result
