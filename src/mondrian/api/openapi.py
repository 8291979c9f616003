"""/openapi.json: what FastAPI finds out by itself, made true to what this server answers."""

from typing import Any

from pydantic import BaseModel

from mondrian.api.auth import COOKIE
from mondrian.api.schemas import JOB_ID, Problem

DESCRIPTION = """\
Critiques photographs, and says all the way what it is doing. Send a photo to `POST /upload`, follow
`stream_url` as server-sent events (docs/events.md), fetch `analysis_url` when it is done.
"""

EVENTS = "text/event-stream"

Responses = dict[int | str, dict[str, Any]]

_WORDS = {
    400: "The request is not understood, or the photo is damaged.",
    401: "It takes the server's key.",
    403: "The server does not answer to that address or page.",
    404: "There is no such job, or nothing at this address.",
    408: "No byte came for 30 seconds.",
    409: "The job's state, or an earlier use of the Idempotency-Key, does not allow it.",
    413: "Over 50 MB, 100 megapixels, or 200 as JPEG.",
    415: "Not a photo that Mondrian reads.",
    429: "Too much at once: too many photos wait, or updates come too fast.",
    500: "Something went wrong; the log says what.",
    502: "The engine failed.",
    503: "The database or the photo store does not answer. Try again in a moment.",
    507: "There is no room left.",
}

_EVERYWHERE = (400, 401, 403, 500)


def refusals(*statuses: int) -> Responses:
    """What a route may refuse with, besides what every route may."""
    return {status: {"model": Problem, "description": _WORDS[status]} for status in statuses}


def content(*types: str, model: Any = None) -> dict[str, Any]:
    """One answer that comes as one of ``types``; with a ``model``, as JSON too."""
    answer: dict[str, Any] = {
        "description": "As asked for.",
        "content": {each: {"schema": _schema(each)} for each in types},
    }
    return answer | ({"model": model} if model else {})


def _schema(media_type: str) -> dict[str, Any]:
    if media_type == EVENTS:
        text, number = {"type": "string"}, {"type": "integer"}
        fields = {"id": text, "event": text, "data": text, "retry": number}
        return {"type": "object", "properties": fields}
    is_text = media_type.startswith("text/")
    return {"type": "string"} if is_text else {"type": "string", "format": "binary"}


def retry_body() -> dict[str, Any]:
    """A form that may ask other advisors."""
    schema = {"type": "object", "properties": {"advisor": {"type": "string"}}}
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
    "enable_rag": {"type": "string", "enum": ["true", "false"]},
    "auto_analyze": {
        "type": "string",
        "enum": ["true", "false"],
        "description": "`false`: the job stays `pending` until `POST /jobs/{job}/start`.",
    },
}


def form_body(**more: dict[str, Any]) -> dict[str, Any]:
    """The request body of a route that takes a photo, with ``more`` fields."""
    schema = {"type": "object", "required": ["image"], "properties": {**_FIELDS, **more}}
    return _body("multipart/form-data", schema)


def json_body(model: type[BaseModel], *, is_needed: bool = True) -> dict[str, Any]:
    """The request body of a route that takes JSON."""
    body = _body("application/json", model.model_json_schema())
    body["requestBody"]["required"] = is_needed
    return body


def _body(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Add to FastAPI's ``schema`` what it cannot know, and take out what is not so."""
    schema["paths"]["/stream/{job}"] = {"get": _stream()}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for operation in (each for path in schema["paths"].values() for each in path.values()):
        answers = operation["responses"]
        answers.pop("422", None)  # answered as 400
        for status in _EVERYWHERE:
            answer = {"description": _WORDS[status], "content": {"application/json": problem}}
            answers.setdefault(str(status), answer)
        for status in answers.keys() - {"200", "201", "204", "303"}:  # JSON, whatever is asked for
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


def _stream() -> dict[str, Any]:
    def parameter(name: str, place: str, words: str, schema: dict[str, Any]) -> dict[str, Any]:
        is_needed = place == "path"
        return {"name": name, "in": place, "description": words, "schema": schema,
                "required": is_needed}  # fmt: skip

    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    events = {EVENTS: {"schema": _schema(EVENTS), "example": _EXAMPLE}}
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
            "404": {"description": _WORDS[404], "content": problem},
            "503": {"description": _WORDS[503], "content": problem},
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
