"""The answer: its schema, its readers (partial, final, salvage), and HTML, Markdown and PDF."""

from typing import Any

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


class Value(BaseModel):
    """A frozen value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimension(Value):
    """One dimension's judgement. ``score`` is from 1 to 10."""

    name: str
    score: float = Field(ge=1, le=10)
    comment: str
    recommendation: str
    evidence: tuple[str, ...] = ()


class EngineFigures(Value):
    """Who answered and what it took, by the engine's own count; ``None`` where it gave none."""

    url: str
    model: str
    sees: bool
    tokens: int
    prompt_tokens: int | None = None
    tokens_per_second: float | None = None
    seconds: float
    peak_memory_gb: float | None = None


class Report(Value):
    """One advisor's critique of one photo."""

    advisor: str
    image_description: str
    dimensions: tuple[Dimension, ...]
    overall_score: float
    grade: str
    key_strengths: tuple[str, ...]
    priority_improvements: tuple[str, ...]
    technical_notes: tuple[str, ...]
    measurements: dict[str, Any]
    engine: EngineFigures
    salvaged: bool = False
