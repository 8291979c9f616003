"""Which faults and weaknesses are none in a genre, since there they are the rule or a means."""

from collections.abc import Mapping

from mondrian.findings.kinds import KINDS, Severity
from mondrian.purpose import GENRES

_CASTS = "cast_warm cast_cool cast_green cast_magenta"
_WEIGHTS = "heavy_left heavy_right heavy_top heavy_bottom"
_NO_SUBJECT = "no_clear_subject nothing_isolated"
_ABSTRACT = frozenset(
    kind.id for kind in KINDS.values() if kind.severity in (Severity.WEAKNESS, Severity.FAULT)
) - {"noisy", "marred", "both_ends_clipped"}

NOT_COUNTED: Mapping[str, frozenset[str]] = {
    "portrait": frozenset(["subject_at_edge", "little_depth", "heavy_bottom"]),
    "landscape": frozenset(f"{_NO_SUBJECT} merged heavy_top heavy_bottom".split()),
    "street": frozenset(
        f"horizon_tilted subject_at_edge {_NO_SUBJECT} merged shadows_blocked motion_blurred noisy "
        "many_hues".split()
    ),
    "macro": frozenset(f"subject_at_edge {_NO_SUBJECT} little_depth".split()),
    "night": frozenset(
        f"too_dark shadows_blocked highlights_clipped noisy {_CASTS} many_hues {_WEIGHTS}".split()
    ),
    "product": frozenset(["highlights_clipped", "too_bright", "little_depth"]),
    "document": frozenset(
        f"subject_at_edge {_NO_SUBJECT} merged highlights_clipped too_bright many_hues "
        f"little_depth {_WEIGHTS}".split()
    ),
    "abstract": _ABSTRACT,
}
"""The findings that do not count against a photo of the genre. (``both_ends_clipped`` counts as the
two of which it is made.)"""

_NAMES = {
    "horizon_tilted": "the tilt",
    "subject_at_edge": "a subject at the edge",
    "no_clear_subject": "the lack of a single subject",
    "highlights_clipped": "pure white",
    "shadows_blocked": "pure black",
    "too_dark": "the darkness",
    "too_bright": "the brightness",
    "flat_light": "the narrow range of tones",
    "defocused": "the blur",
    "motion_blurred": "the blur of movement",
    "soft": "the softness",
    "focus_missed": "focus beside the subject",
    "noisy": "the noise",
    "cast_warm": "the warm cast",
    "cast_cool": "the cool cast",
    "cast_green": "the green cast",
    "cast_magenta": "the magenta cast",
    "oversaturated": "the strong colour",
    "many_hues": "the number of hues",
    "merged": "a subject that merges with its surroundings",
    "nothing_isolated": "the lack of an isolated subject",
    "little_depth": "the lack of depth",
    **dict.fromkeys(_WEIGHTS.split(), "the weight on one side"),
}

COUNTED = tuple(_NAMES)
"""The findings that count against a photo of no genre, but for those that are made of others."""


def explain(kind: str, genre: str) -> str:
    """Return why a finding does not count: ``the noise is no fault in a night photograph``."""
    word = KINDS[kind].severity.name.lower()
    return f"{_NAMES[kind]} is no {word} in {GENRES[genre]}"
