import math

import pytest
from pydantic import ValidationError

from mondrian.answers import Answer, Dimension
from mondrian.errors import AnswerError
from mondrian.reports import (
    Report,
    build_report,
    compute_overall_score,
    find_grade,
    render_markdown,
)
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
    assert find_grade(score) == word


def test_the_lowest_score_spoils_the_mean() -> None:
    # the others, at most 7, have a mean of 6.57; with an eighth of 4 it is 6.25; 4 lacks 2 to 6
    assert compute_overall_score(DEMO) == pytest.approx(5.05, abs=0.06)
    assert demo_report().grade == "D"
    good = [d for d in DEMO if d.score and d.score >= 6]
    assert compute_overall_score(good) == 7.1  # the mean alone
    falling = [
        compute_overall_score([DEMO[0].model_copy(update={"score": score}), *good])
        for score in (7.0, 5.0, 4.0, 2.0)
    ]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] - falling[-1] >= 2


def test_beside_a_severe_fault_strengths_count_for_less() -> None:
    spoilt = [d.model_copy(update={"score": 1.5}) for d in DEMO[:1]]
    plain, fine = (
        [d.model_copy(update={"score": score}) for d in DEMO[1:]] for score in (6.0, 9.5)
    )
    assert compute_overall_score([*spoilt, *plain]) == compute_overall_score([*spoilt, *fine]) < 3
    assert compute_overall_score(plain) < compute_overall_score(fine)


def test_a_severe_fault_scores_the_same_however_many_are_judged() -> None:
    severe = DEMO[0].model_copy(update={"score": 2.0})
    all_judged = [severe, *(d.model_copy(update={"score": 7.0}) for d in DEMO[1:])]
    for count in range(2, len(all_judged)):
        assert compute_overall_score(all_judged[:count]) == compute_overall_score(all_judged)


def test_an_advisor_weighs_the_scores() -> None:
    for dimension, is_better in ((DEMO[1], False), (DEMO[6], False), (DEMO[2], True)):
        scores = [compute_overall_score(DEMO, {dimension.name: w}) for w in (0.25, 1.0, 4.0)]
        assert scores == sorted(scores, reverse=not is_better)
        assert scores[0] != scores[-1]
    report = demo_report().model_copy(update={"weights": {"Composition": 4.0}})
    assert [d.name for d in report.top_three] == ["Lighting", "Visual Balance", "Composition"]


def test_no_weight_puts_a_lighter_need_before_a_heavier_one() -> None:
    scores = (7.4, 4.6, 2.5, 5.7, 9.0)
    dimensions = tuple(
        d.model_copy(update={"score": score}) for d, score in zip(DEMO, scores, strict=False)
    )
    weights = {DEMO[0].name: 1.6, DEMO[1].name: 1.6, DEMO[2].name: 0.6, DEMO[3].name: 0.6}
    report = _build(Answer(image_description="", dimensions=dimensions), weights=weights)
    assert [d.score for d in report.top_three] == [2.5, 4.6, 5.7]
    assert report.priority_improvements == tuple(d.recommendation for d in report.top_three)


def test_a_report_says_whose_order_it_is() -> None:
    alike = demo_report().model_copy(update={"dimensions": DEMO[3:6]})
    assert "In the order of" not in render_markdown(alike)
    weighed = alike.model_copy(update={"weights": {DEMO[3].name: 4.0}})
    assert [d.score for d in weighed.top_three] == [7.0, 6.0, 7.5]
    assert "In the order of what counts for Ansel Adams" in render_markdown(weighed)


def test_what_is_not_judged_counts_for_nothing() -> None:
    silent = DEMO[0].model_copy(update={"score": None})
    judged = [d for d in DEMO if d is not DEMO[0]]
    assert compute_overall_score([silent, *judged]) == compute_overall_score(judged)
    report = demo_report().model_copy(update={"dimensions": (silent, *judged)})
    assert silent not in report.top_three
    assert report.missing == ("Composition",)
    assert "not judged" in str(report)
    with pytest.raises(AnswerError):
        compute_overall_score([silent])


def test_a_good_photo_needs_no_repair() -> None:
    assert demo_report().needs_repair
    fine = tuple(d for d in DEMO if d.score and d.score >= 5)
    report = demo_report().model_copy(update={"dimensions": fine})
    assert not report.needs_repair
    assert len(report.top_three) == 3
    assert "Nothing needs repair" in render_markdown(report)
    assert "Nothing needs repair" not in render_markdown(demo_report())


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
