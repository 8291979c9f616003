"""Middleware of every request, as plain ASGI: nothing here may buffer a stream."""

import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mondrian.api.auth import Access, Visitor
from mondrian.api.errors import make_problem, make_unexpected, translate_error
from mondrian.api.links import find_base_url
from mondrian.errors import MondrianError, NotAllowed
from mondrian.jobs.log_context import begin_request
from mondrian.settings import Settings

_log = logging.getLogger(__name__)

_CORS_HEADERS = (
    "Authorization",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
)
_JOB = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_STREAM = re.compile(r"/stream/([^/]+)")
_SHOWN = ("text/html", "image/svg+xml")


def add_guard(app: ASGIApp, streams: ASGIApp, access: Access, settings: Settings) -> ASGIApp:
    """Return ``app`` with ``streams`` at ``/stream/{job}``, behind keys, CORS and security headers.

    Streams bypass the framework: each of its layers costs memory per client and time per event.
    """
    guard: ASGIApp = Guard(app, streams, access, settings)
    if settings.cors_origins:
        guard = Cors(
            guard,
            allow_origins=settings.cors_origins,
            allow_credentials="*" not in settings.cors_origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=_CORS_HEADERS,
            expose_headers=("Retry-After",),
        )
    return Middleware(guard, settings.base_url)


class Cors(CORSMiddleware):
    """Starlette's CORS middleware, with Mondrian's error responses."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        message = f"{bytes(answer.body).decode()}. Set MONDRIAN_CORS_ORIGINS to allow an origin."
        kept = {n: v for n, v in answer.headers.items() if n.startswith("access-control-")}
        return make_problem(400, "foreign_request", message, kept)


class Guard:
    """Authenticates requests, and puts into ``scope["state"]`` the ``visitor``, its ``may_access``
    and this server's URL for it (``base``). A browser that needs no key gets a session with its
    first page."""

    def __init__(self, app: ASGIApp, streams: ASGIApp, access: Access, settings: Settings) -> None:
        self._app = app
        self._streams = streams
        self._access = access
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"
        request = Request(scope)
        try:
            visitor = await self._access.admit(request)
            if self._access.gives_sessions and _is_first_page(request, visitor):
                visitor, send = self._begin_session(request, visitor, send)
        except MondrianError as exc:
            await translate_error(exc)(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state |= {"visitor": visitor, "may_access": visitor.may_access}
        state["base"] = find_base_url(request, self._settings)
        state["token_ends"] = visitor.token_ends
        stream = _STREAM.fullmatch(scope["path"])
        if stream is None or scope["method"] not in {"GET", "HEAD"}:
            # the server drops the body of an answer to HEAD
            await self._app({**scope, "method": "GET"} if is_head else scope, receive, send)
            return
        scope["path_params"] = {"job": stream[1]}
        await self._streams(scope, receive, send)

    def _begin_session(
        self, request: Request, visitor: Visitor, send: Send
    ) -> tuple[Visitor, Send]:
        try:
            cookie, session = self._access.new_session(request, visitor)
        except NotAllowed:  # too many for this address: go on without a session
            return visitor, send
        answer = Response()
        self._access.set_cookie(request, answer, cookie)

        async def send_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"set-cookie", _encode_cookie(answer))]
                message = {**message, "headers": headers}
            await send(message)

        return replace(visitor, owner=session.owner, session=session), send_cookie


def _is_first_page(request: Request, visitor: Visitor) -> bool:
    wants_page = "text/html" in request.headers.get("accept", "")
    return wants_page and visitor.session is None and not visitor.has_key


def _encode_cookie(answer: Response) -> bytes:
    return answer.headers["set-cookie"].encode("latin-1")


def _make_request_id(scope: Scope) -> str:
    """Return the client's or proxy's ``X-Request-ID`` if it is one short word, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


class Middleware:
    """The outermost middleware. Adds security headers that a response does not set itself: no
    script runs in a page, and only images of this server load. Gives each request an id, which its
    log lines and its response carry. Logs unexpected errors.
    """

    def __init__(self, app: ASGIApp, base_url: str | None) -> None:
        parts = urlsplit(base_url or "")
        images = f" {parts.scheme}://{parts.netloc}" if base_url else ""
        policy = (
            f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:{images}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
        self._app = app
        self._root = parts.path.rstrip("/")
        self._headers: Mapping[str, str] = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        self._page_headers: Mapping[str, str] = {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        scope.setdefault("state", {})["root"] = self._root
        request_id = _make_request_id(scope)
        job = _JOB.search(scope["path"])
        begin_request(request_id, job[0] if job else "")
        is_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun, message = True, dict(message)  # others may send the same message object
                headers = MutableHeaders(scope=message)
                self._add_headers(headers)
                headers["X-Request-ID"] = request_id
                _log.debug("%s %s: %d", scope["method"], scope["path"], message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            # uvicorn would close the connection, even after a complete response.
            _log.exception("unexpected error: %s %s", scope["method"], scope["path"])
            if not is_begun:
                await make_unexpected()(scope, receive, send_with_headers)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        if headers.get("content-type", "").startswith(_SHOWN):
            for name, value in self._page_headers.items():
                headers.setdefault(name, value)
