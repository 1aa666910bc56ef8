"""Iterative training: the inferer of MONAI's trainer that marks what the network gets wrong before it answers.

For each batch the network, in `eval()`, answers without guidance; a mark is put into the largest error of each answer,
and so on for some rounds; the last answer is the one that the loss reads. Trainer and handlers are MONAI's.

Symbols: B batch, X and Y the sides of the network's square.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from monai.engines.utils import default_prepare_batch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.errors import UserError
from custom_networks.flags import flag
from custom_networks.interactive.guidance import BACKGROUND, BOX, FOREGROUND, PREVIOUS, connect, draw_box, draw_discs
from custom_networks.interactive.simulation import box_around, click_in, largest_error, scribble_in
from custom_networks.network.interactive import GUIDANCE_MAPS, Embedding
from custom_networks.precision import MixedPrecisionInferer


def image_and_label(
    batch: dict[str, Tensor], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, Tensor, tuple[Tensor], dict[str, Any]]:
    """Prepare a batch for MONAI's engines so that the inferer gets the label too, as `SimulatedUser` needs it."""
    image, label = cast(tuple[Tensor, Tensor], default_prepare_batch(batch, device, non_blocking, **kwargs))
    return image, label, (label,), {}


class SimulatedUser(MixedPrecisionInferer):
    """Run an interactive network with simulated marks.

    Args:
        amp: whether to use bfloat16.
        device: where the network runs.
        rounds: most marks of an image; in training each batch has 1 to that many.
        automatic: share of images without any guidance, so that one model serves both.
        scribbles: share of marks that are scribbles, not clicks.
        boxes: share of images with a box.
        scratch: share of images where the first mark is put on the whole object, not on the automatic answer's error.
        drop_previous: share of images that are answered without the previous mask.
        cuda_graph: cannot be had here; the passes of a step differ from batch to batch.

    Raises:
        UserError: for a share that is none, no round, or `cuda_graph`.
    """

    def __init__(
        self,
        amp: bool,
        device: torch.device | str,
        rounds: int = 3,
        automatic: float = 0.15,
        scribbles: float = 0.3,
        boxes: float = 0.15,
        scratch: float = 0.2,
        drop_previous: float = 0.2,
        cuda_graph: bool | str = False,
    ) -> None:
        super().__init__(amp, device)
        if flag(cuda_graph):
            raise UserError("--cuda_graph true: an interactive training cannot be recorded; use --cuda_graph false")
        shares = {
            "automatic": automatic,
            "scribbles": scribbles,
            "boxes": boxes,
            "scratch": scratch,
            "drop_previous": drop_previous,
        }
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise UserError(f"{name} {value}: must be a share from 0 to 1")
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise UserError(f"rounds {rounds}: must be a whole number from 1 up")
        self.rounds = rounds
        self.shares = shares

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Any:
        """Mark errors, then answer.

        Args:
            inputs: (B, 3, X, Y), normalised.
            network: `InteractiveSGDNet`, or one with its `embed` and `answer`. In `eval()` the user is the
                evaluation's: `rounds` clicks, each in the middle of the largest error.
            args: the label (B, 1 or more, X, Y), of which the last channel above 0 is the object.
            kwargs: none.

        Returns:
            What the network answers in its present mode, float32.
        """
        truth = (args[0][:, -1] > 0).cpu().numpy()

        def respond(image: Tensor) -> Any:
            embedding = network.embed(image)
            return network.answer(embedding, self.simulate(network, embedding, truth, image))

        return super().__call__(inputs, respond)

    @torch.no_grad()
    def simulate(self, network: Any, embedding: Any, truth: NDArray[np.bool_], like: Tensor) -> Tensor:
        """Draw the guidance of a batch.

        Args:
            network: that answers between the marks.
            embedding: of the images.
            truth: (B, X, Y).
            like: a tensor of the device and type that the guidance shall have.

        Returns:
            (B, 4, X, Y).
        """
        training = network.training
        embedding = _detached(embedding)
        rng = np.random.default_rng(int(torch.randint(2**31, ()))) if training else None
        maps = np.zeros((len(truth), GUIDANCE_MAPS, *truth.shape[1:]), np.float32)
        rounds = self.rounds if rng is None else int(rng.integers(1, self.rounds + 1))
        network.eval()
        for turn in range(rounds):
            logits = network.answer(embedding, torch.tensor(maps).to(like))
            answered = (logits[:, 0] > 0).cpu().numpy()
            for index, true in enumerate(truth):
                if rng is not None and turn == 0 and self._draw(rng, "scratch"):
                    answered[index] = False
                self.mark(maps[index], answered[index], true, rng)
        network.train(training)
        if rng is not None:
            self._vary(maps, truth, rng)
        return torch.tensor(maps).to(like)

    def mark(
        self,
        maps: NDArray[np.float32],
        answered: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        rng: np.random.Generator | None,
    ) -> None:
        """Put a mark into the largest error of an answer, and the answer into the map of the previous mask."""
        maps[PREVIOUS] = answered
        error = largest_error(answered, truth)
        if error is None:
            return
        stroke = rng is not None and self._draw(rng, "scribbles")
        points = connect(scribble_in(error, rng)) if stroke else click_in(error, rng)
        draw_discs(maps[FOREGROUND if error.positive else BACKGROUND], points)

    def _vary(self, maps: NDArray[np.float32], truth: NDArray[np.bool_], rng: np.random.Generator) -> None:
        """Leave guidance out, and add boxes, by chance."""
        for each, true in zip(maps, truth, strict=True):
            if self._draw(rng, "drop_previous"):
                each[PREVIOUS] = 0
            if self._draw(rng, "automatic"):
                each[:] = 0
            elif self._draw(rng, "boxes") and (box := box_around(true, rng)):
                draw_box(each[BOX], *box)

    def _draw(self, rng: np.random.Generator, share: str) -> bool:
        return bool(rng.random() < self.shares[share])


def _detached(embedding: Any) -> Any:
    """The same numbers without their history."""
    if isinstance(embedding, Embedding):
        skips = [each.detach() for each in embedding.skips]
        return embedding._replace(
            skips=skips,
            deep=embedding.deep.detach(),
            structure=embedding.structure.detach(),
            edge=embedding.edge.detach(),
        )
    return convert_to_tensor(embedding, track_meta=False).detach()
