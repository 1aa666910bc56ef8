"""MONAI Label's inference addresses: a mask (CVAT, 3D Slicer, OHIF), ASAP XML (QuPath), DSA or CVAT JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Body, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, Field, ValidationError
from requests_toolbelt import MultipartEncoder

from annotate.contours import asap_xml, dsa_json, outlines
from annotate.datastore import ORIGINAL
from annotate.errors import Unfit
from annotate.foreign import read_foreign, write_foreign
from annotate.guards import parse_json
from annotate.routes.clients import Id, Name, datastore, known, label_app
from annotate.routes.common import ERRORS, Served, read_upload
from annotate.tasks import QueuedInfer, result_of
from custom_networks.data.images import read_picture, upright

router = APIRouter(prefix="/infer", tags=["MONAI Label"], responses=ERRORS)
Session = Annotated[str, Query(max_length=64)]
TITLE = "SGD-Net"


class Region(BaseModel):
    """What QuPath and DSA ask for: a region of the image, in its own pixels, and clicks under params."""

    level: int = 0
    location: Annotated[list[int], Field(max_length=2)] = [0, 0]
    size: Annotated[list[int], Field(max_length=2)] = [0, 0]
    tile_size: list[int] = [1024, 1024]
    min_poly_area: Annotated[float, Field(ge=0, le=1e12)] = 30
    params: dict[str, Any] | None = {}


@contextmanager
def asked_image(
    request: Request, image: str, session: str, file: UploadFile | None
) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Path and size of the image that a request means: an upload, that of a session, or one of the studies.

    Raises:
        ClientError: for none of them, an unknown one, or an upload that is no image.
    """
    service, sessions = request.app.state.service, request.app.state.sessions
    if file is not None:
        data = read_upload(file, service.settings.max_upload_bytes)
        with sessions.kept(file.filename or "", data) as path:
            yield path, _size(path)
    elif session:
        path = sessions.path(session)
        yield path, _size(path)
    elif image:
        size = service.studies.size(service.studies.find(image))
        yield service.studies.path(image), (size.width, size.height)
    else:
        raise Unfit("no image: give image=ID, session_id=ID or a file")


@router.post("/wsi/{model}")
def infer_region(
    request: Request,
    service: Served,
    model: Name,
    image: Id = "",
    session_id: Session = "",
    output: Literal["asap", "dsa", "json"] = "dsa",
    wsi: Annotated[Region | None, Body()] = None,
) -> Response:
    """Outline what is found in an image, or in a region of it."""
    return _outlined(request, model, image, session_id, None, wsi or Region(), output)


@router.post("/wsi_v2/{model}")
def infer_region_of_upload(
    request: Request,
    service: Served,
    model: Name,
    image: Id = "",
    session_id: Session = "",
    output: Literal["asap", "dsa", "json"] = "dsa",
    file: UploadFile | None = None,
    wsi: Annotated[str, Form()] = "{}",
) -> Response:
    """Outline what is found in an image that may be sent along."""
    try:
        region = Region.model_validate(parse_json(wsi, "wsi"))
    except ValidationError as error:
        raise Unfit(f"wsi: {error.errors()[0]['msg']}") from None
    return _outlined(request, model, image, session_id, file, region, output)


@router.post("/{model}")
def infer(
    request: Request,
    service: Served,
    model: Name,
    image: Id = "",
    session_id: Session = "",
    output: Literal["image", "json", "all", "dicom_seg"] | None = None,
    params: Annotated[str, Form()] = "{}",
    file: UploadFile | None = None,
    label: UploadFile | None = None,
) -> Response:
    """Segment an image: a mask, outlines as JSON, or both as multipart."""
    task: QueuedInfer = known(model, label_app(request)._infers, "model")
    said = parse_json(params, "params")
    if output == "dicom_seg":
        raise Unfit("output dicom_seg needs a DICOMweb server; use image, and /api/export?format=dicomseg afterwards")
    ending = str(said.get("result_extension") or ".png")
    with asked_image(request, image, session_id, file) as (path, size):
        if label is not None:  # scribbles as a label map: 2 background, 3 foreground, as MONAI Label numbers them
            said = {**said, **_scribbles(read_upload(label, service.settings.max_upload_bytes), label, size)}
        found, job = task.predict(path, size, said)
    result = result_of(service, found, job)
    if said.get("mask") is True:  # CVAT's interactor takes rows of numbers
        result["mask"] = found.tolist()
    if output == "json" or (output is None and said.get("output") == "json"):
        return Response(json.dumps(result), media_type="application/json")
    data, kind = write_foreign(found, ending)
    if said.get("save_label") is True and image and file is None:
        datastore(request).keep_proposal(service.studies.find(image), found, {"model": result["model"]})
    name = f"{ORIGINAL}{ending}"
    if output == "image":
        return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
    fields = {"params": (None, json.dumps(result), "application/json"), "image": (name, data, kind)}
    encoder = MultipartEncoder(fields=fields)
    return Response(encoder.to_string(), media_type=encoder.content_type)


def _outlined(
    request: Request, model: str, image: str, session: str, file: UploadFile | None, region: Region, output: str
) -> Response:
    service = request.app.state.service
    task: QueuedInfer = known(model, label_app(request)._infers, "model")
    with asked_image(request, image, session, file) as (path, size):
        found, job = task.predict(path, size, region.params or {})
    found = _within(found, region)
    result = result_of(service, found, job, region.min_poly_area)
    if output == "json":
        return Response(json.dumps(result), media_type="application/json")
    lines = outlines(found, service.classes(), region.min_poly_area)
    if output == "asap":
        return Response(asap_xml(lines, TITLE), media_type="application/xml")
    about = {"model": model, "location": region.location, "size": region.size, "latencies": result["latencies"]}
    return Response(dsa_json(lines, TITLE, about), media_type="application/json")


def _within(label: np.ndarray, region: Region) -> np.ndarray:
    """Clear what lies outside of a region; one without a size is the whole image."""
    if len(region.size) < 2 or len(region.location) < 2 or min(region.size) <= 0:
        return label
    x, y = (max(0, each) for each in region.location)
    kept = np.zeros_like(label)
    part = (slice(y, y + region.size[1]), slice(x, x + region.size[0]))
    kept[part] = label[part]
    return kept


def _scribbles(data: bytes, upload: UploadFile, size: tuple[int, int]) -> dict[str, Any]:
    """Points of a scribble map; at most 200 of each kind, evenly spread."""
    two = [{"index": number, "name": str(number)} for number in (1, 2, 3)]
    drawn = read_foreign(data, upload.filename or "", size, two)
    found: dict[str, Any] = {}
    for number, name in ((2, "background"), (3, "foreground")):
        rows, columns = np.nonzero(drawn == number)
        every = max(1, len(rows) // 200)
        found[name] = [[float(x), float(y)] for x, y in zip(columns[::every], rows[::every], strict=True)]
    return found


def _size(path: Path) -> tuple[int, int]:
    size: tuple[int, int] = upright(read_picture(path)).size
    return size
