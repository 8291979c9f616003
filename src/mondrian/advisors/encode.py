"""Advisors as text, to keep and to send: their prompt, weights and all their phrasings."""

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from mondrian.advisors.load import Advisor
from mondrian.errors import InvalidAdvisor

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def encode_advisor(advisor: Advisor) -> str:
    """Return ``advisor`` as JSON."""
    return _adapter().dump_json(advisor).decode()


def decode_advisor(text: str) -> Advisor:
    """Return the advisor of ``encode_advisor``. Raise ``InvalidAdvisor`` for another text, such as
    that of a newer program."""
    try:
        return _adapter().validate_json(text)
    except ValueError as exc:
        raise InvalidAdvisor(f"The advisor of the job cannot be read: {exc}") from exc


def hash_advisor(text: str) -> str:
    """Return the version of an encoded advisor, its SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _adapter() -> "TypeAdapter[Advisor]":
    from pydantic import TypeAdapter

    return TypeAdapter(Advisor)
