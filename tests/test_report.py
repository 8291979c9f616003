import math

import pytest
from pydantic import ValidationError

from mondrian.answers import Answer, Dimension
from mondrian.reports import Report, build_report, grade, overall_score
from support.demo_reports import DEMO, FIGURES, demo_report


@pytest.mark.parametrize(
    ("score", "word"),
    [
        (10, "A+"),
        (9.5, "A+"),
        (9.4, "A"),
        (9.0, "A"),
        (8.9, "A-"),
        (8.5, "A-"),
        (8.0, "B+"),
        (7.5, "B"),
        (7.0, "B-"),
        (6.5, "C+"),
        (6.0, "C"),
        (5.5, "C-"),
        (5.0, "D"),
        (4.9, "F"),
        (1, "F"),
    ],
)
def test_grade(score: float, word: str) -> None:
    assert grade(score) == word


def test_overall_score_is_the_mean_to_one_decimal() -> None:
    assert overall_score(DEMO) == 6.5
    assert overall_score(DEMO[:2]) == 5.2  # the mean is 5.25
    assert demo_report().grade == "C+"


def test_top_three_are_the_lowest_with_ties_in_order() -> None:
    assert [d.name for d in demo_report().top_three] == [
        "Lighting",
        "Visual Balance",
        "Depth & Perspective",
    ]
    alike = [d.model_copy(update={"score": 5.0}) for d in DEMO]
    report = demo_report().model_copy(update={"dimensions": tuple(alike)})
    assert report.top_three == tuple(alike[:3])


def test_a_report_survives_json() -> None:
    report = demo_report("“ok” <b>&\u2028\\")
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert "\n" not in report.model_dump_json()
    with pytest.raises(ValidationError):
        Report.model_validate_json("{}")


def test_scores_outside_the_scale_are_no_dimension() -> None:
    with pytest.raises(ValidationError):
        Dimension(name="Lighting", score=10.5, comment="x", recommendation="y")


def _build(answer: Answer, **more: object) -> Report:
    given = {"advisor": "ansel", "evidence": {}, "measurements": {}, "engine": FIGURES}
    return build_report(answer, **{**given, **more})  # type: ignore[arg-type]


def test_strengths_and_improvements_are_derived_where_the_model_named_none() -> None:
    report = demo_report()
    assert report.key_strengths == (DEMO[2].comment, DEMO[4].comment, DEMO[3].comment)
    assert report.priority_improvements == tuple(d.recommendation for d in report.top_three)
    low = _build(Answer(image_description="", dimensions=DEMO[:2]))
    assert low.key_strengths == ()


def test_what_the_model_named_stands() -> None:
    answer = Answer(
        image_description="",
        dimensions=DEMO,
        key_strengths=("calm",),
        priority_improvements=("wait",),
        technical_notes=("a wide lens, perhaps",),
    )
    report = _build(answer, technical_notes=("35 mm",))
    assert report.key_strengths == ("calm",)
    assert report.priority_improvements == ("wait",)
    assert report.technical_notes == ("35 mm", "a wide lens, perhaps")


def test_evidence_is_what_was_measured_never_what_the_model_claims() -> None:
    claims = DEMO[0].model_copy(update={"evidence": ("I measured it",)})
    answer = Answer(image_description="", dimensions=(claims, DEMO[1]))
    report = _build(answer, evidence={"Lighting": ["0 % clipped"], "Unknown": ["x"]})
    assert [d.evidence for d in report.dimensions] == [(), ("0 % clipped",)]
    assert report.missing == tuple(d.name for d in DEMO[2:])


def test_measurements_become_json() -> None:
    report = _build(
        Answer(image_description="", dimensions=DEMO),
        measurements={"tilt": math.nan, "percentiles": {5: 0.1}, "pair": (1, 2)},
    )
    assert report.measurements == {"tilt": None, "percentiles": {"5": 0.1}, "pair": [1, 2]}
    assert Report.model_validate_json(report.model_dump_json()) == report
