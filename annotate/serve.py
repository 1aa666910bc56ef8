"""Start the server: read the settings, say the address, serve until stopped."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate.settings import MIB, Settings
from custom_networks.errors import UserError

if TYPE_CHECKING:
    from annotate.service import Service


def serve(knobs: dict[str, Any]) -> None:
    """Serve until stopped.

    Args:
        knobs: of `verbs.annotate`.

    Raises:
        UserError: for a setting that cannot be, missing or damaged weights, or a port that is taken; nothing is
            written then.
    """
    settings = settings_of(knobs)
    listening = _listen(settings.host, settings.port)
    check_weights(settings)
    import uvicorn

    from annotate.app import create_app
    from annotate.service import Service

    service = Service(settings)
    try:
        app = create_app(service)
        listening.listen(128)  # from now on requests wait until they are served
        count = len(service.studies.names())
        print(f"{count} images in {service.studies.folder}; labels go to {settings.annotations}", flush=True)
        unread = service.studies.unread()
        if unread:
            print(
                f"{len(unread)} DICOM or NIfTI files are not shown, {unread[0]} for one; export them as PNG, "
                "docs/annotation.md tells how",
                flush=True,
            )
        nameless = service.studies.nameless()
        if nameless:
            print(
                f"{len(nameless)} images are not shown, {nameless[0]} for one: their names are not UTF-8 or not "
                "printable; rename them",
                flush=True,
            )
        damaged = [*service.labels.damaged, *service.models.damaged()]
        if damaged:
            print(
                f"{len(damaged)} files in {settings.annotations} are damaged or missing, {damaged[0]} for one; "
                "they are passed over, bring them back from a copy",
                flush=True,
            )
        print(weights_sentence(service), flush=True)
        print(f"Open {settings.address(listening.getsockname()[1])}    (stop with Ctrl-C)", flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        service.close()


def check_weights(settings: Settings) -> None:
    """Load the weights once, as the first image will need them; without weights, check what they will meet.

    Args:
        settings: of the server.

    Raises:
        UserError: for weights, a bundle, a device or an image size that no image could be segmented with.
    """
    from custom_networks.bundle_files import config_file
    from custom_networks.configuration.checking import check_values
    from custom_networks.configuration.inference import load_source
    from custom_networks.configuration.merged import read_config
    from custom_networks.data.sources import checked_size

    check_values({"device": settings.device or "cpu"})
    if settings.weights.is_file():
        load_source(settings.bundle_root, settings.weights, settings.image_size)
        return
    read_config([config_file(settings.bundle_root, "inference.json")])
    if settings.image_size is not None:
        checked_size(settings.image_size)


def weights_sentence(service: Service) -> str:
    """Say which weights are in use and what they take, or how to get some; raises UserError for damaged ones."""
    model = service.models.active()
    if model is None:
        return (
            f"no weights at {service.settings.weights}, so the page draws by hand alone; `make train` makes some in "
            "minutes, and they are taken as soon as they are there"
        )
    chosen, given = service.models.chosen(), service.settings.checkpoint
    said = f"weights {model.checkpoint}"
    if chosen is not None and chosen != model.version:
        said = f"model {chosen} was in use, but its weights are damaged or missing; now {said}"
    elif given is not None and model.version != 0:
        said = f"model {chosen} was in use and stays so, not --checkpoint {given}, which is model 0 here; {said}"
    if service.models.takes_clicks(model):
        return f"{said}, which take clicks, scribbles and boxes"
    return (
        f"{said}, which segment automatically and take no clicks; `sgdnet train --config_file "
        "bundle/configs/train_interactive.json` makes such ones from them"
    )


def settings_of(knobs: dict[str, Any]) -> Settings:
    """Make the settings of the command line's knobs; raises UserError."""

    def path(name: str) -> Path | None:
        if not knobs.get(name):
            return None
        return Path(os.path.realpath(os.path.expanduser(knobs[name])))  # noqa: PTH111  ~nouser stays as it is

    def whole(name: str, low: int, high: int) -> int:
        value = knobs[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UserError(f"--{name} {value}: must be a whole number from {low} to {high}")
        return value

    checkpoint = path("checkpoint")
    if checkpoint is not None and not checkpoint.is_file():
        raise UserError(f"{checkpoint}: no such weights; give the model.pt of a run as --checkpoint")
    return Settings(
        studies=path("studies") or Path(),
        bundle_root=path("bundle_root") or Path(),
        checkpoint=checkpoint,
        host=str(knobs["host"]),
        port=whole("port", 0, 65535),
        token=str(knobs["token"] or ""),
        classes=tuple(name.strip() for name in str(knobs["classes"] or "").split(",") if name.strip()),
        max_upload_bytes=whole("max_upload_mb", 1, 2000) * MIB,
        device=knobs["device"],
        image_size=knobs["image_size"],
        score=knobs["score"],
    )


def _listen(host: str, port: int) -> socket.socket:
    """Open the socket before anything is loaded, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except OSError as error:
        listening.close()
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error.strerror}); take another") from None
    return listening
