"""MONAI Label's addresses beside inference: app, datastore, next image, training, scoring, sessions.

What its own server has beyond them is not served: `/proxy` (it would open any address for anybody), `/login`, `/logs`,
`/ohif`, `/batch`, and uploads and removals of weights.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Body, Form, Path, Query, Request, UploadFile
from fastapi.responses import FileResponse

from annotate.datastore import FINAL, StudiesDatastore
from annotate.errors import Conflict, NotFound, Unfit
from annotate.guards import parse_json, person
from annotate.routes.common import ERRORS, Annotator, Served, read_upload
from annotate.sessions import upload_name
from custom_networks.errors import nearest

router = APIRouter(tags=["MONAI Label"], responses=ERRORS)
Params = Annotated[dict[str, Any] | None, Body()]
Id = Annotated[str, Query(max_length=300)]
Tag = Annotated[str, Query(max_length=100)]
Name = Annotated[str, Path(max_length=100)]
STATUS = {"idle": "", "running": "RUNNING", "done": "DONE", "error": "ERROR", "cancelled": "STOPPED"}


def label_app(request: Request) -> Any:
    """MONAI Label's app."""
    return request.app.state.label_app


def datastore(request: Request) -> StudiesDatastore:
    """The app's datastore."""
    found: StudiesDatastore = label_app(request).datastore()
    return found


def known(name: str, names: dict[str, Any], what: str) -> Any:
    """Look a name up; raises NotFound with the nearest."""
    if name not in names:
        raise NotFound(f"no {what} {name[:40]!r}; there are {', '.join(names)}{nearest(name, names)}")
    return names[name]


@router.get("/info/")
def info(request: Request) -> dict[str, Any]:
    """Describe app, models, strategies and datastore."""
    found: dict[str, Any] = label_app(request).info()
    return found


@router.get("/datastore/")
def get_datastore(request: Request, output: Literal["all", "train", "stats"] = "stats") -> Any:
    """List images and labels."""
    store = datastore(request)
    return {"all": store.json, "train": store.datalist, "stats": store.status}[output]()


@router.api_route("/datastore/image", methods=["GET", "HEAD"], response_class=FileResponse)
def get_image(request: Request, image: Id) -> FileResponse:
    """Download an image."""
    path = datastore(request).get_image_uri(image)
    return FileResponse(path, filename=path.rsplit("/", 1)[-1])


@router.get("/datastore/image/info")
def get_image_info(request: Request, image: Id) -> dict[str, Any]:
    """Describe an image."""
    return datastore(request).get_image_info(image)


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image")
def put_image(request: Request, service: Served, file: UploadFile, image: Id = "") -> dict[str, Any]:
    """Add an image; `image` is its name, with or without the ending of the file."""
    data = read_upload(file, service.settings.max_upload_bytes)
    name = upload_name(file.filename or "")
    ending = name[name.rindex(".") :]
    if image:
        name = image if image.lower().endswith(ending.lower()) else image + ending
    return {"image": service.studies.add(name, data)}


@router.api_route("/datastore/label", methods=["GET", "HEAD"], response_class=FileResponse)
def get_label(request: Request, label: Id = "", image: Id = "", tag: Tag = FINAL) -> FileResponse:
    """Download a label."""
    path = datastore(request).get_label_uri(label or image, tag)
    return FileResponse(path, media_type="image/png", filename=f"{label or image}.png")


@router.get("/datastore/label/info")
def get_label_info(request: Request, label: Id, tag: Tag = FINAL) -> dict[str, Any]:
    """Describe a label."""
    return datastore(request).get_label_info(label, tag)


@router.put("/datastore/label")
def put_label(
    request: Request,
    service: Served,
    by: Annotator,
    image: Id,
    label: UploadFile,
    tag: Tag = FINAL,
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Submit a label as PNG, NRRD, NIfTI, ASAP XML or raw bytes; it becomes a new version."""
    said = parse_json(params, "params")
    data = read_upload(label, service.settings.max_upload_bytes)
    by = person(str(said.get("client_id") or by)) if by == "anonymous" else by
    stored = datastore(request).store_label(image, data, label.filename or "label.png", tag, said, by)
    return {"image": stored, "label": stored}


@router.delete("/datastore/image")
@router.delete("/datastore/label")
def delete(request: Request, id: Id) -> None:
    """Refuse: nothing is deleted from here."""
    raise Conflict(f"{id[:80]}: nothing is deleted from here; take the file out of the folder")


@router.get("/datastore/dataset", response_class=FileResponse)
def get_dataset(request: Request, background: BackgroundTasks) -> FileResponse:
    """Download images and labels as a zip archive."""
    from pathlib import Path as File

    path = File(datastore(request).get_dataset_archive(None))
    background.add_task(path.unlink, missing_ok=True)
    return FileResponse(path, media_type="application/zip", filename="dataset.zip")


@router.post("/activelearning/{strategy}")
def next_sample(request: Request, strategy: Name, params: Params = None) -> dict[str, Any]:
    """Choose the next image; an empty object when all are done."""
    app = label_app(request)
    known(strategy, app._strategies, "strategy")
    found = app.next_sample({"strategy": strategy})
    return {**found, **app.datastore().get_image_info(found["id"])} if found else {}


@router.get("/train/")
def train_status(service: Served, all: bool = False, check_if_running: bool = False) -> Any:
    """Tell how the last training is; 404 where there is none, or none runs."""
    progress = service.trainer.progress()
    if progress.state == "idle" or (check_if_running and progress.state != "running"):
        raise NotFound("no training runs" if check_if_running else "no training was started")
    task = {"id": "sgdnet", "status": STATUS[progress.state], "details": progress.log, "message": progress.message}
    return [task] if all else task


@router.post("/train/")
@router.post("/train/{model}")
def train(request: Request, by: Annotator, model: str = "sgdnet", params: Params = None) -> dict[str, Any]:
    """Start a fine-tuning."""
    app = label_app(request)
    task = known(model[:100], app._trainers, "trainer")
    said = params or {}
    said = said[model] if isinstance(said.get(model), dict) else said
    by = person(str(said.get("client_id") or by))
    task({"max_epochs": said.get("max_epochs", 10), "client_id": by}, app.datastore())
    return {"id": "sgdnet", "status": "SUBMITTED", "details": []}


@router.delete("/train/")
def train_stop(service: Served) -> dict[str, Any]:
    """Stop the fine-tuning that runs."""
    return {"id": "sgdnet", "status": STATUS[service.trainer.stop().state]}


@router.get("/scoring/")
@router.post("/scoring/{method}")
def scoring(request: Request, method: str = "epistemic") -> dict[str, Any]:
    """Tell the scores of all images."""
    app = label_app(request)
    return dict(known(method[:100], app._scoring_methods, "scoring method")({}, app.datastore()))


@router.get("/model/{model}", response_class=FileResponse)
def model_file(request: Request, model: Name) -> FileResponse:
    """Download the weights in use."""
    task = known(model, label_app(request)._infers, "model")
    path = task.get_path()
    if path is None:
        raise NotFound("there are no weights yet")
    return FileResponse(path, filename=f"{model}.pt")


@router.put("/session/")
def put_session(request: Request, service: Served, files: list[UploadFile]) -> dict[str, Any]:
    """Keep an image for an hour without adding it to the studies."""
    if len(files) != 1:
        raise Unfit(f"{len(files)} files; send one image a session")
    data = read_upload(files[0], service.settings.max_upload_bytes)
    session = request.app.state.sessions.add(files[0].filename or "", data)
    return {"session_id": session, "session_info": {"name": session, "expiry": 3600}}


@router.get("/session/{session}")
def get_session(request: Request, session: Name) -> dict[str, Any]:
    """Describe a session."""
    request.app.state.sessions.path(session)
    return {"name": session, "expiry": 3600}


@router.delete("/session/{session}")
def delete_session(request: Request, session: Name) -> dict[str, Any]:
    """End a session."""
    request.app.state.sessions.remove(session)
    return {"name": session}
