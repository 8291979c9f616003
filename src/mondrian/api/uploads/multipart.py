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
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

from anyio import to_thread
from pydantic import BaseModel, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
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

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PHOTO_NAMES = ("image", "file")
LIST_NAME = "advisor"
"""The field that may be repeated, like checkboxes; its values are joined by commas."""
MAX_PARTS = 40
MAX_FIELD_BYTES = 10_000
MAX_JSON_BYTES = 100_000

_MEMORY_BYTES = 2**20
_WRITE_BYTES = 2**18

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
        parts.check()
        write_chunk(file, parts.pop_portion())
        yield Form(fields=parts.fields, photo_name=parts.photo_name, file=file)


def _read_boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequest(
            "Send the photo as multipart/form-data, in a part named `image` or `file`."
        )
    return options[b"boundary"]


def write_chunk(file: "SpooledTemporaryFile[bytes]", portion: bytes) -> None:
    """Append to a temporary file. Raise ``StorageFull`` and ``StorageError``."""
    try:
        file.write(portion)
        file.flush()
    except OSError as exc:
        raise (StorageFull if exc.errno in (ENOSPC, EDQUOT) else StorageError)() from exc


class _FormParser:
    """Parses a multipart body as it is received. ``portion`` is the photo's bytes since the last
    ``pop_portion``."""

    def __init__(self, max_photo_bytes: int, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.photo_name = ""
        self.portion = bytearray()
        self._max_photo_bytes = max_photo_bytes
        self._photo_bytes = 0
        self._photos = 0
        self._is_complete = False
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._parts = 0
        self._is_file = False
        self._value = bytearray()
        try:
            self._parser = MultipartParser(boundary, self._make_callbacks())
        except FormParserError as exc:
            raise InvalidRequest("The boundary of the form is too long.") from exc

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the body. Raise the errors of ``receive_form``."""
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise InvalidRequest("The form is damaged. Send it again.") from exc

    def pop_portion(self) -> bytes:
        """Return the photo's bytes since the last call."""
        portion, self.portion = bytes(self.portion), bytearray()
        return portion

    def check(self) -> None:
        """Raise ``InvalidRequest`` unless the form is complete and has a photo."""
        if not self._is_complete:
            raise InvalidRequest("The form ends early. Send it again.")
        if self._photos == 0:
            raise InvalidRequest("The form has no photo. Send one in a part named `image`.")

    def _make_callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda *part: self._add(self._header[0], *part),
            "on_header_value": lambda *part: self._add(self._header[1], *part),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._disposition, self._value = b"", bytearray()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"The form has more than {MAX_PARTS} parts.")

    @staticmethod
    def _add(target: bytearray, chunk: bytes, start: int, end: int) -> None:
        target += chunk[start:end]

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        options = _parse_disposition(self._disposition)
        if "name" not in options:
            raise InvalidRequest("A part of the form has no name.")
        self._name, self._is_file = options["name"], "filename" in options
        if self._name in PHOTO_NAMES:
            self.photo_name = options.get("filename", "")
            self._photos += 1
            if self._photos > 1:
                raise InvalidRequest("The form has two photos. Send each by itself.")

    def _add_content(self, chunk: bytes, start: int, end: int) -> None:
        if self._name in PHOTO_NAMES:
            self._photo_bytes += end - start
            if self._photo_bytes > self._max_photo_bytes:
                raise PhotoTooLarge
            self.portion += chunk[start:end]
        elif not self._is_file:  # files of other names are ignored
            self._value += chunk[start:end]
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

    def _end(self) -> None:
        self._is_complete = True


def _parse_disposition(disposition: bytes) -> dict[str, str]:
    """Return the parameters of a Content-Disposition, as text."""
    _, options = parse_options_header(disposition)
    return {
        name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in options.items()
    }
