"""SGD-Net: the network of Figure 1 (a), assembled from its parts.

Source: "SGDC: Structurally-Guided Dynamic Convolution for Medical Image Segmentation" (arXiv 2602.23496), with what
it takes from CTO (Medical Image Analysis 2025). 74,005,848 parameters for one class. The paper prints 75.88 M: the
difference is 1.870 M of a CTO block that the authors' code builds and never calls.

Symbols: B batch, H and W the input's height and width, /4 a quarter of both, P planes of the encoder's first stage,
64 in the paper.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from custom_networks.errors import nearest
from custom_networks.network.decoder import ReverseAttentionDecoder
from custom_networks.network.dual_attention import DualAttention
from custom_networks.network.layers import ConvBNReLU, has_batch_norm, pad_to_multiple
from custom_networks.network.optimized import FoldedSGDNet, OptimizedSGDNet
from custom_networks.network.refinements import REFINEMENTS, RefinementOptions
from custom_networks.network.res2net import DEPTHS, PLANES, Res2Net
from custom_networks.network.segmenter import Segmenter, SGDNetMaps, restore
from custom_networks.network.sge import StructureGuidanceExtractor
from custom_networks.network.stitch_vit import StitchViT
from custom_networks.network.weights import load_encoder

SIZE_FACTOR = 64  # StitchViT needs H/4 and W/4 to be multiples of its largest stride, 16
GUIDANCE_CHANNELS = 16
GUIDANCES = ("sge", "self")
TRAINING_ARGUMENTS = ("pretrained_encoder", "checkpointing")
"""Arguments that are no part of the architecture."""


def has_edge(refinement: str = "sgdc") -> bool:
    """Tell whether a network of a refinement gives an edge map: each has the SGE but "none"."""
    return refinement != "none"


class SGDNet(Segmenter):
    """SGD-Net for 2D images.

    In `train()` the result is the list of logits that eq. (5) takes: three segmentation maps, fine to coarse, then
    the edge map. In `eval()` it is the final segmentation logits alone. `maps` gives everything at once.

    Any height and width will do: the input is padded to multiples of 64 by replication and the maps are cropped.

    Args:
        in_channels: channels of the image.
        out_channels: 1 for a binary mask (sigmoid), else the number of classes including background (softmax).
        dropout: probability in the dual attention.
        pretrained_encoder: file of the published ImageNet weights; None or "" starts from random numbers.
        edge_operator: "sobel", "scharr", "laplacian", "learnable" or "none" (Table 6).
        edge_reading: "summed" (the authors' code) or "depthwise" (eq. (1) per channel).
        refinement: "sgdc", or what Table 4 puts in its place: "contmix", "add" or "none" (then no SGE and no edge
            map either); or "contmix_published".
        guidance: "sge", or "self" for self-guidance (Table 5).
        kernel_size: side of the dynamic kernels of "sgdc" and "contmix", odd.
        local_branch: whether SGDC has its local branch (Table 5).
        dynamic_branch: whether SGDC has its dynamic branch (Table 5).
        local_input: "normalized" (the paper) or "raw" (the authors' code).
        layer_scale_init: initial residual scale in SGDC; None for eqs. (3) and (4) to the letter.
        stitch_vit: whether the deepest map is joined with StitchViT's (Table 4, row 1 is without).
        stitch_placement: "interleaved" (the text) or "blocks" (the code of CTO, the predecessor), see `StitchViT`.
        encoder_depths: blocks of the encoder's four stages.
        encoder_width: P, a multiple of 4. The encoder's maps have 4P to 32P channels, the SGE 4P, the decoder P.
            ImageNet weights are for 64.
        checkpointing: compute the refinements' inner maps a second time in the backward pass rather than keep them:
            less memory, more time, the same gradients.
        backend: of the dynamic convolution, a name in `operators/backends/registry.py` or "auto".

    Attributes:
        arguments: those of the architecture, by name, for the record of its weights.

    Raises:
        ValueError: for an argument out of its range.
        UserError: for weights that are missing or do not fit.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        dropout: float = 0.1,
        pretrained_encoder: str | Path | None = None,
        edge_operator: str = "sobel",
        edge_reading: str = "summed",
        refinement: str = "sgdc",
        guidance: str = "sge",
        kernel_size: int = 7,
        local_branch: bool = True,
        dynamic_branch: bool = True,
        local_input: str = "normalized",
        layer_scale_init: float | None = 1e-6,
        stitch_vit: bool = True,
        stitch_placement: str = "interleaved",
        encoder_depths: Sequence[int] = DEPTHS,
        encoder_width: int = PLANES,
        checkpointing: bool = False,
        backend: str = "auto",
    ) -> None:
        encoder_depths = list(encoder_depths)
        given = dict(locals())
        names = [name for name in inspect.signature(SGDNet).parameters if name not in TRAINING_ARGUMENTS]
        super().__init__(SIZE_FACTOR, out_channels, has_edge(refinement), {name: given[name] for name in names})
        self.checkpointing = checkpointing
        for what, got, known in (("refinement", refinement, REFINEMENTS), ("guidance", guidance, GUIDANCES)):
            if got not in known:
                raise ValueError(f"{what} must be one of {', '.join(known)}, got {got!r}{nearest(str(got), known)}")
        if in_channels < 1 or out_channels < 1:
            raise ValueError(f"in_channels and out_channels must be 1 or more, got {in_channels} and {out_channels}")
        if guidance == "self" and refinement != "sgdc":
            raise ValueError(f"guidance 'self' is a variant of refinement 'sgdc', got refinement {refinement!r}")
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and 1 or more, got {kernel_size}")
        if encoder_width < 4 or encoder_width % 4:
            raise ValueError(f"encoder_width must be a multiple of 4 above 0, got {encoder_width}")

        self.encoder = Res2Net(in_channels, encoder_depths, encoder_width)
        x1, x2, x3, x4 = self.encoder.out_channels
        self.stitch_vit = StitchViT(x1, placement=stitch_placement) if stitch_vit else None
        self.dual_attention = DualAttention(x4 + x1 * stitch_vit, x4, dropout)
        self.reduce = ConvBNReLU(x4, encoder_width, 1, bias=True)
        self.sge: StructureGuidanceExtractor | None = None
        guidance_channels = GUIDANCE_CHANNELS if guidance == "sge" else 0
        if has_edge(refinement):
            self.sge = StructureGuidanceExtractor(x4, x1, x1, guidance_channels, edge_operator, edge_reading)

        options = RefinementOptions(
            guidance_channels, kernel_size, local_branch, dynamic_branch, local_input, layer_scale_init, backend
        )
        self.refine = nn.ModuleList(REFINEMENTS[refinement](channels, options) for channels in (x1, x2, x3))
        self.normalizes = [has_batch_norm(refine) for refine in self.refine]
        self.decoder = ReverseAttentionDecoder((x1, x2, x3), encoder_width)
        self.heads = nn.ModuleList(nn.Conv2d(encoder_width, out_channels, 1) for _ in range(3))
        if pretrained_encoder:
            load_encoder(self.encoder, pretrained_encoder)

    def encode(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """Run Figure 1 (a) up to the refinements.

        Args:
            x: (B, 3, H, W), H and W multiples of 64.

        Returns:
            x1, x2, x3; the deepest map (B, P, H/32, W/32); edge logits (B, 1, H/4, W/4); guidance (B, 16, H/4, W/4).
        """
        x1, x2, x3, x4 = self.encoder(x)
        context = x4
        if self.stitch_vit is not None:
            context = torch.cat([self.stitch_vit.resized(x1, x4), x4], dim=1)
        deep = self.reduce(self.dual_attention(context))
        edge, guidance = x1.new_zeros([0]), x1.new_zeros([0])
        if self.sge is not None:
            edge, guidance = self.sge(x4, x1)
        return [x1, x2, x3], deep, edge, guidance

    def refine_and_decode(self, skips: list[Tensor], deep: Tensor, guidance: Tensor) -> list[Tensor]:
        """Run the rest of Figure 1 (a) up to the heads: decoded maps (B, P, h, w), fine to coarse."""
        refined: list[Tensor] = []
        for i, refine in enumerate(self.refine):
            recomputes = self.checkpointing and self.training and not self.normalizes[i]
            if not torch.jit.is_scripting() and recomputes:
                refined.append(checkpoint(refine, skips[i], guidance, use_reentrant=False))
            else:
                refined.append(refine(skips[i], guidance))
        return self.decoder(deep, refined)

    def decode(self, x: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Run Figure 1 (a) up to the heads.

        Args:
            x: (B, 3, H, W), H and W multiples of 64.

        Returns:
            Decoded maps (B, P, h, w), fine to coarse; edge logits (B, 1, H/4, W/4); guidance (B, 16, H/4, W/4).
        """
        skips, deep, edge, guidance = self.encode(x)
        return self.refine_and_decode(skips, deep, guidance), edge, guidance

    def maps(self, image: Tensor) -> SGDNetMaps:
        """Compute every map, whatever the mode; for training, pictures and export.

        Args:
            image: (B, 3, H, W), any height and width.

        Returns:
            All maps; edge and guidance are empty for `refinement="none"`.
        """
        padded = pad_to_multiple(image, self.size_factor)
        decoded, edge, guidance = self.decode(padded)
        segmentation: list[Tensor] = []
        for i, head in enumerate(self.heads):
            segmentation.append(restore(head(decoded[i]), padded, image))
        if edge.numel() > 0:
            edge = restore(edge, padded, image)
        return SGDNetMaps(segmentation, edge, guidance)

    def forward(self, image: Tensor) -> Tensor:
        """Segment.

        Args:
            image: (B, 3, H, W), any height and width.

        Returns:
            Final logits (B, classes, H, W) in `eval()`; in `train()` the list [fine, middle, coarse, edge] of
            logits at the input's size, without the edge map for `refinement="none"`.
        """
        if not torch.jit.is_scripting():  # noqa: SIM102 (TorchScript compiles what stands beside this condition)
            if self.training:
                maps = self.maps(image)
                return [*maps.segmentation, maps.edge] if self.sge is not None else maps.segmentation  # type: ignore
        padded = pad_to_multiple(image, self.size_factor)
        decoded = self.decode(padded)[0]
        return restore(self.heads[0](decoded[0]), padded, image)

    def with_edge(self, image: Tensor) -> Tensor:
        """Return the final logits (B, classes, H, W) and, as a further channel, those of the edge; in `eval()`."""
        if self.sge is None:
            raise ValueError("a network without SGE has no edge map")
        padded = pad_to_multiple(image, self.size_factor)
        decoded, edge, _ = self.decode(padded)
        logits = restore(self.heads[0](decoded[0]), padded, image)
        return torch.cat([logits, restore(edge, padded, image)], 1)

    @torch.jit.unused
    def optimize_for_inference(
        self, dtype: torch.dtype = torch.float32, edge: bool = False, packed: bool = True
    ) -> FoldedSGDNet:
        """Return a copy for inference: batch normalisation folded into convolutions, channels-last, in `dtype`.

        Args:
            dtype: float32 keeps the outputs within 1e-4 of the largest logit; bfloat16 is faster where the processor
                computes in it.
            edge: whether the edge logits follow those of the classes, as a further channel.
            packed: whether weights are packed for this processor; false for a GPU.

        Returns:
            A module that takes and gives float32, as this network does in `eval()`.
        """
        return (OptimizedSGDNet if packed else FoldedSGDNet)(self, dtype, edge)
