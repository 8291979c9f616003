"""ETags of pictures, and 304 for clients that have the picture already."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

KEPT = {"Cache-Control": "private, max-age=86400"}
"""The caching header of a picture: private, for a day."""


def make_etag(*parts: bytes | str) -> str:
    """Return an ``ETag`` derived from ``parts``."""
    joined = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
    return f'"{hashlib.sha256(joined).hexdigest()[:32]}"'


def not_modified(request: Request, etag: str) -> Response | None:
    """Return 304 if ``If-None-Match`` matches ``etag``, else ``None`` (RFC 9110, 13.1.2)."""
    asked = request.headers.get("if-none-match", "")
    known = {each.strip().removeprefix("W/") for each in asked.split(",")}
    if etag in known or "*" in known:
        return Response(status_code=304, headers={**KEPT, "ETag": etag})
    return None
