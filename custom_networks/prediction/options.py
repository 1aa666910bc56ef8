"""What a prediction is told, said once: names, defaults, help and checks of the flags of `sgdnet predict`.

`Options` is how images are predicted, which the journal keeps; `Request` is which images, and where the results go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from custom_networks.arguments import FILES, Help
from custom_networks.errors import UserError, nearest

if TYPE_CHECKING:
    from custom_networks.metrics.watershed import WatershedParameters

MODES = ("stretch", "pad", "window")
NETWORK, DECISION, SPEED, VOLUMES, SLIDES = "Network", "Decision", "Speed", "Sizes and volumes", "Slides"


def _watershed() -> WatershedParameters:
    from custom_networks.metrics.watershed import WatershedParameters

    return WatershedParameters()


@dataclass(frozen=True)
class Options:
    """How images are predicted, and what decides whether an earlier run's results still count.

    The annotations describe each. `watershed` says how instances are cut out; `threshold` stands for its own.

    Raises:
        UserError: for a value that cannot be.
    """

    image_size: Annotated[
        int,
        Help("side in pixels of the square that the network sees, a multiple of 64", NETWORK, default="the training's"),
    ] = 256
    threshold: Annotated[
        float, Help("probability from which a pixel is foreground, 0 to 1", DECISION, default="the bundle's, 0.5")
    ] = 0.5
    mode: Annotated[
        str,
        Help(
            "stretch (to the square, as in training), pad (the aspect is kept, the border repeated) or window (the "
            "square slides over the image)",
            NETWORK,
        ),
    ] = "stretch"
    overlap: Annotated[float, Help("of neighbouring windows, as a share of their side, 0 to 0.9", NETWORK)] = 0.25
    scale: Annotated[float, Help("factor by which images are resized before windows are cut, 0.01 to 4", NETWORK)] = 1.0
    tta: Annotated[
        str,
        Help("views of an image: none, flips (4) or all (8, turns too); their spread is the uncertainty", NETWORK),
    ] = "none"
    review_below: Annotated[float, Help("confidence, 0 to 1, below which an image is flagged for review", DECISION)] = (
        0.8
    )
    amp: Annotated[bool, Help("true predicts in mixed precision (bfloat16), on a GPU and on a CPU", SPEED)] = False
    bit_depth: Annotated[
        int | None,
        Help(
            "bits of grey images stored in 16, such as 12",
            NETWORK,
            default="the training's, else each image's own",
        ),
    ] = None
    fill_holes: Annotated[bool, Help("true makes holes of the foreground foreground", DECISION)] = False
    min_area: Annotated[int, Help("regions of fewer pixels are dropped", DECISION)] = 0
    keep_largest: Annotated[bool, Help("true keeps the largest region of an image, or of a slice, alone", DECISION)] = (
        False
    )
    mpp: Annotated[
        float | None,
        Help("microns a pixel at which slides are predicted, such as 0.5", SLIDES, default="level 0 times --scale"),
    ] = None
    level: Annotated[
        int | None,
        Help("level of slides, 0 being the finest, at whose resolution they are predicted", SLIDES, default="none"),
    ] = None
    skip_glass: Annotated[
        bool, Help("true leaves windows of slides out that show nothing but bright grey; how many is printed", SLIDES)
    ] = False
    watershed: WatershedParameters = field(default_factory=_watershed)

    def __post_init__(self) -> None:
        from custom_networks.data.depth import checked_depth
        from custom_networks.data.sources import checked_size
        from custom_networks.prediction.geometry import VIEWS

        checked_size(self.image_size)
        checked_depth(self.bit_depth)
        for name, value, known in (("mode", self.mode, MODES), ("tta", self.tta, VIEWS)):
            if value not in known:
                raise UserError(f"--{name} {value}: must be one of {', '.join(known)}{nearest(str(value), known)}")
        for name, low, high in (("threshold", 0, 1), ("review_below", 0, 1), ("overlap", 0, 0.9), ("scale", 0.01, 4)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UserError(f"--{name} {value}: must be a number from {low} to {high}")
        if self.scale != 1 and self.mode != "window":
            raise UserError(f"--scale {self.scale}: is for --mode window; {self.mode} resizes to --image_size")
        for name in ("amp", "fill_holes", "keep_largest", "skip_glass"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"--{name} {getattr(self, name)}: must be true or false")
        if isinstance(self.min_area, bool) or not isinstance(self.min_area, int) or self.min_area < 0:
            raise UserError(f"--min_area {self.min_area}: must be a whole number of pixels")

        self._check_resolution()

    def _check_resolution(self) -> None:
        """Check what says at which resolution slides are predicted."""
        mpp, level = self.mpp, self.level
        if mpp is not None and (isinstance(mpp, bool) or not isinstance(mpp, int | float) or not 0.01 <= mpp <= 1000):
            raise UserError(f"--mpp {mpp}: must be a number of microns from 0.01 to 1000, such as 0.5")
        if level is not None and (isinstance(level, bool) or not isinstance(level, int) or level < 0):
            raise UserError(f"--level {level}: must be a whole number, 0 for the finest level")
        given = [name for name, off in (("mpp", None), ("level", None), ("scale", 1)) if getattr(self, name) != off]
        if len(given) > 1:
            raise UserError(f"--{given[0]} and --{given[1]}: both say a resolution; give one of them")

    def as_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


@dataclass(frozen=True)
class Request:
    """Which images are predicted, what is written, where, and by what means; the annotations describe each.

    `options` are those of `Options` that were given.

    Raises:
        UserError: for a value that cannot be.
    """

    inputs: Annotated[
        Sequence[str],
        Help("images, folders and patterns, such as 'scans/**/*.png'; exit code 2 when some images fail", FILES),
    ] = ()
    dataset_dir: Annotated[
        str | None, Help("a folder to predict, its images/ where it has one", FILES, default="none")
    ] = None
    output: Annotated[str | None, Help("folder that gets the results", FILES, default="predictions/ of the bundle")] = (
        None
    )
    outputs: Annotated[
        str,
        Help(
            "with commas: mask, probability, edge, uncertainty, instances, overlay, geojson, coco, measurements; all",
            FILES,
        ),
    ] = "mask"
    overwrite: Annotated[bool, Help("true replaces results that are there", FILES)] = False
    dry_run: Annotated[bool, Help("true says what would be done, and writes nothing", FILES)] = False
    checkpoint: Annotated[
        str | None,
        Help(
            "weights, model.pt of a run; several, separated by commas, are averaged",
            FILES,
            default="models/model.pt of the bundle",
        ),
    ] = None
    bundle_root: Annotated[
        str | None,
        Help("folder of the bundle, the one that holds configs/", FILES, default="the checkout's, else bundle/"),
    ] = None
    watershed: Annotated[
        str | None,
        Help(
            "watershed.json of `sgdnet evaluate --tune_watershed true`, for instances",
            DECISION,
            default="the bundle's",
        ),
    ] = None
    spacing: Annotated[float, Help("millimetres a pixel, for files that do not say", VOLUMES, default="none")] = 0.0
    axis: Annotated[int, Help("0, 1 or 2, along which the slices of NIfTI volumes are counted", VOLUMES)] = 2
    batch_size: Annotated[int, Help("images, or windows, a step", SPEED)] = 1
    num_workers: Annotated[
        int, Help("threads that read, and as many that write; 0 takes one for each core, 4 at most", SPEED)
    ] = 0
    device: Annotated[str | None, Help("cuda, cuda:1, cpu, ...", SPEED, default="the GPU where there is one")] = None
    engine: Annotated[
        str,
        Help(
            "torch, openvino, onnx or auto, the fastest whose masks on the first images are PyTorch's; "
            "exported files are kept beside the weights",
            SPEED,
        ),
    ] = "auto"
    cuda_graphs: Annotated[
        bool, Help("true replays the network on a GPU as recorded graphs; for small batches", SPEED)
    ] = False
    part: Annotated[
        str | None,
        Help(
            "2/4 is the second of four processes that share the images, on one machine or several",
            SPEED,
            default="none",
        ),
    ] = None
    cluster: Annotated[
        str,
        Help(
            "address of a Dask scheduler, as tcp://10.0.0.1:8786, whose workers share the images, in parts",
            SPEED,
            "none",
        ),
    ] = ""
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from custom_networks.configuration.checking import check_values
        from custom_networks.prediction.choice import checked_engine

        checked_engine(self.engine)
        if not 0 <= self.spacing < float("inf"):
            raise UserError(f"--spacing {self.spacing}: must be a number of millimetres, such as 0.05")
        if self.axis not in (0, 1, 2):
            raise UserError(f"--axis {self.axis}: must be 0, 1 or 2, the axis along which slices are counted")
        names = ("batch_size", "num_workers")
        check_values({**{name: getattr(self, name) for name in names}, "device": self.device or "cpu"})
