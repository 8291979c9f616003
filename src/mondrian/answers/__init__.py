"""Parse a model's text into an ``Answer``, whether it is complete, still growing or damaged."""

from mondrian.answers.answer import (
    DIMENSIONS,
    Answer,
    Dimension,
    GrowingDimension,
    PartialAnswer,
    show_name,
)
from mondrian.answers.read import read_answer, read_partial

__all__ = [
    "DIMENSIONS",
    "Answer",
    "Dimension",
    "GrowingDimension",
    "PartialAnswer",
    "read_answer",
    "read_partial",
    "show_name",
]
