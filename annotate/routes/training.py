"""Fine-tuning and the versions of the weights."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from annotate.routes.common import ERRORS, Annotator, Served
from annotate.training import as_dict

router = APIRouter(prefix="/api", tags=["training"], responses=ERRORS)


class Start(BaseModel):
    """How long to fine-tune."""

    model_config = ConfigDict(extra="forbid", strict=True)
    epochs: int = Field(10, ge=1, le=200)


@router.post("/training", status_code=202)
def start(service: Served, by: Annotator, body: Start) -> dict[str, Any]:
    """Start a fine-tuning on the labels submitted so far."""
    return as_dict(service.trainer.start(body.epochs, by))


@router.get("/training")
def progress(service: Served) -> dict[str, Any]:
    """Tell how far the last fine-tuning is, or how it ended."""
    return as_dict(service.trainer.progress())


@router.delete("/training")
def stop(service: Served) -> dict[str, Any]:
    """Stop the fine-tuning that runs."""
    return as_dict(service.trainer.stop())


@router.get("/models")
def models(service: Served) -> list[dict[str, Any]]:
    """List the versions of the weights."""
    active = service.models.active()
    number = active.version if active else None
    return [{**model.as_dict(), "active": model.version == number} for model in service.models.all()]


@router.post("/models/{version}/activate")
def activate(service: Served, version: Annotated[int, Path(ge=0, le=10**9)]) -> dict[str, Any]:
    """Use a version of the weights from now on."""
    return {**service.models.activate(version).as_dict(), "active": True}
