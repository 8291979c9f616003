"""What an error costs over HTTP: one table of statuses, and one shape of answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mondrian import errors
from mondrian.errors import InvalidRequest, MondrianError

RETRY_AFTER_SECONDS = 5

STATUS_CODES: dict[type[MondrianError], int] = {
    errors.MondrianError: 500,
    errors.SettingsError: 500,
    # what was sent cannot be used
    errors.RequestError: 400,
    errors.InvalidRequest: 400,
    errors.NotAllowed: 401,
    errors.ForeignRequest: 403,
    errors.ServerUnavailable: 502,
    errors.UploadTooSlow: 408,
    errors.BodyTooLarge: 413,
    errors.PhotoError: 400,
    errors.EmptyPhoto: 400,
    errors.DamagedPhoto: 400,
    errors.PhotoTooLarge: 413,
    errors.TooManyPixels: 413,
    errors.UnsupportedPhoto: 415,
    errors.AdvisorError: 400,
    errors.UnknownAdvisor: 400,
    errors.InvalidAdvisor: 500,
    # the job's state does not allow it
    errors.JobError: 409,
    errors.JobNotFound: 404,
    errors.JobConflict: 409,
    errors.AttemptSuperseded: 409,
    # an engine failed behind us
    errors.EngineError: 502,
    errors.EngineFailed: 502,
    errors.EngineStalled: 502,
    errors.EngineCrashed: 502,
    errors.AnswerError: 502,
    errors.UnknownEngine: 500,
    errors.ModelNotFound: 503,
    errors.ServerUnavailable: 503,
    errors.EngineClosed: 503,
    # nothing can be stored
    errors.StorageError: 503,
    errors.DatabaseUnavailable: 503,
    errors.PhotoStoreUnavailable: 503,
    errors.StorageFull: 507,
}
"""What each error costs. A test demands a row for every class."""

UNEXPECTED = "Something went wrong in Mondrian. Its log says what; try again in a moment."

_log = logging.getLogger(__name__)

# Their own words come from the driver or name files of ours.
_WORDS_FOR_US = frozenset({errors.StorageError, errors.InvalidAdvisor, errors.SettingsError})


def problem(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer to whatever could not be done: ``{"error": message, "code": code}``."""
    return JSONResponse({"error": message, "code": code}, status, dict(headers or {}))


def problem_of(error: MondrianError) -> JSONResponse:
    """The answer that ``error`` makes. What is no fault of the client's is logged."""
    status = STATUS_CODES[type(error)]
    if status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    is_ours = type(error) in _WORDS_FOR_US
    message = type(error)().message if is_ours else error.message
    return problem(status, error.code, message, _headers(status))


def unexpected() -> JSONResponse:
    """The answer to what nobody thought of. It tells nothing of our inside."""
    return problem(500, "internal_error", UNEXPECTED)


def _headers(status: int) -> dict[str, str]:
    match status:
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="mondrian"'}
        case 408:  # the rest of the body may still come: nobody will read it
            return {"Connection": "close"}
        case 503:
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
    message = f"{where}: {first['msg']}. /openapi.json shows what it may be."
    return problem_of(InvalidRequest(message))


async def answer_framework(_: Request, error: Exception) -> JSONResponse:
    """Handle what the framework refuses: paths and methods that are not there."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    words = {
        404: "There is nothing at this address. /openapi.json lists what there is.",
        405: "This address does not answer to that method. /openapi.json lists what there is.",
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
