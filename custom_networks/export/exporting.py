"""`sgdnet export`: write a file, compare it with the network at once, and only then put it in its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from custom_networks.configuration.inference import load_source
from custom_networks.errors import UserError, nearest
from custom_networks.export.format import (
    KEPT,
    PRECISIONS,
    DiceLimits,
    ExportJob,
    Format,
    Metadata,
    export_metadata,
    require,
)
from custom_networks.export.images import Verification, images_to_verify, listed_images, spread
from custom_networks.export.onnx_graph import ONNX, TENSORRT
from custom_networks.export.openvino_ir import OPENVINO
from custom_networks.export.torch_formats import TORCH_EXPORT, TORCHSCRIPT
from custom_networks.export.verify import Agreement, check_agreement, compare_file
from custom_networks.files import only_writer, remove_unfinished, unfinished_folder
from custom_networks.network.sgdnet import SGDNet

FORMATS: dict[str, Format] = {
    "torchscript": TORCHSCRIPT,
    "onnx": ONNX,
    "torch-export": TORCH_EXPORT,
    "openvino": OPENVINO,
    "tensorrt": TENSORRT,
}
"""Every format by name. A new one is a `Format` beside its functions, and a line here."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: the file, and those that belong to it.
        agreement: with PyTorch.
        verified_on: how many images of which kind, in words.
        metadata: inside the file.
        remains: what is left to do elsewhere, "" where nothing is.
    """

    files: tuple[Path, ...]
    agreement: Agreement
    verified_on: str
    metadata: Metadata
    remains: str = ""

    def __str__(self) -> str:
        size = sum(path.stat().st_size for path in self.files) / 1e6
        lines = [
            f"{self.files[0]}: {self.metadata['format']}, {self.metadata['precision']}, {size:.1f} MB, "
            f"{self.metadata['input']['sizes']}",
            f"verified against PyTorch on {self.verified_on}: {self.agreement}",
        ]
        if KEPT in self.metadata:
            lines.insert(1, f"in floating point: {', '.join(self.metadata[KEPT]) or 'what is no convolution'}")
        return "\n".join([*lines, self.remains] if self.remains else lines)


def chosen_format(name: str, precision: str) -> Format:
    """Return a format that can hold a precision.

    Raises:
        UserError: for one that does not exist, or a precision it cannot hold.
    """
    if name not in FORMATS:
        raise UserError(f"--format {name}: must be one of {', '.join(FORMATS)}{nearest(str(name), FORMATS)}")
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise UserError(f"--precision {precision}: must be one of {known}{nearest(str(precision), PRECISIONS)}")
    if precision not in FORMATS[name].precisions:
        able = [other for other, format_ in FORMATS.items() if precision in format_.precisions]
        raise UserError(
            f"--precision {precision}: {name} holds {', '.join(FORMATS[name].precisions)}; for {precision} use "
            f"--format {' or '.join(able)}"
        )
    return FORMATS[name]


def target_file(output: str | Path | None, bundle_root: Path, format_: Format) -> Path:
    """Return where the file goes; raises UserError for a wrong ending."""
    path = Path(output) if output else bundle_root / "models" / format_.name
    wanted = Path(format_.name).suffix
    if path.suffix != wanted:
        raise UserError(f"--output {path}: must end in {wanted}, as in {path.with_suffix(wanted).name}")
    return path


def make_way(path: Path, format_: Format, overwrite: bool) -> None:
    """Raise UserError for a file that is there and may not be replaced.

    What a killed export left is removed: the file itself is put in its place last, so the others alone are no export.
    """
    beside = [path.with_suffix(ending) for ending in format_.beside]
    if remove_unfinished(path.parent, [path.name]) and not path.exists():
        for part in beside:
            part.unlink(missing_ok=True)
    for part in (path, *beside):
        if part.exists() and not overwrite:
            raise UserError(f"{part}: is there already; add --overwrite true, or give another --output")


def export_model(
    bundle_root: str | Path,
    format: str = "onnx",
    checkpoint: str | Path | None = None,
    output: str | Path | None = None,
    precision: str = "float32",
    calibration: str | Path | None = None,
    image_size: int | None = None,
    overwrite: bool = False,
    validation: str | Path | None = None,
    least_mean_dice: float = DiceLimits.mean,
    least_dice: float = DiceLimits.worst,
) -> Exported:
    """Export trained weights, and compare the file with PyTorch before it is put in its place.

    Args:
        bundle_root: folder of the bundle, whose `inference.json` has the network and its preprocessing.
        format: one of `FORMATS`.
        checkpoint: weights; None takes the bundle's `models/model.pt`.
        output: the file; None puts it beside the bundle's weights.
        precision: "float32", "float16", "bfloat16" or "int8".
        calibration: folder or datalist of images, which int8 needs.
        image_size: side in pixels, a multiple of 64; None takes the training's.
        overwrite: whether a file that is there may be replaced.
        validation: folder or datalist of images that verify the file, see `images_to_verify`.
        least_mean_dice: between the masks of the file and of PyTorch in float32, mean over these images.
        least_dice: the same of each image.

    Returns:
        What was written and how far it agrees.

    Raises:
        UserError: for a mistake in any of these, a package that is missing, or a file that differs from PyTorch.
    """
    format_ = chosen_format(format, precision)
    path = target_file(output, Path(bundle_root), format_)
    require(format_.packages, f"--format {format}")
    if precision == "int8" and calibration is None:
        raise UserError("--precision int8: needs --calibration, a folder or datalist with some 32 images like yours")
    limits = DiceLimits(least_mean_dice, least_dice)
    source = load_source(bundle_root, checkpoint, image_size)
    if not isinstance(source.network, SGDNet):
        raise UserError(
            f"{source.checkpoint}: weights of a {source.network.arguments['architecture']}; SGD-Net alone is exported"
        )
    paths = listed_images(calibration) if calibration is not None else []
    calibrated = spread(paths) if precision == "int8" else []
    verification = images_to_verify(source, validation, paths, calibrated)
    samples = tuple(source.prepare(name) for name in calibrated)
    metadata = export_metadata(source, format, precision, format_.sizes)
    job = ExportJob(source.network, precision, source.image_size, metadata, samples, source.threshold, limits)
    with only_writer(path, "give another --output"):
        make_way(path, format_, overwrite)
        files, agreement = _write_verified(job, format_, path, verification)
    remains = format_.remains(path, metadata) if format_.remains else ""
    return Exported(files, agreement, str(verification), metadata, remains)


def _write_verified(
    job: ExportJob, format_: Format, path: Path, verification: Verification
) -> tuple[tuple[Path, ...], Agreement]:
    """Write the file beside its place, compare it, and put it there with those that belong to it, itself first."""
    try:
        with unfinished_folder(path) as folder:
            written = folder / path.name
            format_.write(job, written)
            run = format_.open(written, torch.get_num_threads())
            agreement = compare_file(run, job.network, verification.images, format_.any_size, job.threshold)
            check_agreement(agreement, job.precision, job.limits, verification.names)
            del run  # lets go of the file, which Windows would not rename otherwise
            parts = sorted(folder.iterdir(), key=lambda part: part.name == path.name)  # the named file last
            if len(parts) > 1:  # an earlier file must never stand beside new parts, not even after a kill
                path.unlink(missing_ok=True)
            files = tuple(part.replace(path.with_name(part.name)) for part in parts)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or give another --output"
        ) from error
    return files[::-1], agreement
