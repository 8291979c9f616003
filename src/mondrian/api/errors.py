"""Errors over HTTP: the status of the class and one JSON shape."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from mondrian import errors
from mondrian.api.chat.answers import make_error
from mondrian.api.pages import render_page, wants_page
from mondrian.errors import InvalidRequest, MondrianError

RETRY_AFTER_SECONDS = 5

UNEXPECTED = "Something went wrong in Mondrian. See its log, or try again in a moment."

_FOR_PROGRAMS = " docs/http.md lists what there is."

_log = logging.getLogger(__name__)

# Their messages may come from the driver or name local files.
_INTERNAL_ERRORS = frozenset({errors.StorageError, errors.InvalidAdvisor, errors.SettingsError})


class ProblemResponse(JSONResponse):
    """``{"error": message, "code": code}``, or the same as a page for a client that wants HTML. A
    401 page holds the login form."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__({"error": message, "code": code}, status, dict(headers or {}))
        self._code, self._message = code, message
        self._given_headers = dict(headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the JSON, or the page; to clients of OpenAI's routes their own JSON."""
        if scope["path"].startswith("/v1/"):
            answer = make_error(self.status_code, self._code, self._message)
            response = JSONResponse(answer, self.status_code, self._given_headers)
            await response(scope, receive, send)
            return
        if not wants_page(scope):
            await super().__call__(scope, receive, send)
            return
        await self._render_page(scope)(scope, receive, send)

    def _render_page(self, scope: Scope) -> HTMLResponse:
        given: dict[str, Any] = {"status": self.status_code, "headers": self._given_headers}
        if self.status_code == HTTPStatus.UNAUTHORIZED:
            is_read = scope["method"] == "GET"
            next_ = scope["path"] if is_read and scope["path"] != "/login" else "/"
            message = "" if is_read and next_ != "/" else self._message
            return render_page(scope, "login", title="Log in", next=next_, message=message, **given)
        title = HTTPStatus(self.status_code).phrase
        return render_page(
            scope,
            "problem",
            title=title,
            code=self._code,
            message=self._message.removesuffix(_FOR_PROGRAMS),
            **given,
        )


def make_problem(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """Return the error response with this status, code and message."""
    return ProblemResponse(status, code, message, headers)


def translate_error(error: MondrianError) -> JSONResponse:
    """Return the response for ``error``, and log it if its status is 500 or higher."""
    status = error.http_status
    if status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    is_ours = type(error) in _INTERNAL_ERRORS
    message = type(error)().message if is_ours else error.message
    return make_problem(status, error.code, message, _make_headers(status))


def make_unexpected() -> JSONResponse:
    """Return the response to an unexpected error. It reveals nothing internal."""
    return make_problem(500, "internal_error", UNEXPECTED)


def _make_headers(status: int) -> dict[str, str]:
    match status:
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="mondrian"'}
        case 408:  # the rest of the body may still arrive, and is not read
            return {"Connection": "close"}
        case 429 | 503:
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """Handle a ``MondrianError``."""
    assert isinstance(error, MondrianError)
    return translate_error(error)


async def answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """Handle an invalid parameter."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    message = f"{where}: {first['msg']}."
    return translate_error(InvalidRequest(message))


async def answer_framework(_: Request, error: Exception) -> JSONResponse:
    """Handle errors of the framework: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    messages = {
        404: f"There is nothing at this address.{_FOR_PROGRAMS}",
        405: f"This address does not answer to that method.{_FOR_PROGRAMS}",
    }
    is_plain = error.detail == status.phrase
    message = messages.get(status, error.detail) if is_plain else error.detail
    code = status.phrase.lower().replace(" ", "_")
    return make_problem(status, code, message, error.headers)


async def answer_unexpected(_: Request, __: Exception) -> JSONResponse:
    """Handle every other exception. Starlette re-raises it, and ``Middleware`` logs it."""
    return make_unexpected()


HANDLERS = {
    MondrianError: answer_error,
    RequestValidationError: answer_invalid,
    HTTPException: answer_framework,
    Exception: answer_unexpected,
}
"""The handler of each exception class."""
