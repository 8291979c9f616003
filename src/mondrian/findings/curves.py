"""The curves that turn a measurement into a score, and the thresholds between findings.

A curve runs straight between its points and level beyond them. Each stays in the band of its
finding's severity: strengths 7.5 to 9.5, ordinary states 6 to 7.5, weaknesses 5 to 6,
faults 1 to 4.9. So no weakness scores as low as a fault.
docs/findings.md says why each stands where it does.
"""

from dataclasses import dataclass
from itertools import pairwise

LEAST_STRUCTURE = 0.02
"""The sharpness of a frame with less structure cannot be judged."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A piecewise linear curve through ``points`` of (measurement, score), ascending in the
    measurement."""

    points: tuple[tuple[float, float], ...]

    def __call__(self, value: float) -> float:
        """Return the score at ``value``."""
        if value <= self.points[0][0]:
            return self.points[0][1]
        for (left, low), (right, high) in pairwise(self.points):
            if value <= right:
                return low + (high - low) * (value - left) / (right - left)
        return self.points[-1][1]

    def __str__(self) -> str:
        return ", ".join(f"{value:g} → {score:g}" for value, score in self.points)

    @property
    def start(self) -> float:
        """The least measurement that the curve distinguishes."""
        return self.points[0][0]

    @property
    def end(self) -> float:
        """The greatest measurement that the curve distinguishes."""
        return self.points[-1][0]


def _make_curve(*points: tuple[float, float]) -> Curve:
    return Curve(points)


TILT = _make_curve((1, 4.9), (2, 4.5), (4, 3.5), (7, 2.5), (11, 2))
ON_THIRD = _make_curve((0, 9.5), (0.11, 7.5))
CENTRED = _make_curve((0, 7.5), (0.11, 7.3))
OFF_GRID = _make_curve((0.11, 7.3), (0.25, 6))
AT_EDGE = _make_curve((0, 5), (0.2, 6))
UNCLEAR = _make_curve((0, 5), (0.8, 6))

HIGHLIGHTS = _make_curve((1, 4.9), (3, 4.3), (8, 3.3), (20, 2.4), (50, 1.6), (90, 1))
SHADOWS = _make_curve((5, 4.9), (10, 4.3), (25, 3.2), (50, 2.2), (80, 1.4), (95, 1))
TOO_DARK = _make_curve((0.05, 1), (0.15, 1.8), (0.3, 3), (0.5, 4.9))
TOO_BRIGHT = _make_curve((0.45, 4.9), (0.55, 4), (0.75, 2))
FLAT = _make_curve((0, 1.5), (0.1, 2.5), (0.2, 3.9), (0.4, 4.9))
FULL_RANGE = _make_curve((0, 9), (0.3, 8.2), (1, 7.7), (6, 7.5))
MODERATE = _make_curve((0.35, 6), (0.75, 7.5))

SOFT = _make_curve((0.1, 1.5), (0.25, 2.5), (0.4, 3.5), (0.6, 4.9))
MOTION = _make_curve((0.3, 1.5), (0.5, 3), (0.65, 4), (0.85, 4.9))
MISSED = _make_curve((0, 2), (0.3, 3.5), (0.45, 4.9))
NOISE = _make_curve((4, 4.9), (12, 4), (25, 2.5), (45, 1.5))
CRISP = _make_curve((0.7, 7.5), (1, 9.5))
CRISP_ALL = _make_curve((0.82, 7.5), (1, 9.5))
ACCEPTABLE = _make_curve((0.3, 6), (0.82, 7.5))

CAST = _make_curve((10.5, 4.9), (18, 4), (24, 3), (30, 2), (45, 1.5))
OVERSATURATED = _make_curve((85, 4.9), (110, 3))
MONOCHROME = _make_curve((0.08, 6), (0.25, 7.5))
ANALOGOUS = _make_curve((10, 7.5), (50, 8.5))
COMPLEMENTARY = _make_curve((10, 7.5), (50, 9.5))
MUTED = _make_curve((4, 6), (12, 7))
MANY_HUES = _make_curve((15, 6), (80, 5.6))

WELL_SEPARATED = _make_curve((0.6, 7.5), (1, 9.5))
PARTLY_SEPARATED = _make_curve((0.3, 6), (0.6, 7.5))
MERGED = _make_curve((0, 5.2), (0.3, 6))
NOT_ISOLATED = _make_curve((0, 5), (0.8, 6))

DEPTH = _make_curve((0.4, 7.5), (1, 9.5))
LITTLE_DEPTH = _make_curve((0, 5.6), (0.05, 5.9))

BALANCED = _make_curve((0, 9), (0.1, 7.5))
GENTLY = _make_curve((0.1, 7.5), (0.25, 6))
HEAVY = _make_curve((0.25, 6), (0.6, 5.3))

BRIGHT_MOOD = _make_curve((0.65, 7.5), (0.85, 8.5))
DARK_MOOD = _make_curve((0.1, 8.5), (0.28, 7.5))
VIVID = _make_curve((45, 7.5), (85, 9.5))
DRAMATIC = _make_curve((0.25, 7.5), (0.36, 9.5))
QUIET = _make_curve((0.06, 8.5), (0.15, 7.5))
RESTRAINED = _make_curve((0.1, 6), (0.25, 7))
MARRED = _make_curve((1, 5), (3, 5.5))
FAULTY_MOOD = _make_curve((3, 6), (4.9, 7.5))
