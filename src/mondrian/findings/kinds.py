"""Every kind of finding there is, and the value that one finding is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """The severity of a finding. Each has its band of scores; what is not judged
    has no score."""

    STRENGTH = 0
    ORDINARY = 1
    WEAKNESS = 2
    FAULT = 3
    NOT_JUDGED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of finding. A phrasing of it may hold ``placeholders`` in braces, and no others."""

    id: str
    dimension: str
    severity: Severity
    placeholders: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The finding in one dimension of one photo.

    ``score`` is from 1 to 10 in steps of 0.1, ``None`` where the dimension is not judged.
    ``placeholders`` holds a value for each placeholder
    of the kind. ``evidence`` are short statements with figures and units. ``choices`` say which
    faults of the dimension were meant, or are none in the photo's genre.
    """

    id: str
    dimension: str
    score: float | None
    severity: Severity
    placeholders: Mapping[str, str]
    evidence: tuple[str, ...]
    choices: tuple[str, ...] = ()


_STRENGTH, _ORDINARY, _WEAKNESS, _FAULT, _NOT_JUDGED = Severity

_DIMENSIONS: Mapping[str, Mapping[str, tuple[Severity, str]]] = {
    "Composition": {
        "horizon_tilted": (_FAULT, "tilt side"),
        "subject_on_third": (_STRENGTH, "third"),
        "subject_centred": (_ORDINARY, ""),
        "subject_off_grid": (_ORDINARY, ""),
        "subject_at_edge": (_WEAKNESS, "edge"),
        "no_clear_subject": (_WEAKNESS, ""),
        "placement_not_judged": (_NOT_JUDGED, "where"),
        "composition_chosen": (_NOT_JUDGED, "choice"),
    },
    "Lighting": {
        "highlights_clipped": (_FAULT, "percent"),
        "shadows_blocked": (_FAULT, "percent"),
        "both_ends_clipped": (_FAULT, "highlights shadows"),
        "too_dark": (_FAULT, ""),
        "too_bright": (_FAULT, ""),
        "flat_light": (_FAULT, ""),
        "full_range": (_STRENGTH, ""),
        "moderate_range": (_ORDINARY, ""),
        "lighting_not_judged": (_NOT_JUDGED, ""),
        "lighting_chosen": (_NOT_JUDGED, "choice"),
    },
    "Focus & Sharpness": {
        "defocused": (_FAULT, ""),
        "motion_blurred": (_FAULT, ""),
        "soft": (_FAULT, ""),
        "focus_missed": (_FAULT, "where"),
        "noisy": (_FAULT, ""),
        "crisp_subject": (_STRENGTH, ""),
        "crisp_throughout": (_STRENGTH, ""),
        "acceptably_sharp": (_ORDINARY, ""),
        "sharpness_not_judged": (_NOT_JUDGED, ""),
        "focus_chosen": (_NOT_JUDGED, "choice"),
    },
    "Color Harmony": {
        "cast_warm": (_FAULT, ""),
        "cast_cool": (_FAULT, ""),
        "cast_green": (_FAULT, ""),
        "cast_magenta": (_FAULT, ""),
        "oversaturated": (_FAULT, ""),
        "monochrome": (_ORDINARY, ""),
        "analogous": (_STRENGTH, "first"),
        "complementary": (_STRENGTH, "first second"),
        "muted": (_ORDINARY, ""),
        "many_hues": (_WEAKNESS, ""),
        "colour_chosen": (_NOT_JUDGED, "choice"),
    },
    "Subject Isolation": {
        "well_separated": (_STRENGTH, "by"),
        "partly_separated": (_ORDINARY, "by"),
        "merged": (_WEAKNESS, ""),
        "nothing_isolated": (_WEAKNESS, ""),
        "isolation_not_judged": (_NOT_JUDGED, ""),
        "isolation_chosen": (_NOT_JUDGED, "choice"),
    },
    "Depth & Perspective": {
        "layered": (_STRENGTH, ""),
        "shallow_focus": (_STRENGTH, ""),
        "converging_lines": (_STRENGTH, ""),
        "little_depth": (_WEAKNESS, ""),
        "depth_not_judged": (_NOT_JUDGED, ""),
        "depth_chosen": (_NOT_JUDGED, "choice"),
    },
    "Visual Balance": {
        "balanced": (_STRENGTH, ""),
        "gently_weighted": (_ORDINARY, "direction"),
        "heavy_left": (_WEAKNESS, ""),
        "heavy_right": (_WEAKNESS, ""),
        "heavy_top": (_WEAKNESS, ""),
        "heavy_bottom": (_WEAKNESS, ""),
        "balance_chosen": (_NOT_JUDGED, "choice"),
    },
    "Emotional Impact": {
        "bright_and_open": (_STRENGTH, ""),
        "dark_and_brooding": (_STRENGTH, ""),
        "vivid": (_STRENGTH, ""),
        "dramatic": (_STRENGTH, ""),
        "quiet": (_STRENGTH, ""),
        "restrained": (_ORDINARY, ""),
        "marred": (_WEAKNESS, "fault"),
    },
}

KINDS: Mapping[str, Kind] = {
    word: Kind(
        id=word,
        dimension=dimension,
        severity=severity,
        placeholders=frozenset(placeholders.split()),
    )
    for dimension, kinds in _DIMENSIONS.items()
    for word, (severity, placeholders) in kinds.items()
}


def make_finding(
    kind: str, score: float | None, evidence: Sequence[str], **placeholders: str
) -> Finding:
    """Return a finding of ``kind`` with its ``score`` rounded to a tenth."""
    known = KINDS[kind]
    return Finding(
        id=known.id,
        dimension=known.dimension,
        score=None if score is None else round(score, 1),
        severity=known.severity,
        placeholders=placeholders,
        evidence=tuple(evidence),
    )
