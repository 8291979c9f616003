"""The JSON schemas that an engine's answer keeps to."""

from collections.abc import Sequence
from typing import Any

from mondrian.advisors import Advisor, sentences
from mondrian.answers import DIMENSIONS
from mondrian.findings import Finding, describe
from mondrian.measurements import Measurements


def answer_schema(
    measurements: Measurements, findings: Sequence[Finding], advisor: Advisor
) -> dict[str, Any]:
    """The JSON schema for an engine that does not see: names and scores stand, and every sentence
    is one of several that the measurements made true."""
    dimensions = []
    for finding in findings:
        said = sentences(finding, advisor)
        dimensions.append(
            _object(
                name={"const": finding.dimension},
                score={"const": finding.score},
                comment={"enum": list(said.comments)},
                recommendation={"enum": list(said.recommendations)},
            )
        )
    return _object(
        image_description={"enum": list(describe(measurements))},
        dimensions=_tuple(dimensions),
    )


def free_schema() -> dict[str, Any]:
    """The JSON schema for an engine that sees: names stand, all else is its own.

    The lengths are in characters; together they keep an answer under 2048 tokens of English.
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
