"""Inference: start a job, wait for it, get its maps; and which image comes next."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from annotate.errors import Conflict, NotFound
from annotate.queue import FINISHED, Job
from annotate.routes.common import ERRORS, Served
from annotate.service import Service

router = APIRouter(prefix="/api", tags=["inference"], responses=ERRORS)
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Points = Annotated[list[Point], Field(max_length=1000)]
Stroke = Annotated[list[Point], Field(min_length=1, max_length=20_000)]
Strokes = Annotated[list[Stroke], Field(max_length=1000)]
JobId = Annotated[str, Path(max_length=64)]
LOOK = 0.03  # seconds between looks at a job that is waited for


class Request(BaseModel):
    """What to segment, and what the annotator has said so far; coordinates are [x, y] in the image's pixels."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    image: str = Field(max_length=300)
    foreground: Points = []
    background: Points = []
    foreground_scribbles: Strokes = []
    background_scribbles: Strokes = []
    box: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    previous: str | None = Field(None, max_length=100_000_000)
    maps: Annotated[list[Literal["uncertainty", "edge"]], Field(max_length=8)] = []


class Next(BaseModel):
    """How to choose the next image."""

    model_config = ConfigDict(extra="forbid")
    strategy: str = Field("epistemic", max_length=40)
    after: str | None = Field(None, max_length=300)


@router.post("/infer", status_code=202)
def infer(service: Served, body: Request) -> dict[str, Any]:
    """Queue an inference."""
    from annotate.guidance import guidance_of

    name = service.studies.find(body.image)
    size = service.studies.size(name)
    guidance = guidance_of(body.model_dump(exclude={"image", "maps"}), (size.width, size.height))
    job = service.infer(name, guidance, tuple(dict.fromkeys(body.maps)))
    return {"job": job.id, "position": service.queue.position(job)}


@router.get("/jobs/{job}")
async def job_state(service: Served, job: JobId, wait: Annotated[float, Query(ge=0, le=60)] = 0) -> dict[str, Any]:
    """Tell how far a job is; with `wait`, answer when it has finished, or after as many seconds."""
    found = service.queue.get(job)
    until = time.monotonic() + wait
    while found.state not in FINISHED and time.monotonic() < until:
        await asyncio.sleep(LOOK)
    return _told(service, found)


@router.delete("/jobs/{job}")
def cancel(service: Served, job: JobId) -> dict[str, Any]:
    """Cancel a job."""
    found = service.queue.get(job)
    service.queue.cancel(found)
    return _told(service, found)


@router.get("/jobs/{job}/{what}", response_class=Response)
def job_map(
    service: Served,
    job: JobId,
    what: Annotated[str, Path(max_length=20)],
    number: Annotated[int | None, Query(alias="class", ge=1, le=65535)] = None,
) -> Response:
    """Get a map of a finished job: probability, mask, edge or uncertainty."""
    found = service.queue.get(job)
    if what not in ("probability", "mask", "edge", "uncertainty"):
        raise NotFound(f"no map {what!r}; there are probability, mask, edge and uncertainty")
    if found.state != "done" or found.outcome is None:
        raise Conflict(f"the job is {found.state}, it has no maps" + (f": {found.error}" if found.error else ""))
    files = found.outcome.files
    wanted = f"{what}_{number}" if number is not None and f"{what}_{number}" in files else what
    if number is not None and wanted == what and number > 1:
        raise NotFound(f"no class {number} in these weights")
    if wanted not in files:
        raise NotFound(f"the job has no {what}; ask for it under maps")
    return Response(files[wanted], media_type="image/png", headers={"Cache-Control": "private, max-age=600"})


@router.post("/next")
def next_image(service: Served, body: Next) -> dict[str, Any]:
    """Choose the next image to label; 404 when all are done."""
    choice = service.chooser.next(body.strategy, body.after)
    return {"id": choice.id, "reason": choice.reason}


def _told(service: Service, job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "state": job.state,
        "position": service.queue.position(job),
        "seconds": job.seconds,
        "error": job.error or None,
        "confidence": job.outcome.confidence if job.outcome else None,
    }
