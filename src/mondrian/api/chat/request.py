"""The request of a chat completion: received in bounded pieces, and its photo found.

A body is in a temporary file until it is read, and two are read at once: a photo in JSON takes
three times its size.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, Literal

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from mondrian.api.uploads.multipart import (
    Limits,
    read_chunks,
    write_chunk,
)
from mondrian.errors import InvalidRequest, PhotoTooLarge, printable
from mondrian.purpose import MAX_INTENT

_MEMORY_BYTES = 2**20
_READ_AT_ONCE = 2
_TEXT_BYTES = 1_000_000
"""For the text of a long chat, which is sent whole each time, beside its photos."""


class ImageUrl(BaseModel):
    """Where an image is: here always a ``data:`` URL."""

    url: str


class Part(BaseModel):
    """A part of a message: text, or an image."""

    type: str
    text: str | None = None
    image_url: ImageUrl | str | None = None


class Message(BaseModel):
    """One message of the chat."""

    role: str
    content: str | list[Part] | None = None

    @property
    def parts(self) -> Sequence[Part]:
        """The message's parts, of which a plain text is one."""
        if isinstance(self.content, str):
            return (Part(type="text", text=self.content),)
        return self.content or ()


class StreamOptions(BaseModel):
    """What a stream is to hold."""

    include_usage: bool = False


class ChatBody(BaseModel):
    """A request for a chat completion; fields that mean nothing here are ignored."""

    model: str = Field("", max_length=300, description="An advisor's id, several with commas.")
    messages: list[Message] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether the last chunk of a stream tells the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatPhoto:
    """The photo of the last message, in a ``data:`` URL, and the ``text`` beside it."""

    data_url: str
    text: str

    def read_bytes(self, max_bytes: int) -> bytes:
        """Return the photo's bytes. Raise ``InvalidRequest`` and ``PhotoTooLarge``."""
        head, comma, encoded = self.data_url.partition(",")
        if not comma or not head.endswith(";base64"):
            raise InvalidRequest("The photo's data: URL must be in Base64.")
        if len(encoded) > max_bytes * 4 // 3 + 4:
            raise PhotoTooLarge
        try:
            return base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise InvalidRequest("The photo's Base64 is damaged. Send it again.") from exc


def find_photo(body: ChatBody) -> ChatPhoto:
    """Return the photo to critique. Raise ``InvalidRequest`` if the last message of the user has
    none, or several, or one that is elsewhere."""
    last = next((each for each in reversed(body.messages) if each.role == "user"), None)
    parts = last.parts if last else ()
    urls = [_read_url(part) for part in parts if part.image_url is not None]
    if not urls:
        raise InvalidRequest(
            "There is no photo in the last message. Attach one: each message is a new critique, of "
            "one photo."
        )
    if len(urls) > 1:
        raise InvalidRequest("The message has several photos. Send each in a message of its own.")
    if not urls[0].lower().startswith("data:"):
        raise InvalidRequest(
            "The image is an address. Mondrian fetches nothing from others: send the photo itself, "
            "as a data: URL in Base64."
        )
    text = " ".join(part.text for part in parts if part.text)
    return ChatPhoto(data_url=urls[0], text=printable(text, MAX_INTENT).strip())


def _read_url(part: Part) -> str:
    return part.image_url if isinstance(part.image_url, str) else getattr(part.image_url, "url", "")


@asynccontextmanager
async def receive_chat(request: Request, limits: Limits) -> AsyncIterator[ChatBody]:
    """Receive the body. Raise ``InvalidRequest``, and the errors of ``read_chunks``."""
    max_bytes = limits.max_photo_bytes * 4 // 3 + _TEXT_BYTES
    with SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        async with aclosing(read_chunks(request, max_bytes, limits.idle_seconds)) as stream:
            async for chunk in stream:
                await to_thread.run_sync(write_chunk, file, chunk)
        yield await to_thread.run_sync(_parse, file, limiter=_find_limiter(request))


def _find_limiter(request: Request) -> CapacityLimiter:
    """Return the limiter of this server's event loop."""
    state = request.app.state
    if not hasattr(state, "chat_limiter"):
        state.chat_limiter = CapacityLimiter(_READ_AT_ONCE)
    limiter: CapacityLimiter = state.chat_limiter
    return limiter


def _parse(file: Any) -> ChatBody:
    file.seek(0)
    try:
        return ChatBody.model_validate_json(file.read())
    except ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidRequest(f"{where}: {first['msg']}.") from exc
