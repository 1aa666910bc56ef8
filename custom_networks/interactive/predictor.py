"""The Python API: `InteractivePredictor("model.pt")`, an image once, then an answer for each click."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.errors import UserError
from custom_networks.interactive.guidance import Guidance, guidance_maps, marked_cells
from custom_networks.interactive.merging import honour, honoured_radius, touched_change
from custom_networks.network.interactive import Embedding, InteractiveSGDNet
from custom_networks.network.layers import resize_to
from custom_networks.prediction.geometry import Placement, place
from custom_networks.prediction.reading import from_array
from custom_networks.weights.network import load_checkpoint, trained_network
from custom_networks.weights.normalization import Normalization
from custom_networks.weights.reading import trained_depth, trained_normalization, trained_size

THRESHOLD = 0.5


@dataclass(frozen=True)
class State:
    """An image as the network keeps it between clicks.

    Attributes:
        embedding: what does not depend on the guidance.
        placement: of the image in the network's square.
        edge: (H, W) edge probability.
    """

    embedding: Any = field(repr=False)
    placement: Placement
    edge: NDArray[np.float32] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take, for who keeps several."""
        tensors = [t for each in self.embedding for t in (each if isinstance(each, list) else [each])]
        return sum(t.nbytes for t in tensors if isinstance(t, Tensor)) + self.edge.nbytes


class Answer(NamedTuple):
    """What the network answers.

    Attributes:
        probability: (H, W) of the object, as the network has it, whatever the marks say.
        mask: (H, W), which honours every mark.
        edge: (H, W) edge probability; it depends on the image alone.
    """

    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    edge: NDArray[np.float32]


class InteractivePredictor:
    """Segment images with clicks, scribbles, boxes and previous masks.

    Args:
        checkpoint: weights of an `InteractiveSGDNet`, `model.pt` of a run.
        device: "cpu", "cuda", ...; None takes the GPU where there is one.
        image_size: side of the network's square in pixels; None takes that of the training.
        amp: whether the network computes in bfloat16.

    Raises:
        UserError: for weights that are missing or of another architecture.

    Example:
        >>> predictor = InteractivePredictor("model.pt")
        >>> state = predictor.embed(image)
        >>> first = predictor.answer(state, Guidance())
        >>> second = predictor.answer(state, Guidance(foreground=[(120, 80)], previous=first.mask))
    """

    bit_depth: int | None = None
    """Of grey images stored in 16 bits, as the weights were trained; None where none was."""

    def __init__(
        self,
        checkpoint: str | Path,
        device: torch.device | str | None = None,
        image_size: int | None = None,
        amp: bool = False,
    ) -> None:
        network = trained_network(checkpoint)
        load_checkpoint(network, checkpoint)
        if not isinstance(network, InteractiveSGDNet):
            raise UserError(
                f"{checkpoint}: weights of an automatic model, which take no clicks; train interactive ones from them "
                "with bundle/configs/train_interactive.json"
            )
        self.bit_depth = trained_depth(checkpoint)
        side = image_size or trained_size(checkpoint)
        self._prepare(network, trained_normalization(checkpoint), side, device, amp)

    @classmethod
    def of_network(
        cls,
        network: torch.nn.Module,
        normalization: Normalization,
        image_size: int,
        device: torch.device | str | None = None,
        amp: bool = False,
    ) -> InteractivePredictor:
        """Make a predictor of a loaded network: an `InteractiveSGDNet`, or one with its `embed` and `answer`."""
        predictor = cls.__new__(cls)
        predictor._prepare(network, normalization, image_size, device, amp)
        return predictor

    def _prepare(
        self,
        network: torch.nn.Module,
        normalization: Normalization,
        image_size: int,
        device: torch.device | str | None,
        amp: bool,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.side = image_size
        self.dtype = torch.bfloat16 if amp else torch.float32
        self.mean, self.std = (
            torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]
            for values in (normalization.mean, normalization.std)
        )
        network = network.eval()
        if isinstance(network, InteractiveSGDNet) and self.device.type == "cpu":
            network = network.optimize_for_inference(self.dtype).network
        self.network: Any = network.to(self.device, self.dtype)

    @torch.inference_mode()
    def embed(self, image: NDArray[np.uint8]) -> State:
        """Compute what does not depend on guidance: most of the work, once an image.

        Args:
            image: (H, W, 3) uint8 RGB, any size.

        Returns:
            What `answer` needs of the image.

        Raises:
            UserError: for an array that is no image.
        """
        picture = from_array(np.asarray(image), self.bit_depth)
        placement = place(picture.size, self.side)
        square = placement.to_square(picture.pixels).to(self.device)
        normalised = ((square.float() - self.mean) / self.std)[None]
        embedding = self.network.embed(normalised.to(dtype=self.dtype, memory_format=torch.channels_last))
        edge = torch.zeros(1, 1, *square.shape[1:])
        if isinstance(embedding, Embedding) and embedding.edge.numel():
            edge = torch.sigmoid(resize_to(embedding.edge.float().cpu(), edge))
        return State(embedding, placement, placement.to_image(edge[0])[0].T.contiguous().numpy())

    @torch.inference_mode()
    def answer(self, state: State, guidance: Guidance | None = None) -> Answer:
        """Segment an embedded image.

        Args:
            state: from `embed`.
            guidance: every mark so far, and the mask that they correct; None or an empty one segments automatically.
                With `previous`, a mark changes the region that it touches and nothing else.

        Returns:
            Probability, mask and edge map at the image's size.

        Raises:
            UserError: for a mark outside the image or a previous mask of another size.
        """
        guidance = guidance or Guidance()
        size = state.placement.size
        guidance.check(*size)
        small = None
        if guidance.previous is not None:
            small = self._to_square(guidance.previous, state.placement)
        maps = torch.from_numpy(guidance_maps(guidance, size, self.side, small))[None]
        maps = maps.to(self.device, self.dtype, memory_format=torch.channels_last)
        logits = self.network.answer(state.embedding, maps)
        square = torch.sigmoid(cast(Tensor, logits).float().cpu())[0, :1]
        probability = state.placement.to_image(square)[0].T.contiguous().numpy()
        return Answer(probability, self._mask(probability, square[0].numpy(), small, guidance, size), state.edge)

    def _mask(
        self,
        probability: NDArray[np.float32],
        square: NDArray[np.float32],
        small: NDArray[np.bool_] | None,
        guidance: Guidance,
        size: tuple[int, int],
    ) -> NDArray[np.bool_]:
        """Turn the probability (H, W), and (side, side) in the network's square, into a mask (H, W)."""
        mask = probability >= THRESHOLD
        marks = (
            (guidance.foreground, guidance.foreground_scribbles),
            (guidance.background, guidance.background_scribbles),
        )
        if small is not None and guidance.previous is not None and any(any(each) for each in marks):
            cells = [marked_cells(*each, size, (self.side, self.side)) for each in marks]
            allowed = touched_change(small, square >= THRESHOLD, cells[0], cells[1])
            added, removed = (_resize_mask(each, size).T for each in allowed)
            mask = (guidance.previous | (added & mask)) & (mask | ~removed)
        foreground, background = (marked_cells(*each, size, size)[:, ::-1] for each in marks)  # row, column
        return honour(mask, foreground, background, honoured_radius(self.side, size))

    def _to_square(self, mask: NDArray[np.bool_], placement: Placement) -> NDArray[np.bool_]:
        """Bring a mask (H, W) into the network's square, x before y."""
        return _resize_mask(np.ascontiguousarray(mask.T), placement.inner)


def _resize_mask(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask to a shape, nearest pixel."""
    rows, columns = (np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]
