"""What was measured, as it is drawn over the photo."""

from collections.abc import Mapping
from typing import Any

UNIT = 1000
"""Drawings are in thousandths of the photo's width."""

_SURE = 0.3


def make_drawing(measured: Mapping[str, Any], height: int) -> dict[str, Any]:
    """Return what of a report's measurements can be drawn over a photo of that ``height``, in
    thousandths of its width: ``subject`` (its box and centre, or ``None``), ``tilt`` of the level
    line in degrees (or ``None``), and ``palette``."""
    return {
        "height": height,
        "subject": _scale_box(measured.get("subject"), height),
        "tilt": (measured.get("horizon") or {}).get("tilt_degrees"),
        "palette": _scale_palette(measured.get("colour"), height),
    }


def find_height(width: int, height: int) -> int:
    """Return the height of a photo of that size in pixels, in thousandths of its width."""
    return round(UNIT * height / width) if width else 667


def _scale_box(subject: Mapping[str, Any] | None, height: int) -> Mapping[str, float] | None:
    """Return the subject's box and centre; ``None`` without a clear subject."""
    if not subject or (subject.get("confidence") or 0) < _SURE:
        return None
    try:
        left, right = UNIT * subject["left"], UNIT * subject["right"]
        top, bottom = height * subject["top"], height * subject["bottom"]
        x, y = UNIT * subject["x"], height * subject["y"]
    except (KeyError, TypeError):
        return None
    return {"x": left, "y": top, "w": right - left, "h": bottom - top, "cx": x, "cy": y}


def _scale_palette(colour: Mapping[str, Any] | None, height: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for each in (colour or {}).get("dominant") or ():
        place = each.get("x"), each.get("y")
        has_place = None not in place
        found.append(
            {
                "hex": each["hex"],
                "name": each["name"],
                "share": each["share"],
                "cx": UNIT * place[0] if has_place else None,
                "cy": height * place[1] if has_place else None,
            }
        )
    return found
