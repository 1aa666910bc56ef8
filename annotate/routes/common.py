"""What all routes share."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Path, Request, UploadFile

from annotate.errors import Conflict, NotFound, TooLarge
from annotate.guards import annotator
from annotate.service import Service

Described = dict[int | str, dict[str, Any]]
ERRORS: Described = {
    status: {"description": text}
    for status, text in {
        400: "the request makes no sense",
        404: "no such thing",
        409: "it contradicts the present state",
        413: "too large",
        422: "a value or a file is not valid",
    }.items()
}


def service_of(request: Request) -> Service:
    """The service that the app was made with."""
    return cast(Service, request.app.state.service)


async def same_folder(request: Request) -> None:
    """Raise Conflict where a client means another studies folder, by the header X-Folder, than the one served here."""
    meant, service = request.headers.get("x-folder"), service_of(request)
    if meant and meant != service.folder_id:
        raise Conflict(
            f"this server has the studies folder {service.settings.studies.resolve().name}, the request is for another "
            "one; reload the page, or start the server of the other folder again",
            folder=service.folder_id,
        )


def image_name(request: Request, image: Annotated[str, Path(max_length=300)]) -> str:
    """Name of the image in the address; raises NotFound."""
    if not image.isprintable():
        raise NotFound("no such image")
    return service_of(request).studies.find(image)


def read_upload(upload: UploadFile, limit: int) -> bytes:
    """Read an uploaded file; raises TooLarge beyond the limit."""
    data = upload.file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"{(upload.filename or 'the file')[:80]}: larger than the limit of {limit} bytes")
    return data


Served = Annotated[Service, Depends(service_of)]
Annotator = Annotated[str, Depends(annotator)]
ImageName = Annotated[str, Depends(image_name)]
