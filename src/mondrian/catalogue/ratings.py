"""What a critique says in a catalogue's own terms: stars and keywords."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from mondrian.findings import Severity, find
from mondrian.measurements import Measurements
from mondrian.purpose import Purpose
from mondrian.reports import Report

_LEAST_SHARE = 0.1
_MOST_COLOURS = 3
_TOLD = (Severity.STRENGTH, Severity.WEAKNESS, Severity.FAULT)


def count_stars(score: float, stars: Sequence[float]) -> int:
    """Return the stars, 1 to 5, for a ``score`` from 1 to 10. ``stars`` are the least scores for 2,
    3, 4 and 5 of them."""
    return 1 + sum(score >= least for least in stars)


def list_keywords(report: Report) -> list[str]:
    """Return keywords of what was measured: the main colours, each a tenth of the picture at least,
    and the findings that speak for or against it, without what was meant to be so."""
    measurements = _read_measurements(report.measurements)
    if measurements is None:
        return []
    dominant = measurements.colour.dominant
    colours = [each.name for each in dominant if each.share >= _LEAST_SHARE]
    purpose = Purpose(intent=report.intent, genre=report.genre)
    found = [each.id for each in find(measurements, purpose) if each.severity in _TOLD]
    words = [*colours[:_MOST_COLOURS], *(each.replace("_", " ") for each in found)]
    return list(dict.fromkeys(words))


def _read_measurements(encoded: Any) -> Measurements | None:
    """Return the measurements of a report; ``None`` for those of an earlier version or none."""
    from pydantic import ValidationError

    try:
        measurements: Measurements = _adapter().validate_python(encoded)
    except ValidationError:
        return None
    return measurements


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Measurements)
