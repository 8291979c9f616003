"""Validators for pictures: a client that has one already is told so in a few bytes."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

KEPT = {"Cache-Control": "private, max-age=86400"}
"""The header of a picture: kept by the client alone, for a day."""


def make_etag(*parts: bytes | str) -> str:
    """Return the ``ETag`` of what ``parts`` determine."""
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return f'"{hashlib.sha256(joined).hexdigest()[:32]}"'


def not_modified(request: Request, etag: str) -> Response | None:
    """Return 304 if the client has what ``etag`` stands for, else ``None`` (RFC 9110, 13.1.2)."""
    asked = request.headers.get("if-none-match", "")
    known = {each.strip().removeprefix("W/") for each in asked.split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers={**KEPT, "ETag": etag})
    return None
