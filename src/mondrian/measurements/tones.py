"""Brightness: exposure, contrast and noise."""

import math

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.values import Contrast, Exposure
from mondrian.measurements.views import Mask, Plane, Views, smooth

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
GROUND_OF_WHITE, GROUND_OF_BLACK = 0.9, 0.1
"""How much of the perimeter a ground takes at least: paper lies all around, and a blown sky over
half of it; a black studio or a night sky reaches a part of one side at least."""
MOSTLY_GROUND = 0.9
OVEREXPOSED, NEARLY_FULL, BRIGHT_REST = 0.4, 250, 0.6
"""Beside a white ground that is meant, no such share of the rest has a full channel and is bright
in its mean: what is too light is so all over. (JPEG leaves a full channel a little below 255.)"""
BURNT_LEVEL, BURNT_LUMA = 253, 0.9
DARKEST_LINEAR = 1 / 255 / 12.92
BLOCK = 32
MOST_BLOCKS = 2048
SMOOTH_SHARE = 0.1
CORRELATED = 2.5


def measure_exposure(views: Views) -> Exposure:
    """Brightness over all pixels.

    A highlight is clipped where luma is at least 254/255, a shadow blocked where it is at most
    1/255 (luma rounded to 8 bits). The dynamic range is the base-2 logarithm of the ratio of the
    99th to the 1st percentile of linear luminance in the glance; black counts as the darkest
    value above it that 8-bit sRGB can hold. Of the glance, what is burnt out in colour has its two
    higher channels at 253/255 at least and a luma of 0.9: a yellow or a pale blue without detail.
    """
    counts = views.luma_counts
    low, high = np.percentile(views.linear, (1, 99))
    white, black = (float(100 * part.sum() / counts.sum()) for part in (counts[254:], counts[:2]))
    white_ground = 0.0 if _is_overexposed(views) else _find_ground(views.white, GROUND_OF_WHITE)
    black_ground = _find_ground(views.black, GROUND_OF_BLACK)
    return Exposure(
        mean=float(counts @ np.arange(256) / counts.sum() / 255),
        percentiles={percent: _find_percentile(counts, percent) for percent in PERCENTILES},
        clipped_highlights_percent=white,
        blocked_shadows_percent=black,
        lost_highlights_percent=white * (1 - white_ground),
        lost_shadows_percent=black * (1 - black_ground),
        dynamic_range_stops=math.log2(max(high, DARKEST_LINEAR) / max(low, DARKEST_LINEAR)),
        burnt_colours_percent=float(100 * _find_burnt(views).mean()),
    )


def _find_burnt(views: Views) -> Mask:
    """Return where in the glance two channels hold nothing and it is nearly white, but not all."""
    middle = np.sort(views.rgb, axis=2)[..., 1]
    is_pale = (views.glance >= BURNT_LUMA) & (views.white <= 0.5)
    return np.asarray((middle >= BURNT_LEVEL) & is_pale, bool)


def _is_overexposed(views: Views) -> bool:
    """Return whether what is not white is bright, with a channel that holds nothing in much of it.
    A yellow thing on paper is bright, a red one has a full channel; light that is too much gives
    both."""
    rest = views.white <= 0.5
    if not rest.any():
        return False
    full = views.rgb.max(axis=2)[rest] >= NEARLY_FULL
    return bool(full.mean() >= OVEREXPOSED and views.glance[rest].mean() >= BRIGHT_REST)


def _find_ground(clipped: Plane, least_perimeter: float) -> float:
    """Return how much of what is ``clipped`` (its share in each part of a plane) is a ground: the
    regions that reach the edge, if together they cover that share of the perimeter."""
    from scipy.ndimage import label

    regions, _ = label(clipped > 0.5)
    perimeter = np.concatenate([regions[0], regions[-1], regions[1:-1, 0], regions[1:-1, -1]])
    reaching = np.isin(regions, np.unique(perimeter[perimeter > 0]))
    if (perimeter > 0).mean() < least_perimeter or not reaching.any():
        return 0.0
    share = float(clipped[reaching].sum() / clipped.sum())
    return 1.0 if share > MOSTLY_GROUND else share  # the holes of letters are paper, too


def measure_contrast(views: Views) -> Contrast:
    """Return the spread of luma over all pixels. RMS contrast is Peli's (1990), J. Opt. Soc. Am. A
    7."""
    x, y = _find_strongest(views.glance)
    counts, levels = views.luma_counts, np.arange(256) / 255
    mean = counts @ levels / counts.sum()
    return Contrast(
        rms=math.sqrt(counts @ (levels - mean) ** 2 / counts.sum()),
        spread=_find_percentile(counts, 95) - _find_percentile(counts, 5),
        strongest_x=x,
        strongest_y=y,
    )


def _find_strongest(luma: Plane) -> tuple[float, float]:
    """Return the centre of the part, an eighth of the frame wide, whose luma varies most."""
    spread = max(luma.shape) / 16
    variance = smooth(luma * luma, spread) - smooth(luma, spread) ** 2
    y, x = np.unravel_index(int(np.argmax(variance)), luma.shape)
    return (float(x) + 0.5) / luma.shape[1], (float(y) + 0.5) / luma.shape[0]


def _find_percentile(counts: NDArray[np.int64], percent: float) -> float:
    """Return the least luma that at least ``percent`` of the pixels do not exceed."""
    return float(np.searchsorted(np.cumsum(counts), counts.sum() * percent / 100) / 255)


def estimate_noise_sigma(views: Views) -> float:
    """Return the standard deviation of the noise in 8-bit levels, averaged over R, G and B.

    It is Immerkær's estimate (Fast noise variance estimation, CVIU 64, 1996): the mean absolute
    answer of a mask that ignores planes and straight edges. Texture answers to that mask as noise
    does, so it is taken in blocks of 32 × 32 pixels at full size, and the quarter of them that
    answers least speaks for the photo. Blocks that touch black or white hide their noise and
    count only where there are no others. Of a photo that is texture all over it is 0: only blocks
    count whose noise averages out, as that of grass does not.
    """
    blocks = _sample_blocks(views.pixels)
    answers = np.abs(_apply_immerkaer(blocks)).mean(axis=(1, 2, 3)) * math.sqrt(math.pi / 2) / 6
    clipped = ((blocks <= 1) | (blocks >= 254)).mean(axis=(1, 2, 3)) > 0.02
    usable = np.ones_like(clipped) if clipped.all() else ~clipped
    quietest = np.argsort(np.where(usable, answers, np.inf), kind="stable")
    quietest = quietest[: max(1, int(usable.sum()) // 4)]
    smooth_ones = quietest[_averages_out(blocks[quietest], answers[quietest])]
    if len(smooth_ones) < max(1, SMOOTH_SHARE * len(quietest)):
        return 0.0
    return float(np.median(answers[smooth_ones]))


def _averages_out(blocks: NDArray[np.int16], sigma: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the means of 4 × 4 pixels vary as white noise of ``sigma`` lets them, or
    little.

    Their deviation is taken along rows and columns, so that a gradient counts for nothing."""
    height, width = (side // 4 * 4 for side in blocks.shape[1:3])
    if min(height, width) < 12:
        return np.ones(len(blocks), bool)
    means = blocks[:, :height, :width].reshape(len(blocks), height // 4, 4, width // 4, 4, 3)
    coarse = means.mean(axis=(2, 4))
    bends = coarse[:, 2:, 1:-1] + coarse[:, :-2, 1:-1] + coarse[:, 1:-1, 2:] + coarse[:, 1:-1, :-2]
    bends = bends - 4 * coarse[:, 1:-1, 1:-1]
    # white noise of sigma: a quarter of it in each mean, times the root of 4 + 16
    deviation = np.sqrt((bends**2).mean(axis=(1, 2, 3))) / math.sqrt(20)
    return np.asarray(deviation <= 0.25 * CORRELATED * sigma + 0.5)


def _sample_blocks(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return at most 2048 blocks of the photo, evenly spread, of shape (n, side, side, 3)."""
    height, width = pixels.shape[:2]
    tall, wide = min(BLOCK, height), min(BLOCK, width)
    corners = [
        (y, x) for y in range(0, height - tall + 1, tall) for x in range(0, width - wide + 1, wide)
    ]
    chosen = corners[:: math.ceil(len(corners) / MOST_BLOCKS)]
    return np.stack([pixels[y : y + tall, x : x + wide] for y, x in chosen]).astype(np.int16)


def _apply_immerkaer(blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the mask ((1, -2, 1), (-2, 4, -2), (1, -2, 1)) over each block; thin ones are
    mirrored."""
    for axis in (1, 2):
        if blocks.shape[axis] < 3:
            padding = [(0, 0)] * 4
            padding[axis] = (1, 1)
            blocks = np.pad(blocks, padding, mode="edge")
    rows = blocks[:, :-2] - 2 * blocks[:, 1:-1] + blocks[:, 2:]
    return np.asarray(rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:], np.int16)
