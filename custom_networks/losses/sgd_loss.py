"""The loss, eq. (5): three scales of cross-entropy + Dice, and lambda times the Dice of the edge map.

Symbols: B batch, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from custom_networks.operators.boundary import morphological_gradient

SCALES = ("fine", "middle", "coarse")


class SGDNetLoss(nn.Module):
    """Deep supervision of the segmentation and supervision of the edge map, eq. (5).

    The boundary target is drawn here, on the device, from the label as it comes out of the augmentation, so that no
    other key has to travel with it. All sums are taken in float32, whatever the network's type.

    Args:
        edge_weight: lambda.
        boundary_thickness: of the boundary target, in pixels.
        softmax: False for one class (sigmoid, binary cross-entropy), True for several (softmax, cross-entropy).
        segmentation: another loss of a segmentation map than cross-entropy + Dice, such as MONAI's `TverskyLoss`.
            It is called with logits (B, classes, H, W) and labels (B, 1, H, W), both float32, and gives a scalar; what
            its logits need (`sigmoid`, `softmax`, `to_onehot_y`) is its own matter.
        scale_weights: of the fine, the middle and the coarse map.

    Attributes:
        terms: the latest value of each term, detached: `segmentation_fine`, `segmentation_middle`,
            `segmentation_coarse`, `edge` (before lambda and `scale_weights`).

    Raises:
        ValueError: for a negative `edge_weight`, a `segmentation` that is no function, or `scale_weights` that are
            not three numbers of 0 or more, the first above 0: it is the map that is used later.
    """

    def __init__(
        self,
        edge_weight: float = 3.0,
        boundary_thickness: int = 3,
        softmax: bool = False,
        segmentation: Callable[[Tensor, Tensor], Tensor] | None = None,
        scale_weights: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        if edge_weight < 0:
            raise ValueError(f"edge_weight must be 0 or more, got {edge_weight}")
        if segmentation is not None and not callable(segmentation):
            raise ValueError(f"segmentation must be a loss with a _target_, got {segmentation!r}")
        weights = [float(weight) for weight in scale_weights] if isinstance(scale_weights, Sequence) else []
        if len(weights) != len(SCALES) or not weights[0] > 0 or min(weights) < 0 or not math.isfinite(sum(weights)):
            raise ValueError(
                f"scale_weights must be three numbers of 0 or more, of the maps {', '.join(SCALES)}, and the first "
                f"above 0; got {scale_weights}"
            )
        self.scale_weights = weights
        self.edge_weight = edge_weight
        self.boundary_thickness = boundary_thickness
        self.softmax = softmax
        self.segmentation = segmentation or DiceCELoss(sigmoid=not softmax, softmax=softmax, to_onehot_y=softmax)
        self.edge = DiceLoss(sigmoid=True)
        self.terms: dict[str, Tensor] = {}

    def forward(self, outputs: Sequence[Tensor] | Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            outputs: logits as `SGDNet` gives them in `train()`: fine, middle, coarse (B, classes, H, W) and edge
                (B, 1, H, W); or the one map it gives in `eval()`.
            labels: (B, 1, H, W), or (B, 2, H, W) with instances first and their classes second. The last channel is
                segmented: for one class every value above 0 is foreground, for several it is the class number. The
                boundary is that of the first: instances that touch keep the border between them.

        Returns:
            Scalar float32.

        Raises:
            ValueError: where the sizes differ, nothing is resized silently; for labels of more than two channels, such
                as one-hot ones; for logits of one class with softmax.
        """
        maps = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        if any(logits.shape[2:] != labels.shape[2:] for logits in maps):
            sizes = ", ".join(str(tuple(logits.shape)) for logits in maps)
            raise ValueError(f"outputs and labels differ in size: {sizes} against {tuple(labels.shape)}")
        if labels.shape[1] not in (1, 2) or (self.softmax and maps[0].shape[1] < 2):
            raise ValueError(
                f"labels must have one channel, or instances and their classes, and softmax needs two classes or more; "
                f"got {labels.shape[1]} channels of labels and {maps[0].shape[1]} of logits"
            )
        target = labels[:, -1:] if self.softmax else (labels[:, -1:] > 0).float()
        terms = {
            f"segmentation_{scale}": self.segmentation(logits.float(), target)
            for scale, logits in zip(SCALES, maps, strict=False)
        }
        # no product where the weight is 1, and no term where it is 0: eq. (5) to the bit
        weighted = [
            term if weight == 1 else weight * term
            for term, weight in zip(terms.values(), self.scale_weights, strict=False)
            if weight
        ]
        loss = torch.stack(weighted).sum()
        if len(maps) > len(SCALES):
            boundary = morphological_gradient(labels[:, :1], self.boundary_thickness)
            terms["edge"] = self.edge(maps[-1].float(), boundary)
            loss = loss + self.edge_weight * terms["edge"]
        self.terms = {name: term.detach() for name, term in terms.items()}
        return loss
