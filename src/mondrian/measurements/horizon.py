"""How far the photo leans, from its long straight lines near the horizontal and the vertical.

At three sizes the ridges of the gradient vote, each near its own direction and apart by polarity,
for the lines that they may lie on: a Hough transform (Duda & Hart, CACM 15, 1972) with gradient
directions (O'Gorman & Clowes, IEEE Trans. Computers 25, 1976). The votes of a line are its length.
An angle's score is the sum of the squared lengths of its lines, so that one horizon outweighs much
texture. Horizontals and verticals add up where they agree, verticals the less the farther they are
from the middle, since they lean there when the camera looks up. The finest size at which the
winner stands out gives the angle; the small sizes see the mean course of a jagged skyline.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.measurements.sharpness import noise_of
from mondrian.measurements.values import Horizon
from mondrian.measurements.views import Plane, Views, slopes, smooth

Floats: TypeAlias = NDArray[np.float64]

LONGEST = 640
# the sizes as divisors of 640 pixels, and what the score of each counts for
SIZES = ((1, 1.0), (3, 0.6), (7, 0.4))
SIGMA = 1.3
STEP = 0.25
MOST_TILT = 13.0
EDGE = 14.0
ANGLES = np.arange(-EDGE, EDGE + STEP / 2, STEP)
OWN_DIRECTION = 3.5
LEAST_CONFIDENCE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lines:
    """At one size: the score of each of ``ANGLES`` and the length of its longest line, as a share
    of the frame, for horizontals and verticals."""

    level: Floats
    upright: Floats
    longest_level: Floats
    longest_upright: Floats


def horizon(views: Views) -> Horizon:
    """The tilt in degrees, to 13° either way, and how sure it is; no tilt below 0.2."""
    sizes = [_lines(plane) for plane in _planes(views.screen)]
    score = np.zeros_like(ANGLES)
    for (_, weight), size in zip(SIZES, sizes, strict=True):
        score += weight * (size.level + size.upright)
    best = int(np.argmax(score))
    if score[best] <= 0 or abs(ANGLES[best]) > MOST_TILT:
        return Horizon(tilt_degrees=None, confidence=0.0)
    confidence = _confidence(best, sizes, score)
    if confidence < LEAST_CONFIDENCE:
        return Horizon(tilt_degrees=None, confidence=confidence)
    return Horizon(tilt_degrees=_refined(best, sizes, score), confidence=confidence)


def _confidence(best: int, sizes: list[Lines], score: Floats) -> float:
    """How far the best score stands above the median of all angles, 2^0.7 times being 0 and 2^2.5
    times 1, and how long its longest line is, 0.04 of the frame being 0 and 0.18 being 1."""
    near = np.abs(ANGLES - ANGLES[best]) <= 1.5
    common = max(float(np.median(score[~near])), float(score[best]) / 64)
    above = math.log2(float(score[best]) / common)
    lengths = (np.maximum(size.longest_level, size.longest_upright)[near] for size in sizes)
    longest = max(float(length.max()) for length in lengths)
    return min(1.0, max(0.0, above - 0.7) / 1.8) * min(1.0, max(0.0, longest - 0.04) / 0.14)


def _planes(screen: Plane) -> list[Plane]:
    image = Image.fromarray(screen)
    scale = min(1.0, LONGEST / max(image.size))
    sizes = [[max(1, round(side * scale / divisor)) for side in image.size] for divisor, _ in SIZES]
    return [
        np.asarray(image.resize((width, height), Image.Resampling.BOX)) for width, height in sizes
    ]


def _refined(best: int, sizes: list[Lines], score: Floats) -> float:
    for size in sizes:
        own = size.level + size.upright
        peak = _peak(own, best)
        if own[peak] > 2 * np.median(own):
            return _centre(own, peak)
    return _centre(score, best)


def _peak(score: Floats, best: int, reach: int = 5) -> int:
    start = max(0, best - reach)
    return start + int(np.argmax(score[start : best + reach + 1]))


def _centre(score: Floats, peak: int, reach: int = 14) -> float:
    """The centre of what stands above 0.6 of a peak: finer than the step between angles, and the
    middle of lines that lean both ways."""
    window = slice(max(0, peak - reach), peak + reach + 1)
    mass = np.maximum(score[window] - 0.6 * score[peak], 0)
    return float(mass @ ANGLES[window] / mass.sum())


def _lines(plane: Plane) -> Lines:
    flat = _vote(plane) / plane.shape[1]
    # upright lines lie level in the turned plane, leaning the other way
    upright = _vote(np.ascontiguousarray(plane.T))[:, ::-1] / plane.shape[0]
    return Lines(
        level=(flat**2).sum(axis=(0, 2)),
        upright=(_central(upright) ** 2).sum(axis=(0, 2)),
        longest_level=flat.max(axis=(0, 2)),
        longest_upright=upright.max(axis=(0, 2)),
    )


def _vote(plane: Plane) -> Floats:
    """The lengths of near-level lines in pixels, by polarity, angle and distance from the centre.

    Of shape (2, angles, distances).
    """
    height, width = plane.shape
    reach = math.ceil(math.hypot(height, width) / 2) + 2
    votes = np.zeros((2, len(ANGLES), 2 * reach))
    x, y, right, down = _ridges(plane)
    if len(x) == 0:
        return votes
    strength = np.hypot(right, down)
    strength = np.minimum(1, strength / np.quantile(strength, 0.7))
    own = np.degrees(np.arctan2(-right * np.sign(down), np.abs(down)))
    nearest = np.round((own + EDGE) / STEP).astype(int)
    polarity = (down > 0).astype(int)
    spread = int(OWN_DIRECTION / STEP)
    for offset in range(-spread, spread + 1):
        angle = nearest + offset
        inside = (angle >= 0) & (angle < len(ANGLES))
        turn = np.radians(ANGLES[angle[inside]])
        distance = y[inside] * np.cos(turn) - x[inside] * np.sin(turn) + reach
        whole = distance.astype(int)
        part = distance - whole
        weight = strength[inside] * (1 - (offset / (spread + 1)) ** 2)
        cell = (polarity[inside] * len(ANGLES) + angle[inside]) * 2 * reach + whole
        votes += np.bincount(cell, weight * (1 - part), votes.size).reshape(votes.shape)
        votes += np.bincount(cell + 1, weight * part, votes.size).reshape(votes.shape)
    return votes + 0.7 * (np.roll(votes, 1, axis=2) + np.roll(votes, -1, axis=2))


def _ridges(plane: Plane) -> tuple[Plane, Plane, Plane, Plane]:
    """Where the downward gradient peaks along its column: x and y from the centre (y finer than a
    pixel), and the gradient to the right and down. Noise and broad gradients are left out."""
    height, width = plane.shape
    right, down = _gradient(smooth(plane, SIGMA))
    size = np.abs(down)
    padded = np.pad(size, ((4, 4), (0, 0)))
    above, below = padded[3:-5], padded[5:-3]
    # white noise after a Gaussian and a derivative (variance σ²/8πs⁴)
    least = max(1 / 255 / SIGMA, 4.5 * noise_of(plane) / math.sqrt(8 * math.pi) / SIGMA**2)
    ridge = (size >= above) & (size > below) & (size > least)
    ridge &= size > 0.55 * (padded[:-8] + padded[8:])
    ridge &= np.abs(right) < math.tan(math.radians(EDGE + OWN_DIRECTION)) * size
    ridge[:4] = ridge[-4:] = ridge[:, :4] = ridge[:, -4:] = False
    y, x = np.nonzero(ridge)
    before, at, after = above[ridge], size[ridge], below[ridge]
    finer = 0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-9)
    return x - width / 2, y + np.clip(finer, -0.5, 0.5) - height / 2, right[ridge], down[ridge]


def _gradient(plane: Plane) -> tuple[Plane, Plane]:
    """The gradient by Scharr's operator (2000), which keeps its direction true."""
    from scipy.ndimage import correlate1d

    right, down = slopes(plane)
    across = np.array([3, 10, 3], np.float32) / 16
    return correlate1d(right, across, axis=0), correlate1d(down, across, axis=1)


def _central(votes: Floats) -> Floats:
    """Weigh upright lines down toward the sides, where they lean when the camera looks up."""
    distances = np.linspace(-1, 1, votes.shape[2])
    return votes * np.exp(-((distances / 0.5) ** 2))
