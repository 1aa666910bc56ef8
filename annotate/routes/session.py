"""Who is there, with which model and classes; figures of the work so far; the export of the labels."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, BackgroundTasks, Response
from fastapi.responses import FileResponse

from annotate.export import export_labels
from annotate.guards import COOKIE
from annotate.routes.common import ERRORS, Annotator, Served
from annotate.statistics import statistics_of

router = APIRouter(prefix="/api", tags=["session"], responses=ERRORS)


@router.get("/session")
def session(service: Served, by: Annotator, response: Response) -> dict[str, Any]:
    """Describe the server to the page; sets the token as a cookie, so that pictures load without a header."""
    settings = service.settings
    if settings.token:
        response.set_cookie(COOKIE, settings.token, httponly=True, samesite="strict")
    model = service.models.active()
    return {
        "user": by,
        "model": {key: getattr(model, key) for key in ("version", "sha256", "published", "dice")} if model else None,
        "classes": service.classes(),
        "interactive": service.interactive(),
        "max_upload_bytes": settings.max_upload_bytes,
        "studies": settings.studies.resolve().name,
        "folder": service.folder_id,
    }


@router.get("/statistics")
def statistics(service: Served) -> dict[str, Any]:
    """Sum the work up: images, time, clicks, per day."""
    return statistics_of(service.labels, service.studies)


@router.get("/export", response_class=FileResponse)
def export(
    service: Served, background: BackgroundTasks, format: Literal["datalist", "coco", "dicomseg"] = "datalist"
) -> FileResponse:
    """Get images and newest labels as a zip archive."""
    path = export_labels(service, format)
    background.add_task(path.unlink, missing_ok=True)
    return FileResponse(path, media_type="application/zip", filename=f"labels-{format}.zip")
