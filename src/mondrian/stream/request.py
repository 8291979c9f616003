"""Parse a client's request, and answer those that get no stream."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs
from uuid import UUID

from starlette.types import Scope, Send

from mondrian.jobs.job import EventType, parse_job_id

NO_CURSOR = -1
"""The number of a malformed cursor; no log has it."""

_OPTIONAL = {"tokens": EventType.TOKEN, "report": EventType.REPORT_PARTIAL}


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A request: a job, the number after which to continue (``None`` for the present state), and
    the types of events. ``epoch`` is the cursor's (empty for a plain number, of an older
    client). ``base`` goes before the paths in the events: this server's address for this client."""

    job_id: UUID
    cursor: int | None
    types: frozenset[EventType]
    base: str = ""
    epoch: str = ""


def read_request(scope: Scope) -> StreamRequest:
    """Parse the request in ``scope``. Raise ``JobNotFound`` if its path names no job."""
    name = scope.get("path_params", {}).get("job") or scope["path"].rsplit("/", 1)[-1]
    query = parse_qs(scope["query_string"].decode("latin-1"))
    sent = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
    job_id = parse_job_id(str(name))
    # The header wins: EventSource keeps its URL when it comes back; polyfills add to it.
    given = sent or _get_last(query, "lastEventId") or _get_last(query, "after")
    epoch, cursor = read_cursor(given, job_id)
    return StreamRequest(
        job_id=job_id,
        cursor=cursor,
        epoch=epoch,
        types=read_include(query.get("include", [])),
        base=scope.get("state", {}).get("base", ""),
    )


def _get_last(query: Mapping[str, list[str]], name: str) -> str:
    return query.get(name, [""])[-1]


_CURSOR = re.compile(r"(?:(?P<epoch>[0-9a-z]{1,16})\.(?P<job>[0-9a-f]{8})\.)?(?P<seq>[0-9]{1,18})")


def read_cursor(text: str, job_id: UUID) -> tuple[str, int | None]:
    """Return the epoch and the number of a cursor: ``<epoch>.<job>.<seq>``, or a plain number,
    which has no epoch. The number is ``NO_CURSOR`` if it is no cursor of this job, ``None`` if
    there is none."""
    if not text:
        return "", None
    found = _CURSOR.fullmatch(text)
    if found is None or found["job"] not in (None, job_id.hex[:8]):
        return "", NO_CURSOR
    return found["epoch"] or "", int(found["seq"])


def read_include(words: Iterable[str]) -> frozenset[EventType]:
    """Return the types of events for these values of ``include``, each a comma list. Unknown words
    are ignored."""
    wanted = {word.strip() for each in words for word in each.split(",")}
    return frozenset(EventType) - {name for word, name in _OPTIONAL.items() if word not in wanted}


async def refuse(send: Send, status: int, code: str, error: str) -> None:
    """Answer with an error in the form of all routes."""
    body = json.dumps({"error": error, "code": code}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *([(b"allow", b"GET, HEAD")] if status == 405 else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_empty(send: Send) -> None:
    """Answer 204: nothing more follows."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
