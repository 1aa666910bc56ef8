"""The Python API: `SGDNetPredictor.from_bundle("bundle")(image)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError
from custom_networks.network.sgdnet import SGDNet
from custom_networks.prediction.engine import Engine
from custom_networks.prediction.ensemble import Ensemble, refuse_unlike
from custom_networks.prediction.geometry import Placement, place
from custom_networks.prediction.options import Options
from custom_networks.prediction.reading import ReadImage, from_array, is_volume, read_file, read_slices
from custom_networks.prediction.result import Prediction, conclude
from custom_networks.prediction.window import predict_windows
from custom_networks.weights.normalization import Normalization


class SGDNetPredictor:
    """Predict images with a trained network.

    Args:
        network: with its weights.
        normalization: of its images.
        options: how to predict.
        device: "cuda", "cpu", ...; None takes the GPU where there is one.
        edge: whether to give the edge map too.
        batch_size: windows a step, and images of a list.
        names: of the classes, where there are several.
        cuda_graphs: whether a GPU replays the network as one recorded graph.
        others: further networks, each with its normalization; the mean of all probabilities is taken.

    Example:
        >>> predictor = SGDNetPredictor.from_bundle("bundle")
        >>> result = predictor("image.jpg")
        >>> result.mask, result.confidence
    """

    def __init__(
        self,
        network: SGDNet,
        normalization: Normalization,
        options: Options | None = None,
        device: torch.device | str | None = None,
        edge: bool = True,
        batch_size: int = 1,
        names: Mapping[int, str] | None = None,
        cuda_graphs: bool = False,
        others: Sequence[tuple[SGDNet, Normalization]] = (),
    ) -> None:
        self.options = options or Options()
        self.names = dict(names or {})
        self.batch_size = batch_size
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        options = self.options
        engines = [
            Engine(*member, device, options.amp, options.tta, edge, cuda_graphs)
            for member in ((network, normalization), *others)
        ]
        self.engine: Engine | Ensemble = Ensemble(engines) if others else engines[0]

    @classmethod
    def from_bundle(
        cls,
        bundle_root: str | Path = "bundle",
        checkpoint: str | Path | Sequence[str | Path] | None = None,
        *,
        device: torch.device | str | None = None,
        edge: bool = True,
        batch_size: int = 1,
        cuda_graphs: bool = False,
        **options: Any,
    ) -> SGDNetPredictor:
        """Load the network that a bundle describes.

        Args:
            bundle_root: folder with `configs/`.
            checkpoint: weights; None takes the bundle's `models/model.pt`; several are averaged.
            device: see the class.
            edge: see the class.
            batch_size: see the class.
            cuda_graphs: see the class.
            options: of `Options`; image size, bit depth and threshold are those of the weights and the bundle
                by default.

        Returns:
            The predictor.

        Raises:
            UserError: for a missing configuration, missing or unfit weights, weights that cannot be averaged, or an
                option that cannot be.
        """
        paths = [checkpoint] if checkpoint is None or isinstance(checkpoint, str | Path) else list(checkpoint)
        size = options.pop("image_size", None)
        sources = [load_source(bundle_root, path, size) for path in paths]
        refuse_unlike(sources)
        source, *others = sources
        own = {"image_size": source.image_size, "threshold": source.threshold, "bit_depth": source.bit_depth}
        chosen = Options(**{**own, **options})
        return cls(
            source.network,
            source.normalization,
            chosen,
            device,
            edge,
            batch_size,
            source.classes,
            cuda_graphs,
            [(other.network, other.normalization) for other in others],
        )

    def __call__(self, image: str | Path | NDArray) -> Prediction:
        """Predict one image.

        Args:
            image: a path, of any format that `read` knows, or an array (H, W, 3) of uint8 RGB.

        Returns:
            The prediction, at the image's size.

        Raises:
            UserError: for a file or an array that is no image.
        """
        return next(self.predict([image]))

    def predict(self, images: Iterable[str | Path | NDArray]) -> Iterator[Prediction]:
        """Predict many images, of whatever sizes, `batch_size` of them a step.

        Args:
            images: paths and arrays as for one image; each is read when its batch is due, so that they may be as many
                as one likes.

        Yields:
            A prediction for each image, in order.

        Raises:
            UserError: for a file or an array that is no image, when its batch is due.
        """
        return self._batched(map(self._read, images))

    def slices(self, volume: str | Path, axis: int = 2) -> list[Prediction]:
        """Predict the slices of a NIfTI volume, `batch_size` of them a step.

        Args:
            volume: its path.
            axis: of its array, 0 to 2, along which the slices are counted.

        Returns:
            A prediction for each slice.

        Raises:
            UserError: for a file that cannot be read.
        """
        return list(self._batched(read_slices(Path(volume), axis, self.options.bit_depth)))

    def _read(self, image: str | Path | NDArray) -> ReadImage:
        if not isinstance(image, str | Path):
            return from_array(np.asarray(image))
        if is_volume(Path(image)):
            raise UserError(f"{image}: a volume; predict it with `slices`")
        return read_file(Path(image), self.options.bit_depth)

    def _batched(self, pictures: Iterable[ReadImage]) -> Iterator[Prediction]:
        remaining = iter(pictures)
        while batch := list(islice(remaining, self.batch_size)):
            yield from map(self.finish, batch, self.compute([self.prepare(picture) for picture in batch]))

    def prepare(self, picture: ReadImage) -> Prepared:
        """Make of an image what the network sees; nothing to do where windows are cut from it."""
        if self.options.mode == "window":
            return picture
        return self._placement(picture).to_square(picture.pixels)

    def compute(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Run the network on prepared images; returns maps (K, X, Y) of each."""
        if self.options.mode == "window":
            options = self.options
            size = (options.image_size, options.overlap, options.scale, self.batch_size)
            return [predict_windows(self.engine, one.pixels, *size) for one in prepared if isinstance(one, ReadImage)]
        return list(self.engine(torch.stack([one for one in prepared if isinstance(one, Tensor)])))

    def finish(self, picture: ReadImage, maps: Tensor) -> Prediction:
        """Bring the maps of an image to its size, and conclude."""
        if self.options.mode != "window":
            maps = self._placement(picture).to_image(maps)
        return conclude(picture, dict(zip(self.engine.channels, maps, strict=True)), self.options)

    def _placement(self, picture: ReadImage) -> Placement:
        return place(picture.size, self.options.image_size, keep_aspect=self.options.mode == "pad")


Prepared = ReadImage | Tensor
