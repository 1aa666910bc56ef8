"""Verbs that make files of a trained network for others."""

from __future__ import annotations

from typing import Annotated

from custom_networks.arguments import FILES, Help
from custom_networks.bundle_files import default_bundle

CHECKPOINT = Help("weights, model.pt of a run", FILES, "models/model.pt of the bundle")
BUNDLE_ROOT = Help("folder of the bundle, the one that holds configs/", FILES, "the checkout's, else bundle/")


def export(
    *,
    format: Annotated[str, Help("onnx, torchscript, torch-export, openvino or tensorrt")] = "onnx",
    checkpoint: Annotated[str | None, CHECKPOINT] = None,
    output: Annotated[str | None, Help("the file", FILES, "in the bundle's models/")] = None,
    overwrite: Annotated[bool, Help("true replaces a file that is there", FILES)] = False,
    precision: Annotated[str, Help("float32, float16, bfloat16 or int8")] = "float32",
    calibration: Annotated[
        str | None,
        Help("folder or datalist of some 32 images like yours, which int8 needs"),
    ] = None,
    validation: Annotated[
        str | None,
        Help(
            "folder or datalist of images that the file's masks are compared on; never those that int8 took",
            default="those the weights were validated on, else others of --calibration, else phantoms",
        ),
    ] = None,
    least_mean_dice: Annotated[
        float, Help("mean Dice to the masks of PyTorch in float32 from which a file passes")
    ] = 0.99,
    least_dice: Annotated[float, Help("the same Dice of the worst image")] = 0.95,
    image_size: Annotated[
        int | None,
        Help("side in pixels of the square the network sees, a multiple of 64", default="the training's"),
    ] = None,
    bundle_root: Annotated[str | None, BUNDLE_ROOT] = None,
) -> None:
    """Write trained weights as TorchScript, ONNX, torch.export, OpenVINO or TensorRT, checked against PyTorch."""
    from custom_networks.export import export_model

    root = bundle_root or default_bundle()
    print(
        export_model(
            root,
            format,
            checkpoint,
            output,
            precision,
            calibration,
            image_size,
            overwrite,
            validation,
            least_mean_dice,
            least_dice,
        )
    )


def package(
    *,
    output: Annotated[str, Help("the archive", FILES)] = "sgdnet_2d_segmentation.zip",
    checkpoint: Annotated[str | None, CHECKPOINT] = None,
    overwrite: Annotated[bool, Help("true replaces an archive that is there", FILES)] = False,
    bundle_root: Annotated[str | None, BUNDLE_ROOT] = None,
) -> None:
    """Pack bundle, weights and code into one archive, which runs wherever it is unzipped."""
    from custom_networks.export import write_archive

    print(write_archive(bundle_root or default_bundle(), output, checkpoint, overwrite))
