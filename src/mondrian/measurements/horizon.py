"""How far the photo leans, from its straight lines near the horizontal and the vertical.

The ridges of the gradient vote, each near its own direction and apart by polarity, for the lines
that they may lie on: a Hough transform (Duda & Hart, CACM 15, 1972) with gradient directions
(O'Gorman & Clowes, IEEE Trans. Computers 25, 1976). The votes of a line are its length. An angle's
score is the sum of the squared lengths of its lines, so that one horizon outweighs much texture.

One line proves nothing: a shelf, a deck or a ridge runs obliquely in a photo that stands upright.
So the tilt is told only where two sources agree: uprights in the left and in the right half (a
camera that looks up makes them lean against each other), level lines in the upper and in the lower
half (those of a wall seen at an angle converge), or, from 3° on, level lines with uprights. Where
uprights stand clearly, they outweigh level lines that lean otherwise. A horizon stands for itself:
one straight line from side to side, along all of which it is darker, or lighter, above than below.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.measurements.sharpness import estimate_noise
from mondrian.measurements.values import Horizon
from mondrian.measurements.views import Plane, Views, compute_slopes, smooth

Floats: TypeAlias = NDArray[np.float64]

LONGEST = 640
SIGMA = 1.3
STEP = 0.25
MOST_TILT = 11.0
EDGE = 14.0
ANGLES = np.arange(-EDGE, EDGE + STEP / 2, STEP)
COSINES, SINES = np.cos(np.radians(ANGLES)), np.sin(np.radians(ANGLES))
OWN_DIRECTION = 3.5
AGREEING = 1.0
LEAST_STRENGTH = 1.5
FULL_STRENGTH = 3.0
LEAST_SCORE = 0.008
STRONG_SCORE = 0.05
OBLIQUE = 3.0
ONE_LINE = 0.5
SKYLINE_DIVISOR, SKYLINE_LENGTH, SKYLINE_STEP = 3, 0.3, 0.1
CONVERGING_STRENGTH, CONVERGING_SCORE = 2.0, 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The angle that some lines have in degrees. ``strength`` is how far its score stands above
    the median of all angles, as a power of 2."""

    angle: float
    strength: float
    score: float

    @property
    def is_clear(self) -> bool:
        """Whether it has a tilt."""
        return self.strength >= LEAST_STRENGTH and self.score >= LEAST_SCORE

    @property
    def is_converging(self) -> bool:
        """Whether it is clear enough to stand against another direction."""
        return self.strength >= CONVERGING_STRENGTH and self.score >= CONVERGING_SCORE

    def agrees(self, other: "Source") -> bool:
        """Return whether both have the same tilt."""
        is_clear = self.is_clear and other.is_clear
        return is_clear and abs(self.angle - other.angle) <= AGREEING


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """What the lines on either side of the middle tell, and all of them together: ``level`` ones
    above and below, ``upright`` ones at the left and at the right. ``skyline`` is the angle of a
    horizon that runs from side to side, if there is one."""

    level: tuple[Source, Source]
    levels: Source
    upright: tuple[Source, Source]
    uprights: Source
    skyline: float | None


def find_lines(views: Views) -> Lines:
    """Find the lines near the horizontal and the vertical."""
    plane = _shrink(views.screen)
    level = _split_halves(_vote(plane) / plane.shape[1])
    # upright lines lie level in the turned plane, leaning the other way
    turned = np.ascontiguousarray(plane.T)
    upright = _split_halves(_vote(turned)[:, ::-1] / plane.shape[0])
    return Lines(
        level=(_choose_source(level[0]), _choose_source(level[1])),
        levels=_choose_source(level[0] + level[1]),
        upright=(_choose_source(upright[0]), _choose_source(upright[1])),
        uprights=_choose_source(upright[0] + upright[1]),
        skyline=_find_skyline(plane),
    )


def _find_skyline(plane: Plane) -> float | None:
    height, width = (max(1, side // SKYLINE_DIVISOR) for side in plane.shape)
    small = np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))
    votes = _vote(small) / width
    _, place, distance = np.unravel_index(int(np.argmax(votes)), votes.shape)
    if votes.max() < SKYLINE_LENGTH:
        return None
    angle = float(ANGLES[place])
    steps = _count_steps_across(small, angle, int(distance) - votes.shape[2] // 2)
    one_way = steps * np.sign(np.median(steps))
    if np.percentile(one_way, 10) < SKYLINE_STEP or one_way.min() < SKYLINE_STEP / 8:
        return None
    return _find_centre(votes[:, :, distance].max(axis=0), int(place))


def _count_steps_across(plane: Plane, angle: float, distance: int) -> Floats:
    """Return by how much it is lighter above the line than below, in 32 parts from side to side;
    0 where the line has left the frame."""
    height, width = plane.shape
    turn, x = math.radians(angle), np.arange(width) - width / 2
    line = (distance + x * math.sin(turn)) / math.cos(turn) + height / 2
    sums = np.concatenate([np.zeros((1, width)), np.cumsum(plane, axis=0, dtype=np.float64)])
    reach = max(2, round(0.03 * height))

    def mean(top: Floats, bottom: Floats) -> Floats:
        first, last = (np.clip(np.round(y).astype(int), 0, height) for y in (top, bottom))
        columns = np.arange(width)
        between = sums[last, columns] - sums[first, columns]
        return np.asarray(between / np.maximum(last - first, 1), np.float64)

    is_inside = (line - reach - 1 >= 0) & (line + reach + 1 <= height)
    steps = mean(line - reach - 1, line - 1) - mean(line + 1, line + reach + 1)
    parts = np.array_split(np.where(is_inside, steps, 0), min(32, width))
    return np.array([float(part.mean()) for part in parts])


def measure_horizon(lines: Lines) -> Horizon:
    """Return the tilt in degrees, to 11° either way, and how sure it is: 0.5 of a horizon alone, 0
    where no two sources agree, and then no tilt."""
    for one, other in _find_agreeing(lines):
        weight = one.score + other.score
        tilt = (one.angle * one.score + other.angle * other.score) / weight
        if abs(tilt) <= MOST_TILT:
            sure = min(one.strength, other.strength) / FULL_STRENGTH
            return Horizon(tilt_degrees=tilt, confidence=min(1.0, sure))
    if lines.skyline is not None and abs(lines.skyline) <= MOST_TILT:
        return Horizon(tilt_degrees=lines.skyline, confidence=ONE_LINE)
    return Horizon(tilt_degrees=None, confidence=0.0)


def measure_convergence(lines: Lines) -> float:
    """Return how far the lines on either side of the middle lean toward each other: uprights that
    meet above, or level lines that meet at a side; 4° is 0, and 8° is 1."""
    (left, right), (above, below) = lines.upright, lines.level
    pairs = (
        (left, right, left.angle - right.angle),
        (above, below, abs(above.angle - below.angle)),
    )
    apart = [angle for one, other, angle in pairs if one.is_converging and other.is_converging]
    return min(1.0, max(0.0, max(apart, default=0.0) - 4) / 4)


def _find_agreeing(lines: Lines) -> Iterator[tuple[Source, Source]]:
    """Yield the pairs of sources that agree, the surest kind first."""
    (left, right), (above, below) = lines.upright, lines.level
    if left.agrees(right):
        yield left, right
    if above.agrees(below) and not _is_denied(above, lines.uprights):
        yield above, below
    if lines.levels.agrees(lines.uprights) and abs(lines.levels.angle) >= OBLIQUE:
        yield lines.levels, lines.uprights


def _is_denied(levels: Source, uprights: Source) -> bool:
    is_strong = uprights.is_clear and uprights.score >= STRONG_SCORE
    return is_strong and abs(levels.angle - uprights.angle) > 1.5 * AGREEING


def _split_halves(votes: Floats) -> tuple[Floats, Floats]:
    """Return the scores of the angles from the lines on either side of the middle."""
    scores, middle = (votes**2).sum(axis=0), votes.shape[2] // 2
    return scores[:, :middle].sum(axis=1), scores[:, middle:].sum(axis=1)


def _choose_source(scores: Floats) -> Source:
    best = int(np.argmax(scores))
    if scores[best] <= 0:
        return Source(angle=0.0, strength=0.0, score=0.0)
    near = np.abs(ANGLES - ANGLES[best]) <= 1.5
    common = max(float(np.median(scores[~near])), float(scores[best]) / 64)
    return Source(
        angle=_find_centre(scores, best),
        strength=math.log2(float(scores[best]) / common),
        score=float(scores[best]),
    )


def _shrink(screen: Plane) -> Plane:
    image = Image.fromarray(screen)
    scale = min(1.0, LONGEST / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _find_centre(score: Floats, peak: int, reach: int = 4) -> float:
    """Return the centre of what stands above 0.6 of a peak: finer than the step between angles, and
    the middle of lines that lean both ways."""
    window = slice(max(0, peak - reach), peak + reach + 1)
    mass = np.maximum(score[window] - 0.6 * score[peak], 0)
    return float(mass @ ANGLES[window] / mass.sum())


def _vote(plane: Plane) -> Floats:
    """Return the lengths of near-level lines in pixels, by polarity, angle and distance from the
    centre.

    Of shape (2, angles, distances).
    """
    height, width = plane.shape
    reach = math.ceil(math.hypot(height, width) / 2) + 2
    shape = (2, len(ANGLES), 2 * reach)
    x, y, right, down = _find_ridges(plane)
    if len(x) == 0:
        return np.zeros(shape)
    strength = np.hypot(right, down)
    strength = np.minimum(1, strength / np.quantile(strength, 0.7))
    own = np.degrees(np.arctan2(-right * np.sign(down), np.abs(down)))
    nearest = np.round((own + EDGE) / STEP).astype(int)
    polarity = (down > 0).astype(int)
    spread, cells, weights = int(OWN_DIRECTION / STEP), list[Any](), list[Floats]()
    for offset in range(-spread, spread + 1):
        angle = nearest + offset
        inside = (angle >= 0) & (angle < len(ANGLES))
        turned = angle[inside]
        distance = y[inside] * COSINES[turned] - x[inside] * SINES[turned] + reach
        whole = distance.astype(int)
        part = distance - whole
        weight = strength[inside] * (1 - (offset / (spread + 1)) ** 2)
        cell = (polarity[inside] * len(ANGLES) + turned) * 2 * reach + whole
        cells += cell, cell + 1
        weights += weight * (1 - part), weight * part
    counted = np.bincount(np.concatenate(cells), np.concatenate(weights), math.prod(shape))
    votes = counted.reshape(shape)
    return votes + 0.7 * (np.roll(votes, 1, axis=2) + np.roll(votes, -1, axis=2))


def _find_ridges(plane: Plane) -> tuple[Plane, Plane, Plane, Plane]:
    """Return where the downward gradient peaks along its column: x and y from the centre (y finer
    than a pixel), and the gradient to the right and down. Noise and broad gradients are left out.
    """
    height, width = plane.shape
    right, down = _compute_gradient(smooth(plane, SIGMA))
    size = np.abs(down)
    padded = np.pad(size, ((4, 4), (0, 0)))
    above, below = padded[3:-5], padded[5:-3]
    # white noise after a Gaussian and a derivative (variance σ²/8πs⁴)
    least = max(1 / 255 / SIGMA, 4.5 * estimate_noise(plane) / math.sqrt(8 * math.pi) / SIGMA**2)
    ridge = (size >= above) & (size > below) & (size > least)
    ridge &= size > 0.55 * (padded[:-8] + padded[8:])
    ridge &= np.abs(right) < math.tan(math.radians(EDGE + OWN_DIRECTION)) * size
    ridge[:4] = ridge[-4:] = ridge[:, :4] = ridge[:, -4:] = False
    y, x = np.nonzero(ridge)
    before, at, after = above[ridge], size[ridge], below[ridge]
    finer = 0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-9)
    return x - width / 2, y + np.clip(finer, -0.5, 0.5) - height / 2, right[ridge], down[ridge]


def _compute_gradient(plane: Plane) -> tuple[Plane, Plane]:
    """Return the gradient by Scharr's operator (2000), which keeps its direction true."""
    from scipy.ndimage import correlate1d

    right, down = compute_slopes(plane)
    across = np.array([3, 10, 3], np.float32) / 16
    return correlate1d(right, across, axis=0), correlate1d(down, across, axis=1)
