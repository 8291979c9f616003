"""What an error is over HTTP: the status of its class, and one shape of answer."""

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
from mondrian.api.pages import page, wants_page
from mondrian.errors import InvalidRequest, MondrianError

RETRY_AFTER_SECONDS = 5

UNEXPECTED = "Something went wrong in Mondrian. Its log says what; try again in a moment."

_log = logging.getLogger(__name__)

# Their own words come from the driver or name files of ours.
_WORDS_FOR_US = frozenset({errors.StorageError, errors.InvalidAdvisor, errors.SettingsError})


class ProblemResponse(JSONResponse):
    """``{"error": message, "code": code}``, or the same as a page to whom asks for one. Who needs
    a key is given the form for it."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__({"error": message, "code": code}, status, dict(headers or {}))
        self._code, self._message = code, message
        self._given_headers = dict(headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not wants_page(scope):
            await super().__call__(scope, receive, send)
            return
        await self._page(scope)(scope, receive, send)

    def _page(self, scope: Scope) -> HTMLResponse:
        given: dict[str, Any] = {"status": self.status_code, "headers": self._given_headers}
        if self.status_code == HTTPStatus.UNAUTHORIZED:
            is_read = scope["method"] == "GET"
            next_ = scope["path"] if is_read and scope["path"] != "/login" else "/"
            message = "" if is_read and next_ != "/" else self._message
            return page(scope, "login", title="Log in", next=next_, message=message, **given)
        title = HTTPStatus(self.status_code).phrase
        return page(scope, "problem", title=title, code=self._code, message=self._message, **given)


def problem(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """The answer to whatever could not be done."""
    return ProblemResponse(status, code, message, headers)


def problem_of(error: MondrianError) -> JSONResponse:
    """The answer that ``error`` makes. What is no fault of the client's is logged."""
    status = error.http_status
    if status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    is_ours = type(error) in _WORDS_FOR_US
    message = type(error)().message if is_ours else error.message
    return problem(status, error.code, message, _headers(status))


def unexpected() -> JSONResponse:
    """Return the answer to an unexpected error. It reveals nothing internal."""
    return problem(500, "internal_error", UNEXPECTED)


def _headers(status: int) -> dict[str, str]:
    match status:
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="mondrian"'}
        case 408:  # the rest of the body may still come, and is not read
            return {"Connection": "close"}
        case 429 | 503:
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """Handle a ``MondrianError``."""
    assert isinstance(error, MondrianError)
    return problem_of(error)


async def answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """Handle a parameter that is not what it should be."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    message = f"{where}: {first['msg']}."
    return problem_of(InvalidRequest(message))


async def answer_framework(_: Request, error: Exception) -> JSONResponse:
    """Handle what the framework refuses: paths and methods that are not there."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    words = {
        404: "There is nothing at this address. docs/http.md lists what there is.",
        405: "This address does not answer to that method. docs/http.md lists what there is.",
    }
    is_plain = error.detail == status.phrase
    message = words.get(status, error.detail) if is_plain else error.detail
    code = status.phrase.lower().replace(" ", "_")
    return problem(status, code, message, error.headers)


async def answer_unexpected(_: Request, __: Exception) -> JSONResponse:
    """Handle everything else. It is raised again afterwards, and logged where it ends."""
    return unexpected()


HANDLERS = {
    MondrianError: answer_error,
    RequestValidationError: answer_invalid,
    HTTPException: answer_framework,
    Exception: answer_unexpected,
}
"""Who answers for which exception."""
