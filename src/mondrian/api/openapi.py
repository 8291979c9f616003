"""/openapi.json: FastAPI's schema, corrected to what this server answers."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from mondrian.api.auth import COOKIE
from mondrian.api.schemas import JOB_ID, Problem
from mondrian.purpose import GENRES, MAX_INTENT

DESCRIPTION = """\
Critiques photographs and streams its progress. Send a photo to `POST /upload`, follow
`stream_url` as server-sent events (docs/events.md), fetch `analysis_url` when it is done.
"""

EVENTS = "text/event-stream"

Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS = {
    400: "The request is invalid, or the photo is damaged.",
    401: "A key is required.",
    403: "A foreign host, origin or address.",
    404: "There is no such job, or nothing at this address.",
    408: "The upload was idle for 30 seconds.",
    409: "The job's state, or an earlier use of the Idempotency-Key, does not allow it.",
    413: "Over 50 MB, 100 megapixels, or 200 as JPEG.",
    415: "Not a photo that Mondrian reads.",
    429: "Too many photos are waiting, or updates are too frequent.",
    500: "An unexpected error; see the log.",
    502: "The engine failed.",
    503: "The database or the photo store does not answer. Try again in a moment.",
    507: "There is no room left.",
}

_COMMON_STATUSES = (400, 401, 403, 500)


def describe_errors(*statuses: int, model: type[BaseModel] = Problem) -> Responses:
    """Return the error responses of a route, besides those of every route."""
    return {status: {"model": model, "description": _DESCRIPTIONS[status]} for status in statuses}


def describe_content(*types: str, model: Any = None) -> dict[str, Any]:
    """Return a response with one of the media types ``types``; with a ``model``, also JSON."""
    answer: dict[str, Any] = {
        "description": "As asked for.",
        "content": {each: {"schema": _make_schema(each)} for each in types},
    }
    return answer | ({"model": model} if model else {})


def _make_schema(media_type: str) -> dict[str, Any]:
    if media_type == EVENTS:
        text, number = {"type": "string"}, {"type": "integer"}
        fields = {"id": text, "event": text, "data": text, "retry": number}
        return {"type": "object", "properties": fields}
    is_text = media_type.startswith("text/")
    return {"type": "string"} if is_text else {"type": "string", "format": "binary"}


_PURPOSE: dict[str, dict[str, Any]] = {
    "intent": {
        "type": "string",
        "maxLength": MAX_INTENT,
        "description": "What the photographer meant; what was meant is no fault.",
        "examples": ["backlit on purpose, for a concert poster"],
    },
    "genre": {
        "type": "string",
        "enum": ["", *GENRES],
        "description": "What kind of photo it is, which sets what counts as a fault.",
    },
}


def make_retry_body() -> dict[str, Any]:
    """Return the request body of a retry: an optional form with ``advisor`` and the purpose."""
    fields = {"advisor": {"type": "string"}, **_PURPOSE}
    schema = {"type": "object", "properties": fields}
    kind = "application/x-www-form-urlencoded"
    return {"requestBody": {"required": False, "content": {kind: {"schema": schema}}}}


_FIELDS = {
    "image": {
        "type": "string",
        "format": "binary",
        "description": "The photo: JPEG, HEIC, AVIF, PNG, WebP, TIFF or RAW, at most 50 MB and 100 "
        "megapixels. A part named `file` is understood too.",
    },
    "advisor": {
        "type": "string",
        "description": "An id, several with commas, `all` or `random`.",
        "default": "ansel",
        "examples": ["ansel", "ansel,okeefe", "all"],
    },
    "mode": {
        "type": "string",
        "description": "What older clients ask for; all of them run as `baseline`.",
        "examples": ["baseline", "rag"],
    },
    **_PURPOSE,
    "folder": {
        "type": "string",
        "maxLength": 200,
        "description": "The folder that the photo is of: `/sheet?folder=` shows it as one.",
    },
    "enable_rag": {"type": "string", "enum": ["true", "false"]},
    "auto_analyze": {
        "type": "string",
        "enum": ["true", "false"],
        "description": "`false`: the job stays `pending` until `POST /jobs/{job}/start`.",
    },
    "callback_url": {
        "type": "string",
        "description": "A URL that is told of the job's end, in a signed message (docs/notify.md).",
    },
}


def make_form_body(**more: dict[str, Any]) -> dict[str, Any]:
    """Return the request body of an upload, with ``more`` fields."""
    schema = {"type": "object", "required": ["image"], "properties": {**_FIELDS, **more}}
    return _make_body("multipart/form-data", schema)


def make_json_body(model: type[BaseModel], *, is_needed: bool = True) -> dict[str, Any]:
    """Return the JSON request body for ``model``."""
    body = _make_body("application/json", model.model_json_schema())
    body["requestBody"]["required"] = is_needed
    return body


def _make_body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Return FastAPI's ``schema`` with the stream, errors and security added, 422 removed."""
    schema["paths"]["/stream/{job}"] = {"get": _describe_stream()}
    for path, operation in _list_operations(schema):
        kind = "ChatProblem" if path.startswith("/v1/") else "Problem"
        problem = {"schema": {"$ref": f"#/components/schemas/{kind}"}}
        answers = operation["responses"]
        answers.pop("422", None)  # answered as 400
        for status in _COMMON_STATUSES:
            answer = {
                "description": _DESCRIPTIONS[status],
                "content": {"application/json": problem},
            }
            answers.setdefault(str(status), answer)
        for status in answers.keys() - {"200", "201", "204", "303"}:  # always JSON
            [given] = answers[status]["content"].values()
            answers[status]["content"] = {"application/json": given}
        operation["security"] = [{}, {"key": []}, {"cookie": []}]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    schema["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
    }
    return schema


def _list_operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            yield path, operation


def _describe_stream() -> dict[str, Any]:
    def parameter(name: str, place: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
        is_needed = place == "path"
        return {"name": name, "in": place, "description": text, "schema": schema,
                "required": is_needed}  # fmt: skip

    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    events = {EVENTS: {"schema": _make_schema(EVENTS), "example": _EXAMPLE}}
    return {
        "tags": ["jobs"],
        "summary": "Follow a job as server-sent events",
        "operationId": "stream",
        "parameters": [
            parameter("job", "path", "The job's id.", {"type": "string", "examples": [JOB_ID]}),
            parameter("after", "query", "Go on after this event.", {"type": "integer"}),
            parameter("include", "query", "`tokens`, `report` or both.", {"type": "string"}),
            parameter("token", "query", "From `POST /token`.", {"type": "string"}),
            parameter("Last-Event-ID", "header", "Wins over `after`.", {"type": "string"}),
        ],
        "responses": {
            "200": {"description": "Events, until `done`.", "content": events},
            "204": {"description": "The job has ended and nothing follows the cursor."},
            "404": {"description": _DESCRIPTIONS[404], "content": problem},
            "503": {"description": _DESCRIPTIONS[503], "content": problem},
        },
    }


_EXAMPLE = f"""\
retry: 2000
event: connected
data: {{"type":"connected","job_id":"{JOB_ID}"}}

id: 7
event: thinking_update
data: {{"type":"thinking_update","job_id":"{JOB_ID}",\
"thinking":"Generating analysis... (150 tokens, 44.1 tps)"}}
"""
