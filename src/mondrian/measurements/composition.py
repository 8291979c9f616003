"""How the frame hangs together: balance, subject against background, and cues of depth."""

import math

import numpy as np
from PIL import Image

from mondrian.measurements.horizon import Lines, measure_convergence
from mondrian.measurements.sharpness import Floats, Tiles, compute_share
from mondrian.measurements.values import (
    FULL_COLOUR,
    FULL_FOCUS,
    FULL_TONE,
    Balance,
    Depth,
    Separation,
)
from mondrian.measurements.views import Mask, Plane, Views, compute_slopes

BANDS = 8
QUANTILES = np.linspace(0, 1, 101)


def measure_balance(views: Views) -> Balance:
    """Return where the visual weight lies.

    Weight has what Arnheim (Art and Visual Perception, 1954) says draws the eye, in equal parts:
    tones far from the mean luma, chroma, and detail (the gradient's length), each over its mean in
    the frame. The frame leans by the difference of the weights of its halves over their sum.
    """
    parts = (
        (np.abs(views.glance - views.glance.mean()), 0.05),
        (np.hypot(views.lab[..., 1], views.lab[..., 2]), 5.0),
        (np.hypot(*compute_slopes(views.glance)), 0.01),
    )
    # the second figure keeps what is hardly there from counting in full
    weight = np.zeros(views.glance.shape)
    for part, faint in parts:
        weight += part / (part.mean(dtype=np.float64) + faint)
    x, left_right = _measure_leaning(weight.sum(axis=0))
    y, top_bottom = _measure_leaning(weight.sum(axis=1))
    return Balance(weight_x=x, weight_y=y, left_right=left_right, top_bottom=top_bottom)


def _measure_leaning(profile: Plane) -> tuple[float, float]:
    """Return the centre of a profile, from 0 to 1, and the excess weight of its far half, -1 to
    1."""
    total = float(profile.sum())
    if total <= 1e-9:
        return 0.5, 0.0
    places = (np.arange(len(profile)) + 0.5) / len(profile)
    return float(profile @ places) / total, float(profile @ np.sign(places - 0.5)) / total


def measure_separation(views: Views, tiles: Tiles, mask: Mask | None) -> Separation | None:
    """Return how the subject (``mask``, of any size) differs from all that is not; ``None`` without
    one.

    Tones and colours are compared as distributions, by the earth mover's distance (Rubner, Tomasi &
    Guibas, The earth mover's distance as a metric for image retrieval, IJCV 40, 2000) along luma
    and along each axis of CIELAB: the means of a black and white thing are those of a grey ground.
    Sharpness is compared over tiles with structure; where one side has none the ratio is 1, and it
    is held to 0.1 to 10. With l the luma difference over 0.5, c the colour difference over ΔE 60
    and s the base-2 logarithm of the ratio over 1.5, each held to 0 to 1, the score is
    1 - (1 - l)(1 - c)(1 - s).
    """
    if mask is None:
        return None
    size = views.glance.shape[1], views.glance.shape[0]
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST), bool)
    if inside.all() or not inside.any():
        return None
    luma = _compute_distance(views.glance[inside], views.glance[~inside])
    axes = (views.lab[..., axis] for axis in range(3))
    colour = math.hypot(*(_compute_distance(axis[inside], axis[~inside]) for axis in axes))
    ratio = _compute_sharpness_ratio(tiles, mask)
    parts = luma / FULL_TONE, colour / FULL_COLOUR, math.log2(ratio) / FULL_FOCUS
    rest = math.prod(1 - min(1.0, max(0.0, part)) for part in parts)
    return Separation(
        luma_difference=luma, colour_difference=colour, sharpness_ratio=ratio, score=1 - rest
    )


def _compute_distance(one: Plane, other: Plane) -> float:
    """Return the earth mover's distance of two sets of values: the mean distance of quantiles."""
    quantiles = (np.quantile(values.astype(np.float64), QUANTILES) for values in (one, other))
    return float(np.abs(np.subtract(*quantiles)).mean())


def _compute_sharpness_ratio(tiles: Tiles, mask: Mask) -> float:
    values, share = tiles.sharpness, compute_share(mask, tiles.weight)
    inside, outside = tiles.weight * share, tiles.weight * (1 - share)
    if inside.sum() < 0.2 or outside.sum() < 0.2:
        return 1.0
    near = (values * inside).sum() / inside.sum()
    far = (values * outside).sum() / outside.sum()
    return float(np.clip(near / max(far, 1e-6), 0.1, 10))


def measure_depth(views: Views, tiles: Tiles, lines: Lines) -> Depth:
    """Cues of depth, of those that Gibson (The Perception of the Visual World, 1950) names."""
    return Depth(
        sharpness_falloff=_measure_falloff(tiles),
        tonal_layers=_measure_layers(views.lab[..., 0]),
        haze=_measure_haze(views),
        convergence=measure_convergence(lines),
    )


def _measure_falloff(tiles: Tiles) -> float:
    """Return how far the soft zones fall below the crisp ones: 1 - p15/p90 of sharpness, averaged
    over 3 × 3 tiles with structure, where a quarter is 0 and three quarters are 1. It takes
    something crisp: p90 of 0.5 or less gives 0, of 0.7 or more all of it."""
    from scipy.ndimage import uniform_filter

    around = uniform_filter(tiles.weight, 3, mode="nearest")
    zones = uniform_filter(tiles.sharpness * tiles.weight, 3, mode="nearest")
    kept = around > 0.2
    if kept.sum() < 4:
        return 0.0
    soft, crisp = np.percentile(zones[kept] / around[kept], (15, 90))
    fall = np.clip((1 - soft / max(crisp, 1e-6) - 0.25) / 0.5, 0, 1)
    return float(fall * np.clip((crisp - 0.5) / 0.2, 0, 1))


def _average_bands(plane: Plane) -> Floats:
    """Return the means of bands of equal height, from the top down."""
    rows = plane.mean(axis=1, dtype=np.float64)
    return np.array([band.mean() for band in np.array_split(rows, min(BANDS, len(rows)))])


def _measure_layers(light: Plane) -> float:
    """Return the share of the variance of L* that lies between bands (η², Fisher 1925), where their
    range is 35 or more; in proportion below."""
    bands = _average_bands(light)
    variance = float(light.var(dtype=np.float64))
    if variance < 1:
        return 0.0
    return min(1.0, float(bands.var()) / variance) * min(1.0, float(np.ptp(bands)) / 35)


def _measure_haze(views: Views) -> float:
    """Return how local contrast and chroma fall, and L* rises, from the lower half to the upper.

    Air light does all three (Koschmieder 1924). The geometric mean of both falls, each the
    difference of the halves over their sum, by the rise over 20.
    """
    contrast = _average_bands(np.hypot(*compute_slopes(views.glance)))
    chroma = _average_bands(np.hypot(views.lab[..., 1], views.lab[..., 2]))
    light = _average_bands(views.lab[..., 0])
    half = len(light) // 2
    if half == 0 or chroma.mean() < 1 or contrast.mean() < 1e-4:
        return 0.0

    def measure_fall(bands: Floats) -> float:
        upper, lower = float(bands[:half].mean()), float(bands[-half:].mean())
        return max(0.0, (lower - upper) / (lower + upper))

    rise = float(light[:half].mean() - light[-half:].mean()) / 20
    return math.sqrt(measure_fall(contrast) * measure_fall(chroma)) * min(1.0, max(0.0, rise))
