"""Advisors: their names, focus, prompts, and phrasings for each finding."""

from mondrian.advisors.load import (
    BUILT_IN,
    Advisor,
    Artwork,
    FocusArea,
    Phrasing,
    choose_advisors,
    find_advisor,
    load_advisors,
    sentences,
)

__all__ = [
    "BUILT_IN",
    "Advisor",
    "Artwork",
    "FocusArea",
    "Phrasing",
    "choose_advisors",
    "find_advisor",
    "load_advisors",
    "sentences",
]
