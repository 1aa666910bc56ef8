"""Images: the list, one of them, views of it, a new one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response, UploadFile

from annotate.errors import ClientError
from annotate.labels import STATES
from annotate.routes.common import ERRORS, ImageName, Served, read_upload
from annotate.service import Service

router = APIRouter(prefix="/api/images", tags=["images"], responses=ERRORS)
Side = Annotated[int, Query(ge=16, le=8192)]
Level = Annotated[float | None, Query(ge=-1e9, le=1e9)]
Pixel = Annotated[int, Query(ge=0, le=10**6)]
Extent = Annotated[int, Query(ge=1, le=10**6)]


@router.get("")
def list_images(
    service: Served,
    state: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    sort: Literal["name", "uncertainty", "updated"] = "name",
    offset: Annotated[int, Query(ge=0, le=10**7)] = 0,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
) -> dict[str, Any]:
    """List images, filtered by state and by words in their name."""
    names = list(service.studies.names())
    states = {name: service.labels.state(name).state for name in names}
    counts = {each: sum(1 for value in states.values() if value == each) for each in STATES}
    words = q.lower().split()
    found = [
        name for name in names if (not state or states[name] == state) and all(word in name.lower() for word in words)
    ]
    scores = service.chooser.uncertainty()
    if sort == "uncertainty":
        found.sort(key=lambda name: -scores.get(name, -1.0))
    elif sort == "updated":
        found.sort(key=lambda name: _updated(service, name), reverse=True)
    items = [item_of(service, name, scores) for name in found[offset : offset + limit]]
    return {"total": len(found), "counts": counts, "items": items}


@router.post("", status_code=201)
def add_image(service: Served, image: UploadFile) -> dict[str, Any]:
    """Add an image to the studies."""
    data = read_upload(image, service.settings.max_upload_bytes)
    name = service.studies.add(image.filename or "", data)
    return item_of(service, name, service.chooser.uncertainty())


@router.get("/{image}")
def one_image(service: Served, name: ImageName) -> dict[str, Any]:
    """Describe an image; its range is the smallest and the largest value, for the window of 16-bit images."""
    low, high = service.pictures.window(name)
    return {**item_of(service, name, service.chooser.uncertainty()), "range": [low, high]}


@router.get("/{image}/thumbnail", response_class=Response)
def thumbnail(service: Served, name: ImageName) -> Response:
    """Draw an image small."""
    return _picture(service.pictures.thumbnail(name), "image/jpeg")


@router.get("/{image}/view", response_class=Response)
def view(service: Served, name: ImageName, max: Side = 2048, low: Level = None, high: Level = None) -> Response:
    """Draw a whole image in 8 bits."""
    return _picture(*service.pictures.view(name, max, (low, high)))


@router.get("/{image}/region", response_class=Response)
def region(
    service: Served,
    name: ImageName,
    x: Pixel,
    y: Pixel,
    width: Extent,
    height: Extent,
    max: Side = 1024,
    low: Level = None,
    high: Level = None,
) -> Response:
    """Draw a region of an image in 8 bits."""
    return _picture(*service.pictures.view(name, max, (low, high), (x, y, width, height)))


def item_of(service: Service, name: str, scores: dict[str, float]) -> dict[str, Any]:
    """What a client is told of an image; one that cannot be read has an error in place of its size."""
    state, versions = service.labels.state(name), service.labels.versions(name)
    item: dict[str, Any] = {"id": name, "name": name, "width": None, "height": None, "bits": None}
    try:
        size = service.studies.size(name)
        item |= {"width": size.width, "height": size.height, "bits": size.bits}
    except ClientError as error:
        item["error"] = str(error)
    return {
        **item,
        "state": state.state,
        "comment": state.comment,
        "version": versions[-1].version if versions else 0,
        "versions": len(versions),
        "seconds": round(sum(version.seconds for version in versions), 1),
        "clicks": sum(len(version.clicks) for version in versions),
        "uncertainty": scores.get(name),
        "updated": _updated(service, name) or None,
        "by": state.by,
    }


def _updated(service: Service, name: str) -> str:
    newest = service.labels.newest(name)
    return max(service.labels.state(name).when, newest.when if newest else "")


def _picture(data: bytes, kind: str) -> Response:
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=60"})
