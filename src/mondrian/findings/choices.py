"""What is no fault of a photo: what its photographer meant, and what its genre allows."""

from collections.abc import Mapping

from mondrian.findings.genres import NOT_COUNTED, explain
from mondrian.findings.intents import read_intent
from mondrian.purpose import Purpose

_CASTS = ("cast_warm", "cast_cool", "cast_green", "cast_magenta")
MEANT: Mapping[str, tuple[str, ...]] = {
    "dark": ("too_dark", "shadows_blocked"),
    "bright": ("too_bright", "highlights_clipped"),
    "backlit": ("shadows_blocked", "highlights_clipped", "too_dark", "too_bright"),
    "blurred": ("defocused", "motion_blurred", "soft", "focus_missed"),
    "tilted": ("horizon_tilted",),
    "grainy": ("noisy",),
    "low in contrast": ("flat_light",),
    "tinted": _CASTS,
    "strong in colour": ("oversaturated",),
}
"""The findings that are choices where the photographer meant the photo to be so."""


def list_choices(purpose: Purpose) -> dict[str, str]:
    """Return the ids of findings that are no fault, each with the words that say why: ``dark on
    purpose, as you said``."""
    choices = {kind: explain(kind, purpose.genre) for kind in NOT_COUNTED.get(purpose.genre, ())}
    for meant in read_intent(purpose.intent):
        choices |= dict.fromkeys(MEANT[meant], f"{meant} on purpose, as you said")
    lost = [choices[kind] for kind in ("highlights_clipped", "shadows_blocked") if kind in choices]
    if lost:  # what is left of both ends is told by itself
        choices["both_ends_clipped"] = lost[0]
    return choices
