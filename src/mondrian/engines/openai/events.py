"""The server-sent events that servers with OpenAI's chat completions stream, however cut."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from mondrian.engines.chat import DONE, NO_WORDS, error_words
from mondrian.errors import EngineFailed

_MOST_BYTES = 32_000_000  # of one message: an answer in one piece has a hundred thousand


def decode_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON messages of a server-sent event stream, however its bytes are cut. What is not UTF-8
    in them is U+FFFD.

    A message is there as soon as it is whole: not all servers send the empty line. Comments,
    unknown fields and empty messages are passed over; one that is cut off is none. ``DONE`` is the
    last if the stream said so, and after a body that is one JSON object and no stream at all. An
    event ``error`` may be words and no JSON.

    Raises ``EngineFailed`` for what is no JSON, and for a message of more than 32 MB.
    """
    lines, pending, event = _lines(chunks), b"", b""
    for line in lines:
        if line.startswith(b"{") and not pending:
            yield _message(b"\n".join([line, *_limited(lines)]))
            yield DONE
            return
        field, _, value = line.partition(b":")
        event = value.strip() if field == b"event" else event
        is_words = event == b"error" and field == b"data" and b"{" not in value
        if field == b"error" or is_words:
            yield {"error": _error_line(value.strip()) or NO_WORDS}
        elif field == b"data":
            if value.strip() == b"[DONE]":
                yield DONE
                return
            pending += value + b"\n"
            _check_size(len(pending))
        event = event if line else b""
        is_due = not line and pending.strip()
        if is_due or pending.endswith(b"}\n"):
            try:
                message = _message(pending)
            except EngineFailed:
                if is_due:
                    raise
                continue  # the rest of it may be on the next line
            yield message
            pending = b""


_LINE_END = re.compile(rb"\r\n|\r|\n")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, which end with LF, CR LF or CR and in nothing else, each as soon as it has ended."""
    rest, was_cr, is_first = b"", False, True
    for chunk in filter(None, chunks):
        more = chunk[1:] if was_cr and chunk.startswith(b"\n") else chunk
        was_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(rest + more)
        _check_size(len(rest))
        for line in lines:
            yield line.removeprefix(_MARK) if is_first else line
            is_first = False
    if rest:
        yield rest.removeprefix(_MARK) if is_first else rest


_MARK = b"\xef\xbb\xbf"  # of UTF-8, at the beginning


def _limited(lines: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        size += len(line)
        _check_size(size)
        yield line


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise EngineFailed("The engine's stream cannot be read: a message of it has no end.")


def _message(value: bytes) -> dict[str, Any]:
    text = value.decode("utf-8", "replace")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as exc:
        said = error_words(" ".join(text[:200].split()))
        raise EngineFailed(
            f"The engine's stream cannot be read: no JSON in it, but: {said}."
        ) from exc
    return message if isinstance(message, dict) else {}


def _error_line(value: bytes) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    return value.decode("utf-8", "replace")
