"""The verb that starts the annotation server."""

from __future__ import annotations

from typing import Annotated

from custom_networks.arguments import FILES, Help
from custom_networks.bundle_files import default_bundle
from custom_networks.verbs.delivery import BUNDLE_ROOT

SERVER = "Server"


def annotate(
    *,
    studies: Annotated[
        str,
        Help(
            "folder of the images, in it or in its images/; labels go to its annotations/",
            FILES,
            names=("--dataset_dir",),
        ),
    ],
    checkpoint: Annotated[
        str | None, Help("weights to start with, model.pt of a run", FILES, "models/model.pt of the bundle")
    ] = None,
    bundle_root: Annotated[str | None, BUNDLE_ROOT] = None,
    classes: Annotated[str, Help("names separated by commas", default="those of the weights")] = "",
    image_size: Annotated[
        int | None,
        Help("side in pixels of the square the network sees, a multiple of 64", default="the training's"),
    ] = None,
    device: Annotated[str | None, Help("cuda, cuda:1, cpu, ...", default="the GPU where there is one")] = None,
    score: Annotated[bool, Help("false switches off the scoring of images for active learning")] = True,
    host: Annotated[str, Help("address to listen on; another than this machine's own needs a token", SERVER)] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Help("to listen on; 0 takes one that is free", SERVER)] = 8000,
    token: Annotated[str, Help("secret of at least 16 characters that every request must bring", SERVER, "none")] = "",
    max_upload_mb: Annotated[int, Help("largest image that can be uploaded, MiB", SERVER)] = 64,
) -> None:
    """Annotate images in a browser, with proposals of the network that learns from the corrections."""
    from custom_networks.annotating import annotate_images

    annotate_images(
        {
            "studies": studies,
            "checkpoint": checkpoint,
            "host": host,
            "port": port,
            "token": token,
            "classes": classes,
            "device": device,
            "image_size": image_size,
            "max_upload_mb": max_upload_mb,
            "score": score,
            "bundle_root": str(bundle_root or default_bundle()),
        }
    )
