"""Brightness: exposure, contrast and noise."""

import math

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.values import Contrast, Exposure
from mondrian.measurements.views import Views

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
DARKEST_LINEAR = 1 / 255 / 12.92
BLOCK = 32
MOST_BLOCKS = 2048


def exposure(views: Views) -> Exposure:
    """Brightness over all pixels.

    A highlight is clipped where luma is at least 254/255, a shadow blocked where it is at most
    1/255 (luma rounded to 8 bits). The dynamic range is the base-2 logarithm of the ratio of the
    99th to the 1st percentile of linear luminance in the glance; black counts as the darkest
    value above it that 8-bit sRGB can hold.
    """
    counts = views.luma_counts
    low, high = np.percentile(views.linear, (1, 99))
    return Exposure(
        mean=float(counts @ np.arange(256) / counts.sum() / 255),
        percentiles={percent: _percentile(counts, percent) for percent in PERCENTILES},
        clipped_highlights_percent=float(100 * counts[254:].sum() / counts.sum()),
        blocked_shadows_percent=float(100 * counts[:2].sum() / counts.sum()),
        dynamic_range_stops=math.log2(max(high, DARKEST_LINEAR) / max(low, DARKEST_LINEAR)),
    )


def contrast(views: Views) -> Contrast:
    """The spread of luma over all pixels. RMS contrast is Peli's (1990), J. Opt. Soc. Am. A 7."""
    counts, levels = views.luma_counts, np.arange(256) / 255
    mean = counts @ levels / counts.sum()
    return Contrast(
        rms=math.sqrt(counts @ (levels - mean) ** 2 / counts.sum()),
        spread=_percentile(counts, 95) - _percentile(counts, 5),
    )


def _percentile(counts: NDArray[np.int64], percent: float) -> float:
    """The least luma that at least ``percent`` of the pixels do not exceed."""
    return float(np.searchsorted(np.cumsum(counts), counts.sum() * percent / 100) / 255)


def noise_sigma(views: Views) -> float:
    """The standard deviation of the noise in 8-bit levels, averaged over R, G and B.

    It is Immerkær's estimate (Fast noise variance estimation, CVIU 64, 1996): the mean absolute
    answer of a mask that ignores planes and straight edges. Texture answers to that mask as noise
    does, so it is taken in blocks of 32 × 32 pixels at full size, and the quarter of them that
    answers least speaks for the photo. Blocks that touch black or white hide their noise and
    count only where there are no others.
    """
    blocks = _blocks(views.pixels)
    answers = np.abs(_immerkaer(blocks)).mean(axis=(1, 2, 3)) * math.sqrt(math.pi / 2) / 6
    clipped = ((blocks <= 1) | (blocks >= 254)).mean(axis=(1, 2, 3)) > 0.02
    kept = np.sort(answers if clipped.all() else answers[~clipped])
    return float(np.median(kept[: max(1, len(kept) // 4)]))


def _blocks(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """At most 2048 blocks of the photo, evenly spread, of shape (n, side, side, 3)."""
    height, width = pixels.shape[:2]
    tall, wide = min(BLOCK, height), min(BLOCK, width)
    corners = [
        (y, x) for y in range(0, height - tall + 1, tall) for x in range(0, width - wide + 1, wide)
    ]
    chosen = corners[:: math.ceil(len(corners) / MOST_BLOCKS)]
    return np.stack([pixels[y : y + tall, x : x + wide] for y, x in chosen]).astype(np.int16)


def _immerkaer(blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    """The mask ((1, -2, 1), (-2, 4, -2), (1, -2, 1)) over each block; thin ones are mirrored."""
    for axis in (1, 2):
        if blocks.shape[axis] < 3:
            padding = [(0, 0)] * 4
            padding[axis] = (1, 1)
            blocks = np.pad(blocks, padding, mode="edge")
    rows = blocks[:, :-2] - 2 * blocks[:, 1:-1] + blocks[:, 2:]
    return np.asarray(rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:], np.int16)
