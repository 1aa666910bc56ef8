"""The Python API: `SGDNetPredictor.from_bundle("bundle")(image)`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from custom_networks.configuration.inference import load_source
from custom_networks.network.segmenter import Segmenter
from custom_networks.prediction.choice import CHECKED, WORTH, checked_engine, choose_engine
from custom_networks.prediction.engine import ENGINES, EngineJob, TorchEngine
from custom_networks.prediction.ensemble import Ensemble, refuse_unlike
from custom_networks.prediction.geometry import Placement, place
from custom_networks.prediction.maps import MapSource, NetworkMaps
from custom_networks.prediction.options import Options
from custom_networks.prediction.reading import ReadImage, from_array, read_file, read_slices
from custom_networks.prediction.result import Prediction, prediction_of
from custom_networks.prediction.transfer import Arriving
from custom_networks.prediction.window import predict_windows, some_windows
from custom_networks.weights.normalization import Normalization

logger = logging.getLogger(__name__)


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
        cuda_graphs: whether a GPU replays the network as recorded graphs.
        others: further networks, each with its normalization; the mean of all probabilities is taken.
        engine: "torch", "openvino", "onnx" or "auto", see `choose_engine`.
        weights: files of the networks, in the same order, beside which exported files are kept.

    Example:
        >>> predictor = SGDNetPredictor.from_bundle("bundle")
        >>> result = predictor("image.jpg")
        >>> result.mask, result.confidence
    """

    def __init__(
        self,
        network: Segmenter,
        normalization: Normalization,
        options: Options | None = None,
        device: torch.device | str | None = None,
        edge: bool = True,
        batch_size: int = 1,
        names: Mapping[int, str] | None = None,
        cuda_graphs: bool = False,
        others: Sequence[tuple[Segmenter, Normalization]] = (),
        engine: str = TorchEngine.name,
        weights: Sequence[Path] = (),
    ) -> None:
        self.options = options = options or Options()
        self.names = dict(names or {})
        self.batch_size = batch_size
        self.engine = checked_engine(engine)
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        members = ((network, normalization), *others)
        self._members = [
            (EngineJob(member, chosen, options.amp, edge, weights_, options.image_size), normalization_)
            for (member, normalization_), weights_ in zip_longest(members, weights)
        ]
        self._cuda_graphs = cuda_graphs
        if cuda_graphs and chosen.type != "cuda":
            logger.warning("--cuda_graphs: %s has none; the network is computed without them", chosen)
        self._maps: MapSource | None = None
        if self.engine == TorchEngine.name:
            self.choose_engine(())

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
        engine: str = TorchEngine.name,
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
            engine: see the class.
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
            engine,
            [one.checkpoint for one in sources],
        )

    @property
    def is_chosen(self) -> bool:
        """Whether it is known what computes the maps."""
        return self._maps is not None

    @property
    def maps(self) -> MapSource:
        """What computes the maps; chosen by the first images where nothing chose it before."""
        if self._maps is None:
            self.choose_engine(())
        assert self._maps is not None
        return self._maps

    def choose_engine(
        self,
        pictures: Sequence[ReadImage],
        images: int = WORTH,
        earlier: str | None = None,
        say: Callable[[str], None] = logger.warning,
    ) -> None:
        """Choose what computes the logits, once; the first images predicted do so where this was not called before.

        An exported file is made once and kept beside the weights, or in the user's cache. Its masks are compared with
        those of PyTorch in float32. `auto` takes the fastest engine that passes, and PyTorch where that is nearly as
        fast, or where the work is too little to export a file for.

        Args:
            pictures: first ones of the work.
            images: how many squares there are to compute.
            earlier: engine that computed the first part of the work; `auto` keeps it.
            say: called with a line where an engine that `auto` tried is passed over.

        Raises:
            UserError: where the engine that is wanted is missing, or its masks differ from PyTorch's.
        """
        if self._maps is not None:
            return
        squares = [square for picture in pictures for square in self._squares(picture, CHECKED // len(pictures))]
        full = math.ceil(len(squares) / self.batch_size) * self.batch_size
        batches = list(torch.stack(list(islice(cycle(squares), full))).split(self.batch_size)) if squares else []
        choice = choose_engine(
            self.engine,
            self._build,
            [job for job, _ in self._members],
            batches,
            self.options.threshold,
            images,
            earlier,
            say,
        )
        self.engine, self._maps = choice.name, choice.maps
        self._members = []  # lets go of the networks: engines have copies of their own

    def _build(self, engine: str, amp: bool) -> MapSource:
        members = [
            NetworkMaps(ENGINES[engine](own), own, normalization, self.options.tta, self._cuda_graphs)
            for own, normalization in ((replace(job, amp=amp), normalization) for job, normalization in self._members)
        ]
        return Ensemble(members) if len(members) > 1 else members[0]

    def _squares(self, picture: ReadImage, windows: int) -> list[Tensor]:
        """What the network sees of an image, (3, X, Y) of uint8; some of the windows where it sees windows."""
        prepared = self.prepare(picture)
        if isinstance(prepared, Tensor):
            return [prepared]
        return some_windows(picture.pixels, self.options.image_size, self.options.scale, max(1, windows))

    def __call__(self, image: str | Path | NDArray) -> Prediction:
        """Predict one image.

        Args:
            image: a path, of any format that `read` knows, or an array, (H, W, 3) of uint8 RGB or (H, W) of grey in 16
                bits.

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
        """Predict the slices of a NIfTI volume, or the frames of a DICOM file, `batch_size` of them a step.

        Args:
            volume: its path.
            axis: of the array of NIfTI, 0 to 2, along which the slices are counted.

        Returns:
            A prediction for each slice.

        Raises:
            UserError: for a file that cannot be read.
        """
        return list(self._batched(read_slices(Path(volume), axis, self.options.bit_depth)))

    def _read(self, image: str | Path | NDArray) -> ReadImage:
        if not isinstance(image, str | Path):
            return from_array(np.asarray(image), self.options.bit_depth)
        return read_file(Path(image), self.options.bit_depth)

    def _batched(self, pictures: Iterable[ReadImage]) -> Iterator[Prediction]:
        remaining = iter(pictures)
        if self._maps is None:
            first = list(islice(remaining, CHECKED))
            self.choose_engine(first)
            remaining = chain(first, remaining)
        while batch := list(islice(remaining, self.batch_size)):
            yield from map(self.finish, batch, self.compute([self.prepare(picture) for picture in batch]))

    def prepare(self, picture: ReadImage) -> Prepared:
        """Make of an image what the network sees; nothing to do where windows are cut from it."""
        return picture if self.options.mode == "window" else self._placement(picture).to_square(picture.pixels)

    def compute(self, prepared: Sequence[Prepared]) -> list[Arriving]:
        """Begin to run the network on prepared images; the maps (K, X, Y) of each are there when they are asked for."""
        if self.options.mode == "window":
            options = self.options
            size = (options.image_size, options.overlap, options.scale, self.batch_size)
            found = [predict_windows(self.maps, one.pixels, *size) for one in prepared if isinstance(one, ReadImage)]
            return [Arriving(maps) for maps in found]
        started = self.maps.start(torch.stack([one for one in prepared if isinstance(one, Tensor)]))
        return [Arriving(maps, started.event) for maps in started.host]

    def finish(self, picture: ReadImage, maps: Arriving) -> Prediction:
        """Bring the maps of an image to its size, and conclude."""
        values = maps.get()
        if self.options.mode != "window":
            values = self._placement(picture).to_image(values)
        return prediction_of(picture, dict(zip(self.maps.channels, values, strict=True)), self.options)

    def _placement(self, picture: ReadImage) -> Placement:
        return place(picture.size, self.options.image_size, keep_aspect=self.options.mode == "pad")


Prepared = ReadImage | Tensor
