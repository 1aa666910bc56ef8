"""What every request has to pass: token, host, origin, size; and how errors are told."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from annotate.errors import ClientError, Unfit
from annotate.settings import Settings, is_loopback
from custom_networks.errors import UserError

logger = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "sgdnet_token"
OPEN = ("/ui",)  # the page itself holds no data; it asks for the token
IN_PATH = "/token/"  # how an address begins that brings the token itself
FORM_ROOM = 2**20  # bytes that a form may have beside its file
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Refuse requests without the token, from other web sites, or beyond the size limit.

    A server on this machine alone has no token; there a page of another web site could still reach it through the
    browser. Hence the host must be this machine's name (DNS rebinding), and origin and site, where the browser tells
    them, must be the server itself; of other sites, links to the page alone are followed.

    Args:
        app: what is guarded.
        settings: of the server.
    """

    def __init__(self, app: Any, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.limit = settings.max_upload_bytes + FORM_ROOM

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        brought, scope = _taken_from_path(scope)
        refused = self._refusal(scope, headers, brought)
        if refused is not None:
            await JSONResponse({"error": refused[1]}, refused[0])(scope, receive, send)
            return
        seen = 0
        answered = started = False

        async def limited() -> MutableMapping[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise _TooMuch
            return message

        async def hardened(message: MutableMapping[str, Any]) -> None:
            nonlocal answered, started
            if seen > self.limit and not started:  # the application has made another answer of our exception
                if not answered:
                    answered = True
                    await JSONResponse({"error": self._too_large()}, 413)(scope, receive, send)
                return
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            await self.app(scope, limited, hardened)
        except _TooMuch:
            if not started and not answered:
                await JSONResponse({"error": self._too_large()}, 413)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str], brought: list[str]) -> tuple[int, str] | None:
        host, path = headers.get("host", ""), str(scope["path"])
        if _hostname(host) is None:
            return 403, f"host {host[:80]!r}: no name of a host"
        if not self.settings.token and not is_loopback(_hostname(host) or ""):
            return 403, f"host {host[:80]!r}: this server answers to 127.0.0.1 and localhost only"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, f"origin {origin[:80]!r}: requests from other web sites are refused"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not (
            headers.get("sec-fetch-mode") == "navigate" and (path in ("/", "/ui") or path.startswith("/ui/"))
        ):  # an image or a link of another site tells no origin
            return 403, "requests from other web sites are refused; links to /ui/ work"
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limit:
            return 413, self._too_large()
        if self.settings.token and not any(path == place or path.startswith(place + "/") for place in OPEN):
            given = [*brought, *_tokens(headers)]
            if not any(hmac.compare_digest(each.encode(), self.settings.token.encode()) for each in given):
                return 401, "a token is needed: ?token=TOKEN at the page, Authorization: Bearer TOKEN, or HTTP Basic"
        return None

    def _too_large(self) -> str:
        return f"the request is larger than the limit of {self.settings.max_upload_bytes} bytes"


class _TooMuch(Exception):
    """A body that goes on beyond the limit without having told its length."""


def annotator(request: Request) -> str:
    """Name of who asks: the header X-Annotator (percent-encoded where it is not ASCII), or the user of HTTP Basic."""
    return person(
        unquote(request.headers.get("x-annotator", "")) or _basic(request.headers.get("authorization", ""))[0]
    )


def person(name: str) -> str:
    """Name of an annotator: what of it can be shown, at most 80 characters."""
    return "".join(c for c in name if c.isprintable()).strip()[:80] or "anonymous"


def install_errors(app: FastAPI) -> None:
    """Tell every error as {"error": one sentence}."""

    @app.exception_handler(UserError)
    async def mistake(_: Request, error: UserError) -> Response:
        if isinstance(error, ClientError):
            return JSONResponse({"error": str(error), **error.more}, error.status)
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(FileNotFoundError)
    async def vanished(_: Request, error: FileNotFoundError) -> Response:
        name = Path(str(error.filename)).name
        return JSONResponse({"error": f"{name}: the file was taken away from the folder; reload the list"}, 404)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first.get("loc", ()))
        return JSONResponse({"error": f"{where}: {first.get('msg', 'not valid')}"[:500]}, 422)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        logger.exception("%s %s", request.method, request.url.path)
        return JSONResponse({"error": f"the server failed ({type(error).__name__}); its log tells more"}, 500)


def parse_json(text: str, what: str) -> dict[str, Any]:
    """Parse an object in a form's field; raises ClientError for anything else."""
    try:
        content = json.loads(text or "{}", parse_constant=_no_constant)
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unfit(f"{what}: holds half a surrogate pair, which is no text; send whole characters") from None
    except (ValueError, RecursionError):
        raise Unfit(f"{what}: not valid JSON") from None
    if not isinstance(content, dict):
        raise Unfit(f"{what}: must be a JSON object")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _hostname(host: str) -> str | None:
    """Name in the header Host, without the port; None where it cannot be one."""
    try:
        return urlsplit(f"//{host}").hostname or "" if "@" not in host else ""
    except ValueError:
        return None


def _taken_from_path(scope: Scope) -> tuple[list[str], Scope]:
    """Take the token out of `/token/TOKEN/info/`, for clients that can be told an address and nothing else.

    Returns:
        Tokens that the path brings, one or none, and the scope of the request without it.
    """
    path = str(scope["path"])
    if not path.startswith(IN_PATH):
        return [], scope
    token, slash, rest = path.removeprefix(IN_PATH).partition("/")
    return [token], {**scope, "path": slash + rest or "/", "raw_path": quote(slash + rest or "/").encode()}


def _basic(authorization: str) -> tuple[str, str]:
    """User and password of HTTP Basic; empty where the header has none."""
    scheme, _, content = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(content.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


def _tokens(headers: dict[str, str]) -> list[str]:
    """Tokens that a request's headers bring: Bearer, the password of Basic, the cookie that the page's session sets."""
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else [_basic(authorization)[1]]
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    if cookie is not None:
        found.append(cookie.value)
    return found
