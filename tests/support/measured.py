"""Measurements to find from: a good photo's, changed ones, and any at all."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS
from mondrian.findings import Finding, find
from mondrian.measurements import (
    Balance,
    Colour,
    Contrast,
    Depth,
    DominantColour,
    Exposure,
    Horizon,
    Margins,
    Measurements,
    Separation,
    Sharpness,
    Subject,
)
from mondrian.photos import Exif

GOOD = Measurements(
    width=4032,
    height=3024,
    margins=Margins(left=0, top=0, right=0, bottom=0),
    exposure=Exposure(
        mean=0.46,
        percentiles={1: 0.03, 5: 0.08, 25: 0.26, 50: 0.45, 75: 0.64, 95: 0.88, 99: 0.94},
        clipped_highlights_percent=0.2,
        blocked_shadows_percent=0.4,
        lost_highlights_percent=0.2,
        lost_shadows_percent=0.4,
        burnt_colours_percent=0.0,
        dynamic_range_stops=8.1,
    ),
    contrast=Contrast(rms=0.24, spread=0.8, strongest_x=0.4, strongest_y=0.6),
    colour=Colour(
        dominant=(
            DominantColour(hex="#7a4a21", name="brown", share=0.41),
            DominantColour(hex="#3f5f8a", name="steel blue", share=0.22),
            DominantColour(hex="#777777", name="grey", share=0.1),
        ),
        harmony="complementary",
        cast="none",
        cast_a=0.4,
        cast_b=1.2,
        cast_strength=1.3,
        colourfulness=38.0,
        saturation=24.0,
    ),
    sharpness=Sharpness(
        map=((0.4, 0.5), (0.8, 0.4)),
        peak=0.85,
        mean=0.55,
        structure=0.9,
        sharpest_x=0.35,
        sharpest_y=0.65,
        subject=0.8,
        around=0.9,
        blur="none",
        motion_angle_degrees=None,
    ),
    noise_sigma=1.4,
    horizon=Horizon(tilt_degrees=0.2, confidence=0.9),
    subject=Subject(
        x=0.35,
        y=0.65,
        left=0.2,
        top=0.5,
        right=0.5,
        bottom=0.8,
        area=0.09,
        third_distance=0.03,
        centre_distance=0.17,
        nearest_third="lower left",
        confidence=0.99,
    ),
    saliency=0.99,
    balance=Balance(weight_x=0.49, weight_y=0.52, left_right=-0.04, top_bottom=0.05),
    separation=Separation(
        luma_difference=0.25, colour_difference=30.0, sharpness_ratio=1.8, score=0.75
    ),
    depth=Depth(sharpness_falloff=0.7, tonal_layers=0.3, haze=0.1, convergence=0.1),
    exif=Exif(
        camera="Camera One", focal_length_mm=50, aperture=1.8, exposure_seconds=1 / 250, iso=100
    ),
)


def change(path: str, **changes: Any) -> Measurements:
    """``GOOD`` with other values in one of its parts."""
    return replace(GOOD, **{path: replace(getattr(GOOD, path), **changes)})


NO_SUBJECT = replace(
    GOOD, subject=None, separation=None, sharpness=replace(GOOD.sharpness, subject=None)
)


def finding(measurements: Measurements, dimension: str) -> Finding:
    """What is found in one dimension."""
    return find(measurements)[DIMENSIONS.index(dimension)]


def score_of(finding: Finding) -> float:
    """Its score; what is not judged comes last."""
    return 10.0 if finding.score is None else finding.score


unit = st.floats(0, 1)
signed = st.floats(-1, 1)
levels = st.lists(unit, min_size=7, max_size=7).map(sorted)
colours = st.builds(
    DominantColour,
    hex=st.from_regex(r"#[0-9a-f]{6}", fullmatch=True),
    name=st.sampled_from(["brown", "steel blue", "warm grey", "black", "pale pink"]),
    share=unit,
)
measured = st.builds(
    Measurements,
    width=st.integers(1, 50_000),
    height=st.integers(1, 50_000),
    margins=st.just(Margins(left=0, top=0, right=0, bottom=0)),
    exposure=st.builds(
        Exposure,
        mean=unit,
        percentiles=levels.map(
            lambda found: dict(zip((1, 5, 25, 50, 75, 95, 99), found, strict=True))
        ),
        clipped_highlights_percent=st.floats(0, 100),
        blocked_shadows_percent=st.floats(0, 100),
        lost_highlights_percent=st.floats(0, 100),
        lost_shadows_percent=st.floats(0, 100),
        burnt_colours_percent=st.floats(0, 100),
        dynamic_range_stops=st.floats(0, 16),
    ),
    contrast=st.builds(
        Contrast, rms=st.floats(0, 0.5), spread=unit, strongest_x=unit, strongest_y=unit
    ),
    colour=st.builds(
        Colour,
        dominant=st.lists(colours, max_size=5).map(tuple),
        harmony=st.sampled_from(["monochrome", "analogous", "complementary", "triadic", "mixed"]),
        cast=st.sampled_from(["none", "warm", "cool", "green", "magenta"]),
        cast_a=st.floats(-60, 60),
        cast_b=st.floats(-60, 60),
        cast_strength=st.floats(0, 80),
        colourfulness=st.floats(0, 150),
        saturation=st.floats(0, 130),
    ),
    sharpness=st.builds(
        Sharpness,
        map=st.just(((0.5,),)),
        peak=unit,
        mean=unit,
        structure=unit,
        around=unit,
        sharpest_x=unit,
        sharpest_y=unit,
        subject=st.none() | unit,
        blur=st.sampled_from(["none", "defocus", "motion", "unknown"]),
        motion_angle_degrees=st.none() | st.floats(0, 180),
    ),
    noise_sigma=st.floats(0, 128),
    horizon=st.builds(Horizon, tilt_degrees=st.none() | st.floats(-45, 45), confidence=unit),
    saliency=st.none() | unit,
    subject=st.none()
    | st.builds(
        Subject,
        **dict.fromkeys(["x", "y", "left", "top", "right", "bottom", "area"], unit),
        third_distance=unit,
        centre_distance=unit,
        nearest_third=st.sampled_from(["upper left", "lower right"]),
        confidence=unit,
    ),
    balance=st.builds(Balance, weight_x=unit, weight_y=unit, left_right=signed, top_bottom=signed),
    separation=st.none()
    | st.builds(
        Separation,
        luma_difference=unit,
        colour_difference=st.floats(0, 150),
        sharpness_ratio=st.floats(0, 100),
        score=unit,
    ),
    depth=st.builds(Depth, sharpness_falloff=unit, tonal_layers=unit, haze=unit, convergence=unit),
    exif=st.builds(
        Exif,
        camera=st.none() | st.text(),
        focal_length_mm=st.none() | st.floats(0, 2000),
        aperture=st.none() | st.floats(0, 64),
        exposure_seconds=st.none() | st.floats(0, 3600),
        iso=st.none() | st.integers(0, 10**6),
    ),
)
