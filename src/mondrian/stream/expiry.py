"""Warn a client whose token is about to expire: ``EventSource`` cannot reconnect with it."""

import time
from collections.abc import Callable
from uuid import UUID

from starlette.types import Message, Send

from mondrian.jobs.job import encode_payload
from mondrian.stream.sse import encode

WARNING_SECONDS = 300
"""How long before the end of its token a stream sends the warning."""


def warn_of_expiry(
    send: Send, job_id: UUID, ends: float, now: Callable[[], float] = time.time
) -> Send:
    """Return a ``send`` that puts one ``token_expiring`` event before the first event that is sent
    within ``WARNING_SECONDS`` of ``ends`` (seconds since 1970)."""
    is_whole, is_warned = True, False

    async def send_with_warning(message: Message) -> None:
        nonlocal is_whole, is_warned
        body = message.get("body", b"")
        left = ends - now()
        if body and is_whole and not is_warned and left <= WARNING_SECONDS:
            fields = {"seconds": max(0, round(left))}
            payload = encode_payload("token_expiring", job_id, fields)
            message = {**message, "body": encode("token_expiring", payload).wire + body}
            is_warned = True
        if body:
            is_whole = body.endswith(b"\n\n")
        await send(message)

    return send_with_warning
