"""A stream that was opened by a token says when the token is about to end."""

import asyncio
from uuid import UUID

from starlette.types import Message

from mondrian.stream.expiry import WARNING_SECONDS, warn_of_expiry

JOB = UUID(int=1)


def send_all(*sent: tuple[float, bytes], ends: float) -> bytes:
    """Return what a client gets of these bodies, each sent at a time."""
    got, now = list[bytes](), [0.0]

    async def keep(message: Message) -> None:
        got.append(message.get("body", b""))

    async def run() -> None:
        send = warn_of_expiry(keep, JOB, ends, lambda: now[0])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for at, body in sent:
            now[0] = at
            await send({"type": "http.response.body", "body": body, "more_body": True})

    asyncio.run(run())
    return b"".join(got)


def test_the_warning_comes_once_and_never_inside_an_event() -> None:
    ends = 1000.0 + WARNING_SECONDS
    got = send_all(
        (0.0, b"event: a\ndata: 1\n\n"),
        (999.0, b"event: b\nda"),
        (1001.0, b"ta: 2\n\n"),
        (1002.0, b"event: c\ndata: 3\n\n"),
        (1100.0, b"event: d\ndata: 4\n\n"),
        ends=ends,
    )
    blocks = got.decode().split("\n\n")
    assert [block.splitlines()[0] for block in blocks if block] == [
        "event: a", "event: b", "event: token_expiring", "event: c", "event: d",
    ]  # fmt: skip
    assert f'"job_id":"{JOB}"' in blocks[2]
    assert '"seconds":298' in blocks[2]


def test_a_stream_that_ends_before_has_no_warning() -> None:
    sent = b"event: a\ndata: 1\n\n"
    assert send_all((0.0, sent), (600.0, sent), ends=3600.0) == sent * 2
