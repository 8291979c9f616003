"""JSON schemas of an engine's answer."""

from collections.abc import Sequence
from typing import Any

from mondrian.advisors import Advisor, sentences
from mondrian.answers import DIMENSIONS
from mondrian.findings import Finding, describe
from mondrian.measurements import Measurements


def answer_schema(
    measurements: Measurements, findings: Sequence[Finding], advisor: Advisor
) -> dict[str, Any]:
    """Return the JSON schema for an engine without vision: names and scores are fixed, and each
    sentence is one of several that the measurements support."""
    dimensions = []
    for finding in findings:
        allowed = sentences(finding, advisor)
        dimensions.append(
            _object(
                name={"const": finding.dimension},
                score={"const": finding.score},
                comment={"enum": list(allowed.comments)},
                recommendation={"enum": list(allowed.recommendations)},
            )
        )
    return _object(
        image_description={"enum": list(describe(measurements))},
        dimensions=_tuple(dimensions),
    )


def free_schema() -> dict[str, Any]:
    """Return the JSON schema for a vision model: names are fixed, everything else is free.

    The lengths are in characters; together they keep an answer below 2048 tokens of English.
    """
    dimensions = [
        _object(
            name={"const": name},
            score={"type": "integer", "minimum": 1, "maximum": 10},
            comment=_text(320),
            recommendation=_text(240),
        )
        for name in DIMENSIONS
    ]
    return _object(
        image_description=_text(400),
        dimensions=_tuple(dimensions),
        key_strengths=_list(2, 4),
        priority_improvements=_list(2, 4),
        technical_notes=_list(1, 4),
    )


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _tuple(items: list[dict[str, Any]]) -> dict[str, Any]:
    count = len(items)
    return {
        "type": "array",
        "prefixItems": items,
        "items": False,
        "minItems": count,
        "maxItems": count,
    }


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _list(fewest: int, most: int) -> dict[str, Any]:
    return {"type": "array", "items": _text(120), "minItems": fewest, "maxItems": most}
