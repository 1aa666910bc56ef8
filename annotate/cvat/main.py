"""Nuclio function of CVAT: passes an image on to the annotation server, and its answer back.

`SGDNET_SERVER` is the server's address as the function's container sees it, `SGDNET_TOKEN` its token, `SGDNET_MODEL`
sgdnet (detector: polygons) or sgdnet_clicks (interactor: a mask for the clicks). The standard library is enough.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
import uuid
from typing import Any


def init_context(context: Any) -> None:
    """Read the settings; called once by Nuclio."""
    context.user_data.server = os.environ.get("SGDNET_SERVER", "http://127.0.0.1:8000").rstrip("/")
    context.user_data.token = os.environ.get("SGDNET_TOKEN", "")
    context.user_data.model = os.environ.get("SGDNET_MODEL", "sgdnet")


def handler(context: Any, event: Any) -> Any:
    """Answer one request of CVAT.

    Args:
        context: of Nuclio, as `init_context` left it.
        event: its body holds "image", base64 of the picture, and of an interactor "pos_points", "neg_points" and
            "obj_bbox".

    Returns:
        Of a detector a list of polygons, of an interactor a mask of 0 and 1; of a failure the server's sentence.
    """
    body = event.body if isinstance(event.body, dict) else json.loads(event.body)
    clicks = {"foreground": body.get("pos_points") or [], "background": body.get("neg_points") or []}
    if body.get("obj_bbox"):
        clicks["roi"] = [value for point in body["obj_bbox"] for value in point]
    interactor = context.user_data.model != "sgdnet"
    try:
        told = _infer(context.user_data, base64.b64decode(body["image"]), clicks if interactor else {})
    except urllib.error.HTTPError as error:
        sentence = error.read().decode("utf-8", "replace")
        return context.Response(body=sentence, headers={}, content_type="application/json", status_code=error.code)
    elements = [element for each in told["annotations"] for element in each["annotation"]["elements"]]
    if interactor:
        answer: Any = {"mask": told["mask"]}
    else:
        answer = [
            {"label": element["label"], "type": "polygon", "points": [value for point in contour for value in point]}
            for element in elements
            for contour in element["contours"]
        ]
    return context.Response(body=json.dumps(answer), headers={}, content_type="application/json", status_code=200)


def _infer(settings: Any, image: bytes, clicks: dict[str, Any]) -> dict[str, Any]:
    limit = uuid.uuid4().hex
    params = json.dumps({**clicks, "output": "json", "mask": bool(clicks)}).encode()
    part = f"--{limit}\r\nContent-Disposition: form-data; name="
    form = b"".join(
        [
            f'{part}"params"\r\n\r\n'.encode() + params + b"\r\n",
            f'{part}"file"; filename="image.{_ending(image)}"\r\n\r\n'.encode() + image + b"\r\n",
            f"--{limit}--\r\n".encode(),
        ]
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={limit}"}
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    request = urllib.request.Request(f"{settings.server}/infer/{settings.model}", form, headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return dict(json.load(answer))


def _ending(image: bytes) -> str:
    return "png" if image.startswith(b"\x89PNG") else "jpg"
