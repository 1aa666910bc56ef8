"""The web application: our routes, those of MONAI Label's clients, and the page, on one origin."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from annotate.guards import Guard, install_errors
from annotate.label_app import make_app
from annotate.routes import clients, clients_infer, images, inference, labels, session, training
from annotate.routes.common import same_folder
from annotate.service import Service
from annotate.sessions import Sessions

PAGE = Path(__file__).with_name("ui")
POLICY = "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'"
mimetypes.add_type("text/javascript", ".js")  # Python before 3.12 has another, which strict browsers refuse


class Page(StaticFiles):
    """The page's files: asked for again each time, so that an update is seen, and with nothing from elsewhere."""

    async def get_response(self, path: str, scope: Any) -> Response:
        """Answer with a file and the headers that browsers heed."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["Content-Security-Policy"] = POLICY
        return answer


def create_app(service: Service) -> FastAPI:
    """Make the application.

    Args:
        service: what it serves; it is closed when the application shuts down.

    Returns:
        The application, guarded.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="SGD-Net annotation",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(same_folder)],
    )
    app.state.service = service
    app.state.label_app = make_app(service)
    app.state.sessions = Sessions(service.settings)
    for part in (session, images, labels, inference, training, clients, clients_infer):
        app.include_router(part.router)
    app.mount("/ui", Page(directory=PAGE, html=True), name="ui")

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/ui/")

    install_errors(app)
    app.add_middleware(_guard, settings=service.settings)
    return app


def _guard(app: Any, settings: Any) -> Guard:
    return Guard(app, settings)
