"""Request bodies, bounded while they are received, whatever ``Content-Length`` announces.

1. A body with too large a ``Content-Length`` is rejected before it is read.
2. About 1 MB of a photo is in memory at most: the rest is in an unnamed temporary file, which
   disappears with the process.
3. Uploads idle for ``idle_seconds`` are rejected, however little is missing.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar
from urllib.parse import parse_qs

from anyio import to_thread
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from mondrian.errors import (
    BodyTooLarge,
    InvalidRequest,
    PhotoTooLarge,
    StorageError,
    StorageFull,
    UploadTooSlow,
)
from mondrian.photos import MAX_BYTES

PHOTO_NAMES = ("image", "file")
LIST_NAME = "advisor"
"""The field that may be repeated, like checkboxes; its values are joined by commas."""
MAX_PARTS = 40
MAX_FIELD_BYTES = 10_000
MAX_JSON_BYTES = 100_000

_MEMORY_BYTES = 2**20
_WRITE_BYTES = 2**18
_MAX_BOUNDARY = 256

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The limits of an upload."""

    max_photo_bytes: int = MAX_BYTES
    idle_seconds: float = 30.0

    @property
    def max_body_bytes(self) -> int:
        """Return the most bytes of a photo plus those of fields and boundaries."""
        return self.max_photo_bytes + MAX_PARTS * MAX_FIELD_BYTES + MAX_JSON_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A received form: ``fields``, and the photo in ``file``, which is closed with the ``async
    with`` of ``receive_form``. ``photo_name`` is the client's file name."""

    fields: dict[str, str]
    photo_name: str
    file: "SpooledTemporaryFile[bytes]"

    def read_photo_bytes(self) -> bytes:
        """Return the photo's bytes. May read from disk: call it in a thread."""
        self.file.seek(0)
        return self.file.read()


async def read_chunks(
    request: Request, max_bytes: int, idle_seconds: float
) -> AsyncGenerator[bytes]:
    """Yield the body in chunks as it is received.

    Raise ``BodyTooLarge``, ``UploadTooSlow``, and ``InvalidRequest`` if the client disconnected.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _make_too_large(max_bytes)
    total = 0
    async with aclosing(request.stream()) as stream:
        while True:
            try:
                async with asyncio.timeout(idle_seconds):
                    chunk = await anext(stream, None)
            except TimeoutError as exc:
                raise UploadTooSlow from exc
            except ClientDisconnect as exc:
                raise InvalidRequest("The upload was cut off. Send it again.") from exc
            if chunk is None:
                return
            total += len(chunk)
            if total > max_bytes:
                raise _make_too_large(max_bytes)
            yield chunk


def _make_too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request is over {max_bytes / 1e6:.1f} MB. Export the photo as JPEG or HEIC at a "
        "lower quality and try again."
    )


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return a body of at most 100 KB. Raise the errors of ``read_chunks``."""
    stream = read_chunks(request, MAX_JSON_BYTES, limits.idle_seconds)
    return b"".join([chunk async for chunk in stream])


async def read_json(
    request: Request, model: type[Body], limits: Limits, default: Mapping[str, Any] | None = None
) -> Body:
    """Return the JSON body as ``model``, or ``default`` for an empty one. Raise ``InvalidRequest``
    for another body, and the errors of ``read_chunks``."""
    body = await read_body(request, limits)
    if not body and default is not None:
        return model(**default)
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = " ".join(str(part) for part in first["loc"]) or "body"
        raise InvalidRequest(f"{where}: {first['msg']}. Send it as JSON.") from exc


async def read_fields(request: Request, limits: Limits) -> dict[str, str]:
    """Return the fields of a urlencoded form, none for an empty body; values of a repeated field
    are joined by commas. Raise ``InvalidRequest`` and the errors of ``read_chunks``."""
    body = await read_body(request, limits)
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=1000)
    except ValueError as exc:
        raise InvalidRequest("The form is damaged. Send it again.") from exc
    return {name: ",".join(values) for name, values in found.items()}


@asynccontextmanager
async def receive_form(request: Request, limits: Limits) -> AsyncIterator[Form]:
    """Receive a multipart form with one photo, named ``image`` or ``file``.

    Raise ``InvalidRequest`` for another kind of body, for one that is cut off or holds no photo or
    two, ``PhotoTooLarge``, ``StorageFull``, ``StorageError``, and the errors of ``read_chunks``.
    """
    parts = _FormParser(limits.max_photo_bytes, _read_boundary(request))
    with SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        stream = read_chunks(request, limits.max_body_bytes, limits.idle_seconds)
        async with aclosing(stream):
            async for chunk in stream:
                parts.feed(chunk)
                if len(parts.portion) >= _WRITE_BYTES:
                    await to_thread.run_sync(write_chunk, file, parts.pop_portion())
        photo_name = parts.check()
        write_chunk(file, parts.pop_portion())
        yield Form(fields=parts.fields, photo_name=photo_name, file=file)


def _read_boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary: str = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise InvalidRequest(
            "Send the photo as multipart/form-data, in a part named `image` or `file`."
        )
    if len(boundary) > _MAX_BOUNDARY:
        raise InvalidRequest("The boundary of the form is too long.")
    return boundary.encode("latin-1")


def write_chunk(file: "SpooledTemporaryFile[bytes]", portion: bytes) -> None:
    """Append to a temporary file. Raise ``StorageFull`` and ``StorageError``."""
    try:
        file.write(portion)
        file.flush()
    except OSError as exc:
        raise (StorageFull if exc.errno in (ENOSPC, EDQUOT) else StorageError)() from exc


class _FormParser:
    """Parse a multipart body as it is received. ``portion`` is the photo's bytes since the last
    ``pop_portion``."""

    def __init__(self, max_photo_bytes: int, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.photo_name: str | None = None
        self.portion = bytearray()
        self._max_photo_bytes = max_photo_bytes
        self._photo_bytes = 0
        self._parts = 0
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        # Latin-1 decodes any bytes: ``_decode`` makes UTF-8 of them.
        self._parser = PushMultipartParser(boundary, header_charset="latin-1")

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the body. Raise the errors of ``receive_form``."""
        try:
            for event in self._parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif event is None:
                    self._end_part()
                else:
                    self._add_content(event)
        except MultipartError as exc:
            raise InvalidRequest("The form is damaged. Send it again.") from exc

    def pop_portion(self) -> bytes:
        """Return the photo's bytes since the last call."""
        portion, self.portion = bytes(self.portion), bytearray()
        return portion

    def check(self) -> str:
        """Return the photo's file name. Raise ``InvalidRequest`` unless the form is complete and
        has a photo."""
        try:
            self._parser.close()
        except MultipartError as exc:
            raise InvalidRequest("The form ends early. Send it again.") from exc
        if self.photo_name is None:
            raise InvalidRequest("The form has no photo. Send one in a part named `image`.")
        return self.photo_name

    def _begin_part(self, part: MultipartSegment) -> None:
        self._name, self._is_file = _decode(part.name), part.filename is not None
        self._value = bytearray()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"The form has more than {MAX_PARTS} parts.")
        if not self._name:
            raise InvalidRequest("A part of the form has no name.")
        if self._name in PHOTO_NAMES:
            if self.photo_name is not None:
                raise InvalidRequest("The form has two photos. Send each by itself.")
            self.photo_name = _decode(part.filename or "")

    def _add_content(self, content: bytearray) -> None:
        if self._name in PHOTO_NAMES:
            self._photo_bytes += len(content)
            if self._photo_bytes > self._max_photo_bytes:
                raise PhotoTooLarge
            self.portion += content
        elif not self._is_file:  # files of other names are ignored
            self._value += content
            if len(self._value) > MAX_FIELD_BYTES:
                raise BodyTooLarge(f"The field `{self._name[:100]}` is too long.")

    def _end_part(self) -> None:
        if self._name in PHOTO_NAMES or self._is_file:
            return
        value = self._value.decode("utf-8", "replace")
        if self._name in self.fields:
            if self._name != LIST_NAME:
                raise InvalidRequest(f"The field `{self._name[:100]}` comes twice.")
            value = f"{self.fields[self._name]},{value}"
        self.fields[self._name] = value


def _decode(text: str) -> str:
    """Return UTF-8 that was decoded as Latin-1."""
    return text.encode("latin-1").decode("utf-8", "replace")
