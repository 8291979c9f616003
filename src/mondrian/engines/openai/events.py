"""Decode the server-sent events of OpenAI-compatible servers."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from mondrian.engines.chat import DONE, NO_WORDS, error_words
from mondrian.errors import EngineFailed

_MOST_BYTES = 32_000_000  # of one message: a whole answer has about 100,000


def decode_events(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the JSON messages of a server-sent event stream, cut anywhere into ``chunks``. Bytes
    that are not UTF-8 become U+FFFD.

    A message is yielded as soon as it is complete: not all servers send the empty line. Comments,
    unknown fields, empty and truncated messages are skipped. ``DONE`` follows ``[DONE]``, and a
    body that is one JSON object instead of a stream. An ``error`` event may be plain text.

    Raise ``EngineFailed`` for other text that is not JSON, and for a message over 32 MB.
    """
    lines, pending, event = _split_lines(chunks), b"", b""
    for line in lines:
        if line.startswith(b"{") and not pending:
            yield _parse_message(b"\n".join([line, *_limit(lines)]))
            yield DONE
            return
        field, _, value = line.partition(b":")
        event = value.strip() if field == b"event" else event
        is_words = event == b"error" and field == b"data" and b"{" not in value
        if field == b"error" or is_words:
            yield {"error": _parse_error(value.strip()) or NO_WORDS}
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
                message = _parse_message(pending)
            except EngineFailed:
                if is_due:
                    raise
                continue  # the rest may be on the next line
            yield message
            pending = b""


_LINE_END = re.compile(rb"\r\n|\r|\n")


def _split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines, which end in LF, CR LF or CR only, each as soon as it is complete."""
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


_MARK = b"\xef\xbb\xbf"  # UTF-8's byte order mark


def _limit(lines: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        size += len(line)
        _check_size(size)
        yield line


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise EngineFailed("The engine's stream cannot be read: a message is over 32 MB.")


def _parse_message(value: bytes) -> dict[str, Any]:
    text = value.decode("utf-8", "replace")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as exc:
        words = error_words(" ".join(text[:200].split()))
        raise EngineFailed(
            f"The engine's stream cannot be read: no JSON in it, but: {words}."
        ) from exc
    return message if isinstance(message, dict) else {}


def _parse_error(value: bytes) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(value)
    return value.decode("utf-8", "replace")
