"""Labels: read them, submit a new version, bring an old one back, skip or flag an image."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from annotate.guards import parse_json
from annotate.labels import read_label
from annotate.routes.common import ERRORS, Annotator, ImageName, Served, read_upload
from annotate.routes.images import item_of

router = APIRouter(prefix="/api/images/{image}", tags=["labels"], responses=ERRORS)
Number = Annotated[int, Path(ge=1, le=10**9)]
Base = Annotated[int | None, Field(ge=0, le=10**9)]  # newest version that the client has seen; None: it does not say


class Restore(BaseModel):
    """Which version to bring back."""

    model_config = ConfigDict(extra="forbid", strict=True)
    version: int = Field(ge=1, le=10**9)
    base_version: Base = None


class Mark(BaseModel):
    """State to put an image in."""

    model_config = ConfigDict(extra="forbid", strict=True)
    state: Literal["skipped", "flagged", "unlabelled"]
    comment: str = Field("", max_length=2000)
    base_version: Base = None


@router.get("/versions")
def versions(service: Served, name: ImageName) -> list[dict[str, Any]]:
    """List the versions of a label, newest last; clicks are counted, not listed."""
    return [{**asdict(each), "clicks": len(each.clicks)} for each in service.labels.versions(name)]


@router.get("/versions/{number}", response_class=Response)
def version(service: Served, name: ImageName, number: Number) -> Response:
    """Get the PNG of a version."""
    return _png(service.labels.path(name, number).read_bytes(), number)


@router.get("/label", response_class=Response)
def label(service: Served, name: ImageName) -> Response:
    """Get the PNG of the newest version."""
    newest = service.labels.get(name)
    return _png(service.labels.path(name, newest.version).read_bytes(), newest.version)


@router.put("/label", status_code=201)
def submit(
    service: Served, name: ImageName, by: Annotator, label: UploadFile, about: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Submit a label; 409 where somebody else was faster, with who and when."""
    size = service.studies.size(name)
    data = read_upload(label, service.settings.max_upload_bytes)
    pixels = read_label(data, (size.width, size.height), len(service.classes()))
    made = service.labels.submit(name, pixels, by, parse_json(about, "about"))
    return {"version": made.version, "sha256": made.sha256}


@router.post("/restore", status_code=201)
def restore(service: Served, name: ImageName, by: Annotator, body: Restore) -> dict[str, Any]:
    """Bring an old version back as a new one; 409 where somebody else was faster."""
    return {"version": service.labels.restore(name, body.version, by, body.base_version).version}


@router.post("/state")
def mark(service: Served, name: ImageName, by: Annotator, body: Mark) -> dict[str, Any]:
    """Skip or flag an image, or take it back to unlabelled; 409 where somebody else submitted it meanwhile."""
    service.labels.set_state(name, body.state, body.comment, by, body.base_version)
    return item_of(service, name, service.chooser.uncertainty())


def _png(data: bytes, number: int) -> Response:
    return Response(data, media_type="image/png", headers={"X-Version": str(number), "Cache-Control": "no-store"})
