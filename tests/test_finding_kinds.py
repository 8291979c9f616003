"""Each kind of finding is found where it should be, and a fault comes first."""

import re
from dataclasses import replace

import pytest

from mondrian.findings import Severity, curves, describe, find
from mondrian.findings.words import SCALES, choose_word
from mondrian.measurements import Depth, DominantColour, Measurements, Separation
from support.measured import GOOD, NO_SUBJECT, change, finding, score_of

TONES = GOOD.exposure.percentiles
HAZY = {1: 0.35, 5: 0.4, 25: 0.45, 50: 0.5, 75: 0.55, 95: 0.6, 99: 0.65}
FLAT = change("contrast", rms=0.06, spread=0.2)
SEPARATION = Separation(luma_difference=0.0, colour_difference=0.0, sharpness_ratio=1.0, score=0.0)
LAYERS = Depth(sharpness_falloff=0.3, tonal_layers=0.7, haze=0.0, convergence=0.0)
FLAT_SPACE = replace(
    NO_SUBJECT, depth=Depth(sharpness_falloff=0.1, tonal_layers=0.01, haze=0.0, convergence=0.0)
)


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        (GOOD, "subject_on_third"),
        (change("horizon", tilt_degrees=3.5), "horizon_tilted"),
        (change("horizon", tilt_degrees=3.5, confidence=0.2), "subject_on_third"),
        (change("subject", third_distance=0.15, centre_distance=0.02), "subject_centred"),
        (change("subject", third_distance=0.14, centre_distance=0.12), "subject_off_grid"),
        (change("subject", left=0.0, x=0.1), "subject_at_edge"),
        (change("subject", left=0.0, x=0.4), "subject_on_third"),
        (replace(NO_SUBJECT, saliency=0.1), "no_clear_subject"),
        (replace(NO_SUBJECT, saliency=0.9), "placement_not_judged"),
        (replace(NO_SUBJECT, saliency=None), "placement_not_judged"),
        (GOOD, "full_range"),
        (change("exposure", lost_highlights_percent=12.0), "highlights_clipped"),
        (change("exposure", lost_shadows_percent=30.0), "shadows_blocked"),
        (
            change("exposure", lost_highlights_percent=9.0, lost_shadows_percent=9.0),
            "both_ends_clipped",
        ),
        (change("exposure", percentiles=TONES | {50: 0.1, 99: 0.3}), "too_dark"),
        (
            change("exposure", lost_shadows_percent=6.0, percentiles=TONES | {50: 0.1, 99: 0.1}),
            "too_dark",
        ),
        (change("exposure", blocked_shadows_percent=20.0), "lighting_not_judged"),
        (change("exposure", clipped_highlights_percent=60.0), "lighting_not_judged"),
        (change("exposure", percentiles=TONES | {1: 0.6, 50: 0.8}), "too_bright"),
        (replace(FLAT, exposure=change("exposure", percentiles=HAZY).exposure), "flat_light"),
        (FLAT, "moderate_range"),
        (change("contrast", spread=0.5), "moderate_range"),
        (GOOD, "crisp_subject"),
        (change("sharpness", mean=0.3, blur="defocus"), "defocused"),
        (change("sharpness", mean=0.3, blur="motion"), "motion_blurred"),
        (change("sharpness", mean=0.3, blur="unknown"), "soft"),
        (change("sharpness", mean=0.3, subject=0.5), "acceptably_sharp"),
        (change("sharpness", structure=0.01), "sharpness_not_judged"),
        (change("sharpness", subject=0.2, sharpest_x=0.9, sharpest_y=0.1), "focus_missed"),
        (replace(GOOD, noise_sigma=20.0), "noisy"),
        (change("sharpness", subject=None, mean=0.9), "crisp_throughout"),
        (change("sharpness", subject=0.5), "acceptably_sharp"),
        (GOOD, "complementary"),
        (change("colour", cast="warm", cast_strength=14.0), "cast_warm"),
        (change("colour", cast="cool", cast_strength=14.0), "cast_cool"),
        (change("colour", cast="green", cast_strength=14.0), "cast_green"),
        (change("colour", cast="magenta", cast_strength=14.0), "cast_magenta"),
        (change("colour", saturation=95.0), "oversaturated"),
        (change("colour", harmony="monochrome"), "monochrome"),
        (change("colour", harmony="analogous"), "analogous"),
        (change("colour", saturation=8.0), "muted"),
        (change("colour", dominant=GOOD.colour.dominant[2:]), "muted"),
        (change("colour", harmony="triadic"), "many_hues"),
        (GOOD, "well_separated"),
        (change("separation", score=0.45), "partly_separated"),
        (change("separation", score=0.1), "merged"),
        (replace(NO_SUBJECT, saliency=0.1), "nothing_isolated"),
        (replace(NO_SUBJECT, saliency=0.9), "isolation_not_judged"),
        (GOOD, "shallow_focus"),
        (FLAT_SPACE, "little_depth"),
        (replace(NO_SUBJECT, depth=replace(LAYERS, tonal_layers=0.3)), "depth_not_judged"),
        (
            replace(
                change("sharpness", around=0.2),
                depth=FLAT_SPACE.depth,
                separation=replace(SEPARATION, sharpness_ratio=1.1),
            ),
            "depth_not_judged",
        ),
        (replace(NO_SUBJECT, depth=LAYERS), "layered"),
        (change("depth", haze=0.7), "layered"),
        (change("depth", convergence=0.8), "converging_lines"),
        (GOOD, "balanced"),
        (change("balance", left_right=-0.2), "gently_weighted"),
        (change("balance", left_right=-0.5), "heavy_left"),
        (change("balance", left_right=0.5), "heavy_right"),
        (change("balance", top_bottom=-0.5), "heavy_top"),
        (change("balance", top_bottom=0.5), "heavy_bottom"),
        (GOOD, "restrained"),
        (
            replace(
                GOOD,
                exposure=replace(GOOD.exposure, mean=0.8),
                contrast=replace(GOOD.contrast, rms=0.1, spread=0.5),
            ),
            "bright_and_open",
        ),
        (change("exposure", percentiles=TONES | {50: 0.1}), "dark_and_brooding"),
        (change("colour", colourfulness=70.0), "vivid"),
        (change("contrast", rms=0.33), "dramatic"),
        (
            replace(
                GOOD,
                contrast=replace(GOOD.contrast, rms=0.1, spread=0.4),
                colour=replace(GOOD.colour, colourfulness=10),
            ),
            "quiet",
        ),
        (change("horizon", tilt_degrees=-7.0), "marred"),
    ],
)
def test_each_finding_is_found(measurements: Measurements, expected: str) -> None:
    assert expected in [finding.id for finding in find(measurements)]


def test_the_placeholders_are_measured() -> None:
    tilted = finding(change("horizon", tilt_degrees=-3.46), "Composition")
    assert tilted.placeholders == {"tilt": "3.5", "side": "left"}
    assert tilted.evidence == ("the level line leans 3.5° down to the left",)
    clipped = finding(change("exposure", lost_highlights_percent=12.4), "Lighting")
    assert clipped.placeholders == {"percent": "12"}
    assert finding(GOOD, "Color Harmony").placeholders == {
        "first": "brown",
        "second": "steel blue",
    }
    assert finding(GOOD, "Subject Isolation").placeholders == {"by": "focus"}
    level = change("separation", sharpness_ratio=1.0)
    assert finding(level, "Subject Isolation").placeholders == {"by": "tone"}


def test_the_worst_fault_that_has_a_name_mars_the_mood() -> None:
    tilted = replace(change("horizon", tilt_degrees=8.0), noise_sigma=40.0)
    assert finding(tilted, "Emotional Impact").placeholders == {"fault": "the tilt"}
    noisy = finding(replace(GOOD, noise_sigma=40.0), "Emotional Impact")
    assert (noisy.id, noisy.score) == ("restrained", 6.0)


FAULTS = [
    change("horizon", tilt_degrees=3.0),
    change("exposure", lost_highlights_percent=9.0),
    change("exposure", lost_shadows_percent=20.0),
    change("exposure", percentiles=TONES | {50: 0.1, 99: 0.3}),
    change("sharpness", mean=0.3, blur="defocus"),
    change("sharpness", subject=0.2, sharpest_x=0.9, sharpest_y=0.1),
    replace(GOOD, noise_sigma=14.0),
    change("colour", cast="green", cast_strength=24.0),
]


@pytest.mark.parametrize("faulty", FAULTS)
def test_a_fault_is_the_lowest_even_among_weaknesses(faulty: Measurements) -> None:
    weak = replace(
        faulty,
        balance=replace(GOOD.balance, left_right=1.0),
        depth=Depth(sharpness_falloff=0, tonal_layers=0, haze=0, convergence=0),
        separation=SEPARATION,
    )
    worst, second = sorted(find(weak), key=score_of)[:2]
    assert worst.severity is Severity.FAULT
    assert score_of(worst) < 5 <= score_of(second)
    assert score_of(worst) < score_of(finding(GOOD, worst.dimension))


def test_an_accent_is_told_beside_the_main_colours() -> None:
    accent = DominantColour(hex="#d02020", name="red", share=0.01, x=0.7, y=0.5)
    told = finding(change("colour", accent=accent), "Color Harmony").evidence
    assert "an accent of red in the centre right" in told
    assert not any("accent" in line for line in finding(GOOD, "Color Harmony").evidence)


@pytest.mark.parametrize(
    ("dimension", "line"),
    [
        ("Lighting", "hardly any pure white (0.2 % of the pixels)"),
        ("Lighting", "tones from nearly black (0.08) to nearly white (0.88) of 1"),
        ("Focus & Sharpness", "sharp over the subject (0.80)"),
        ("Focus & Sharpness", "hardly any noise (1.4 levels of 255)"),
        ("Color Harmony", "moderately colourful (38), with a mean chroma of 24"),
        (
            "Subject Isolation",
            "a clear difference in tone between subject and background (0.25 of 1)",
        ),
        ("Subject Isolation", "a clear difference in colour (ΔE 30)"),
        ("Depth & Perspective", "strong falloff of sharpness (0.70 of 1)"),
        ("Emotional Impact", "moderate contrast (0.24, the standard deviation of brightness)"),
    ],
)
def test_figures_are_said_in_words_with_the_number_behind(dimension: str, line: str) -> None:
    assert line in finding(GOOD, dimension).evidence


@pytest.mark.parametrize("scale", SCALES)
def test_the_words_of_a_scale_rise_with_the_figure(scale: str) -> None:
    limits = [float(limit) for limit in re.findall(r"[\d.]+", SCALES[scale])]
    assert limits == sorted(set(limits))
    said = [choose_word(scale, value) for value in (-1, *limits)]
    assert len(set(said)) == len(said)
    assert not re.search(r"\d", " ".join(said))


def test_colours_of_one_name_are_one_colour() -> None:
    browns = tuple(replace(each, name="brown") for each in GOOD.colour.dominant)
    assert (
        finding(change("colour", dominant=browns), "Color Harmony").evidence[0]
        == "mainly brown 73 %"
    )


def _make_colours(*shares: tuple[str, str, float]) -> tuple[DominantColour, ...]:
    return tuple(DominantColour(name=name, hex=code, share=share) for name, code, share in shares)


def test_the_largest_colours_are_named_also_where_they_have_many_tones() -> None:
    reds = ("red", "#a02020", 0.2), ("red", "#c03030", 0.2)
    main = _make_colours(("green", "#20a040", 0.3), *reds, ("lime", "#60e020", 0.05))
    complementary = change("colour", dominant=main, harmony="complementary")
    found = finding(complementary, "Color Harmony")
    assert found.placeholders == {"first": "red", "second": "green"}
    assert found.evidence[0] == "mainly red 40 %, green 30 %"
    assert "mainly red and green" in describe(complementary)[0]


def test_beside_greys_the_largest_colour_is_named() -> None:
    greys = ("grey", "#808080", 0.4), ("black", "#000000", 0.3)
    sunset = change("colour", dominant=_make_colours(*greys, ("orange", "#e08020", 0.15)))
    assert "mainly grey and orange" in describe(sunset)[0]
    small = change("colour", dominant=_make_colours(*greys, ("orange", "#e08020", 0.05)))
    assert "mainly grey and black" in describe(small)[0]


def test_sentences_spell_colour_in_one_way() -> None:
    marred = finding(change("colour", cast="warm", cast_strength=30.0), "Emotional Impact")
    assert marred.evidence == ("Colour Harmony scores 2 because of the colour cast",)


def test_colours_that_burn_out_beside_the_white_are_as_much_of_a_loss() -> None:
    alone, beside = (
        finding(
            change("exposure", lost_highlights_percent=2.0, burnt_colours_percent=percent),
            "Lighting",
        )
        for percent in (0.0, 40.0)
    )
    assert alone.placeholders == beside.placeholders == {"percent": "2"}
    assert score_of(beside) < 2 < 4 < score_of(alone)
    assert "40 % burnt out to a pale colour without detail" in beside.evidence
    none = change("exposure", lost_highlights_percent=0.0, burnt_colours_percent=40.0)
    only = finding(none, "Lighting")
    assert only.severity is not Severity.FAULT
    some = change("exposure", lost_highlights_percent=0.2, burnt_colours_percent=20.0)
    assert finding(some, "Lighting").id == "highlights_clipped"


def test_a_step_across_a_threshold_of_place_moves_the_score_little() -> None:
    assert curves.ON_THIRD.points[-1][1] - curves.CENTRED.points[-1][1] <= 0.2 + 1e-9
    assert curves.CENTRED.points[-1] == curves.OFF_GRID.points[0]


@pytest.mark.parametrize(
    ("measurements", "expected"),
    [
        (change("separation", sharpness_ratio=2.6), "the subject is 2.6 times as sharp as the"),
        (change("separation", sharpness_ratio=1.1), "the subject is about as sharp as the"),
        (change("separation", sharpness_ratio=0.5), "the subject is 0.5 times as sharp as the"),
        (change("sharpness", around=0.2), "smooth, or far out of focus"),
    ],
)
def test_sharpness_is_compared_where_there_is_something_to_compare(
    measurements: Measurements, expected: str
) -> None:
    assert expected in finding(measurements, "Subject Isolation").evidence[-1]


def test_the_halves_agree_with_the_lean() -> None:
    leaning = finding(change("balance", left_right=-0.2, top_bottom=0.1), "Visual Balance")
    assert leaning.placeholders == {"direction": "left"}
    assert leaning.evidence == (
        "60 % of the visual weight in the left half, 45 % in the upper half",
        "the weight leans a little to the left (0.20 of 1)",
    )
