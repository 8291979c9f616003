"""Who critiques: an advisor is a Markdown file with front matter and a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusArea:
    """One thing that an advisor looks at."""

    title: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrasing:
    """The ways an advisor speaks of one finding: at least three comments and recommendations."""

    comments: tuple[str, ...]
    recommendations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Advisor:
    """One advisor. ``prompt`` goes to the model; ``phrasings`` maps the id of a finding to what an
    engine that does not see may choose from."""

    id: str
    name: str
    years: str
    specialty: str
    bio: str
    focus_areas: tuple[FocusArea, ...]
    prompt: str
    phrasings: Mapping[str, Phrasing]
