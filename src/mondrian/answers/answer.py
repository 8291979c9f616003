"""The values of an answer: a model's critique, complete or partial."""

from pydantic import BaseModel, ConfigDict, Field

DIMENSIONS = (
    "Composition",
    "Lighting",
    "Focus & Sharpness",
    "Color Harmony",
    "Subject Isolation",
    "Depth & Perspective",
    "Visual Balance",
    "Emotional Impact",
)

_SHOWN = {"Color Harmony": "Colour Harmony"}


def show_name(dimension: str) -> str:
    """Return a dimension's name as headings and sentences spell it."""
    return _SHOWN.get(dimension, dimension)


class Value(BaseModel):
    """A frozen value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimension(Value):
    """One dimension's judgement. ``score`` is from 1 to 10, ``None`` if it is not judged."""

    name: str
    score: float | None = Field(ge=1, le=10)
    comment: str
    recommendation: str
    evidence: tuple[str, ...] = ()


class GrowingDimension(Value):
    """A dimension that the model is still writing; ``score`` is ``None`` until it is complete."""

    name: str
    score: float | None
    comment: str
    recommendation: str


class Answer(Value):
    """A model's answer. ``dimensions`` are in the order of ``DIMENSIONS``, each at most once.

    ``salvaged`` is true if anything but plain JSON of the expected shape had to be accepted, or if
    a dimension is missing.
    """

    image_description: str
    dimensions: tuple[Dimension, ...]
    key_strengths: tuple[str, ...] = ()
    priority_improvements: tuple[str, ...] = ()
    technical_notes: tuple[str, ...] = ()
    salvaged: bool = False


class PartialAnswer(Value):
    """The readable part of an unfinished answer; ``dimensions`` are the complete ones."""

    image_description: str
    dimensions: tuple[Dimension, ...]
    growing: GrowingDimension | None = None
