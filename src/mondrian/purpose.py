"""What a photo is meant to be: the photographer's own words, and its genre."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from mondrian.errors import printable

MAX_INTENT = 500
"""The most characters of an intent."""

GENRES = {
    "portrait": "a portrait",
    "landscape": "a landscape",
    "street": "a street photograph",
    "macro": "a macro photograph",
    "night": "a night photograph",
    "product": "a product photograph",
    "document": "a document",
    "abstract": "an abstract photograph",
}
"""The genres, each as a noun for a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Purpose:
    """What a photo is meant to be: ``intent`` in the photographer's words, and a ``genre`` of
    ``GENRES``. Each may be empty. ``parse`` makes one of what a person wrote."""

    intent: str = ""
    genre: str = ""

    @classmethod
    def parse(cls, intent: str = "", genre: str = "") -> Self:
        """Return the purpose of words that may hold anything. Raise ``ValueError``."""
        return cls(intent=clean_intent(intent), genre=parse_genre(genre))

    def __str__(self) -> str:
        return f"{self.genre}: {self.intent}" if self.genre or self.intent else ""


NO_PURPOSE = Purpose()


def clean_intent(text: str) -> str:
    """Return ``text`` as one line without control characters. Raise ``ValueError`` if it has over
    500 characters."""
    words = " ".join(text[: 10 * MAX_INTENT].split())
    cleaned = " ".join(printable(words, len(words)).split())
    if len(cleaned) > MAX_INTENT or len(text) > 10 * MAX_INTENT:
        raise ValueError(f"an intent has at most {MAX_INTENT} characters, and this one has more")
    return cleaned


def parse_genre(text: str) -> str:
    """Return the genre that ``text`` names in any case, or nothing for nothing. Raise
    ``ValueError`` that lists the genres."""
    genre = text[:100].strip().casefold()
    if not genre or genre in GENRES:
        return genre
    near = get_close_matches(genre, GENRES, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"there is no such genre.{hint} There are: {', '.join(GENRES)}")
