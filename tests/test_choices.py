"""What was meant, and what a genre allows, is no fault of a photo."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS, Answer, Dimension
from mondrian.findings import KINDS, Finding, Severity, find
from mondrian.findings.choices import MEANT, list_choices
from mondrian.findings.genres import COUNTED, NOT_COUNTED
from mondrian.measurements import Measurements
from mondrian.purpose import GENRES, NO_PURPOSE, Purpose
from mondrian.reports import Report, build_report
from support.demo_reports import FIGURES
from support.measured import GOOD, change, measured

TONES = GOOD.exposure.percentiles
DARK = change("exposure", percentiles=TONES | {50: 0.1, 99: 0.3})
BOTH_ENDS = change("exposure", lost_highlights_percent=9.0, lost_shadows_percent=20.0)
BLURRED = change("sharpness", mean=0.3, blur="defocus")
FAULTY = {
    "dark": DARK,
    "low-key": change("exposure", lost_shadows_percent=30.0),
    "high-key": change("exposure", lost_highlights_percent=12.0),
    "overexposed": change("exposure", percentiles=TONES | {1: 0.6, 50: 0.8}),
    "backlit": BOTH_ENDS,
    "blurred": BLURRED,
    "motion blur": change("sharpness", mean=0.3, blur="motion"),
    "soft focus": change("sharpness", subject=0.2, sharpest_x=0.9, sharpest_y=0.1),
    "tilted": change("horizon", tilt_degrees=7.0),
    "grainy": replace(GOOD, noise_sigma=20.0),
    "sepia": change("colour", cast="warm", cast_strength=24.0),
    "neon": change("colour", saturation=95.0),
}


def found(measurements: Measurements, dimension: str, **purpose: str) -> Finding:
    return find(measurements, Purpose(**purpose))[DIMENSIONS.index(dimension)]


def report(measurements: Measurements, **purpose: Any) -> Report:
    """The report of an engine that does not see."""
    findings = find(measurements, Purpose(**purpose))
    said = [
        Dimension(name=each.dimension, score=each.score, comment=each.id, recommendation="")
        for each in findings
    ]
    return build_report(
        Answer(image_description="", dimensions=tuple(said)),
        advisor="ansel",
        evidence={each.dimension: each.evidence for each in findings},
        measurements={},
        engine=FIGURES,
        purpose=Purpose(**purpose),
        choices=[choice for each in findings for choice in each.choices],
    )


@pytest.mark.parametrize("intent", FAULTY)
def test_what_was_meant_is_no_fault(intent: str) -> None:
    blamed, meant = report(FAULTY[intent]), report(FAULTY[intent], intent=f"{intent} on purpose")
    assert blamed.needs_repair
    assert not meant.needs_repair
    assert meant.overall_score > blamed.overall_score + 0.5
    [choice] = meant.choices
    assert choice.endswith("on purpose, as you said")
    assert choice in [line for each in meant.dimensions for line in each.evidence]
    fault = blamed.top_three[0].comment
    assert fault not in [each.comment for each in meant.dimensions]
    assert "marred" not in [each.comment for each in meant.dimensions]


def test_dark_is_said_to_be_on_purpose() -> None:
    dark = found(DARK, "Lighting", intent="low key")
    assert (dark.id, dark.score, dark.severity) == ("lighting_chosen", None, Severity.NOT_JUDGED)
    assert dark.placeholders == {"choice": "dark on purpose, as you said"}
    assert found(DARK, "Lighting", intent="not dark").id == "too_dark"
    assert found(DARK, "Lighting", intent="Is it too dark?").id == "too_dark"
    assert found(DARK, "Lighting", intent="tilted").id == "too_dark"


def test_the_next_fault_takes_the_place_of_what_was_meant() -> None:
    assert found(BOTH_ENDS, "Lighting", intent="low key").id == "highlights_clipped"
    assert found(BOTH_ENDS, "Lighting", intent="high key").id == "shadows_blocked"
    noisy = replace(BLURRED, noise_sigma=20.0)
    assert found(noisy, "Focus & Sharpness", intent="blurred").id == "noisy"
    assert found(noisy, "Focus & Sharpness", intent="blurred and grainy").id == "focus_chosen"


def test_what_is_true_beside_a_choice_is_told() -> None:
    tilted = found(FAULTY["tilted"], "Composition", intent="dutch angle")
    assert (tilted.id, tilted.evidence[0]) == ("subject_on_third", "tilted on purpose, as you said")
    assert found(FAULTY["grainy"], "Focus & Sharpness", intent="grainy").id == "crisp_subject"
    assert found(FAULTY["sepia"], "Color Harmony", intent="sepia").id == "complementary"


def test_a_genre_says_why() -> None:
    night = found(FAULTY["grainy"], "Focus & Sharpness", genre="night")
    assert (night.id, night.choices) == (
        "crisp_subject",
        ("the noise is no fault in a night photograph",),
    )
    left = found(change("balance", left_right=-0.5), "Visual Balance", genre="abstract")
    assert left.choices == ("the weight on one side is no weakness in an abstract photograph",)
    assert found(FAULTY["tilted"], "Composition", genre="document").id == "horizon_tilted"


def test_every_finding_that_counts_is_in_the_table() -> None:
    faults = {kind.id for kind in KINDS.values() if kind.severity in (2, 3)}
    assert set(COUNTED) == faults - {"both_ends_clipped", "marred"}
    assert set(NOT_COUNTED) == set(GENRES)
    assert {kind for kinds in NOT_COUNTED.values() for kind in kinds} <= set(COUNTED)
    assert {kind for kinds in MEANT.values() for kind in kinds} <= set(COUNTED)


purposes = st.builds(
    Purpose,
    intent=st.lists(st.sampled_from([*MEANT, "not", "too", ",", "on purpose"])).map(" ".join),
    genre=st.sampled_from(["", *GENRES]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(measured, purposes)
def test_choices_never_lead(measurements: Measurements, purpose: Purpose) -> None:
    plain, findings = find(measurements), find(measurements, purpose)
    choices = list_choices(purpose)
    assert tuple(each.dimension for each in findings) == DIMENSIONS
    for before, after in zip(plain[:-1], findings[:-1], strict=True):
        assert after.id not in choices
        assert before.id in choices or before == after
        assert set(after.placeholders) == KINDS[after.id].placeholders
        assert after.score is None or before.score is None or after.score >= before.score


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(measured)
def test_nothing_changes_without_a_purpose(measurements: Measurements) -> None:
    assert find(measurements, NO_PURPOSE) == find(measurements)
    assert find(measurements, Purpose(intent="for a concert")) == find(measurements)
    assert not any(each.choices for each in find(measurements))
