"""The JSON of OpenAI's answers: completions, their chunks, models, errors."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mondrian.reports import Report

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """The answers about one job, whose creation time is in seconds since 1970."""

    job_id: UUID
    model: str
    created: int

    def make_answer(self, text: str, reports: Sequence[Report]) -> dict[str, Any]:
        """Return the whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": find_finish_reason(reports),
        }
        return self._make("chat.completion", [choice]) | {"usage": count_usage(reports)}

    def encode_delta(self, *, finish_reason: str | None = None, **delta: str) -> bytes:
        """Return a chunk of the stream, as a server-sent event."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return encode_event(self._make("chat.completion.chunk", [choice]))

    def encode_usage(self, reports: Sequence[Report]) -> bytes:
        """Return the chunk that tells the usage."""
        chunk = self._make("chat.completion.chunk", [])
        return encode_event(chunk | {"usage": count_usage(reports)})

    def _make(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self.job_id.hex}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "job_id": str(self.job_id),
            "choices": choices,
        }


def count_usage(reports: Sequence[Report]) -> dict[str, int]:
    """Return the tokens that the engine has counted, of all advisors."""
    prompt = sum(each.engine.prompt_tokens or 0 for each in reports)
    written = sum(each.engine.tokens for each in reports)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def find_finish_reason(reports: Sequence[Report]) -> str:
    """Return ``length`` if an answer was cut off, else ``stop``."""
    return "length" if any(each.engine.finish_reason == "length" for each in reports) else "stop"


def encode_event(fields: dict[str, Any]) -> bytes:
    """Return ``fields`` as a server-sent event."""
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def encode_comment(text: str) -> bytes:
    """Return a comment of the stream: clients ignore it, and the connection lives."""
    return b": " + " ".join(text.split()).encode("utf-8", "replace") + b"\n\n"


def make_model(advisor: str, name: str, created: int) -> dict[str, Any]:
    """Return an advisor as a model."""
    return {
        "id": advisor,
        "object": "model",
        "created": created,
        "owned_by": "mondrian",
        "name": name,
    }


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def make_error(status: int, code: str, message: str) -> dict[str, Any]:
    """Return an error as OpenAI's clients expect it."""
    other = "invalid_request_error" if status < 500 else "server_error"
    kind = _TYPES.get(status, other)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
