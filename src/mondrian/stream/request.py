"""What a client asks for, and the answers that are no streams."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs
from uuid import UUID

from starlette.types import Scope, Send

from mondrian.jobs.job import EventType, parse_job_id

NO_CURSOR = -1
"""What a malformed cursor is read as: a number that is in no log."""

_OPTIONAL = {"tokens": EventType.TOKEN, "report": EventType.REPORT_PARTIAL}


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, the number after which to go on (``None`` for the present), and the types wanted.
    ``base`` goes before the paths in the events: where this server is for this client."""

    job_id: UUID
    cursor: int | None
    types: frozenset[EventType]
    base: str = ""


def read_request(scope: Scope) -> Asked:
    """What the request in ``scope`` asks for. Raises ``JobNotFound`` if its path names no job."""
    name = scope.get("path_params", {}).get("job") or scope["path"].rsplit("/", 1)[-1]
    query = parse_qs(scope["query_string"].decode("latin-1"))
    sent = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
    return Asked(
        job_id=parse_job_id(str(name)),
        # The header wins: EventSource keeps its URL when it comes back; polyfills add to it.
        cursor=read_cursor(sent or _last(query, "lastEventId") or _last(query, "after")),
        types=read_include(query.get("include", [])),
        base=scope.get("state", {}).get("base", ""),
    )


def _last(query: Mapping[str, list[str]], name: str) -> str:
    return query.get(name, [""])[-1]


def read_cursor(text: str) -> int | None:
    """The number in a cursor; ``NO_CURSOR`` if it is none, ``None`` if there is no cursor."""
    if not text:
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else NO_CURSOR


def read_include(words: Iterable[str]) -> frozenset[EventType]:
    """The types for a client that asks to include these words, each a comma list. Unknown words
    are let be."""
    wanted = {word.strip() for each in words for word in each.split(",")}
    return frozenset(EventType) - {name for word, name in _OPTIONAL.items() if word not in wanted}


async def refuse(send: Send, status: int, code: str, error: str) -> None:
    """Answer with an error, as every route does."""
    body = json.dumps({"error": error, "code": code}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *([(b"allow", b"GET")] if status == 405 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_empty(send: Send) -> None:
    """Answer 204: there is nothing more to come."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
