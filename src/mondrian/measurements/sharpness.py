"""Where it is sharp, and what blurred the rest.

A blurred edge keeps its coarse gradient and loses its fine one. In each tile the fine gradient F
(after a Gaussian of 0.7 pixels) is therefore compared with the coarse gradient C (1.6 pixels) by
R = Σ F·C / Σ C·C, at the size of a screen (see ``views``). For a step blurred by a Gaussian of
sigma s, R² = 2(s² + 1.6²) / (2s² + 0.7² + 1.6²), whatever its contrast; that is Zhuo & Sim's
measure (Defocus map estimation from a single image, Pattern Recognition 44, 2011) in the mean
over a tile. The product F·C keeps what both have in common and so drops most noise, and the
expectation of the rest is taken off. Sharpness is q / (q + 0.35), where q is R² - 1 over its value
for a perfect step: about 0.7 and more where it is crisp, 0.45 at s = 2, 0.25 at 4, 0.1 at 8.

Kept as 2 × 2 matrices per tile, the same sums tell it by direction: motion blurs along its path
and spares the gradients across it.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.values import Sharpness
from mondrian.measurements.views import Mask, Plane, Views, compute_slopes, smooth

Floats: TypeAlias = NDArray[np.float64]

FINE, COARSE = 0.7, 1.6
STEP = (COARSE**2 - FINE**2) / (COARSE**2 + FINE**2)
HALF = 0.35
TILES = 16
LEAST_TILE_PIXELS = 8
ENOUGH_STRUCTURE = 0.04
CRISP = 0.7
LEAST_STRUCTURE = 0.02
ANISOTROPY = 0.1
AGREEMENT = 0.9
SMEARED, SMEARED_PART = 20.0, 0.3
"""How many times the energy of gradients across a path is that along it, over how much of the frame
at least: a smear wipes out all that lies along it. Out of focus it was 5 times at most."""
ROUNDING = 0.29 / 255


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tiles:
    """The gradients of each tile: ``both`` is Σ F Cᵀ made symmetric and ``coarse`` Σ C Cᵀ,
    of shape (rows, columns, 2, 2) with x to the right and y downward, ``weight`` from 0 to 1 how
    much structure there is, of shape (rows, columns)."""

    both: Floats
    coarse: Floats
    weight: Floats

    @property
    def sharpness(self) -> Floats:
        """Sharpness of each tile from 0 to 1, over all directions; 0 without structure."""
        both, coarse = (np.trace(sums, axis1=2, axis2=3) for sums in (self.both, self.coarse))
        return _compute_sharpness(both, coarse) * self.weight


def measure_sharpness(tiles: Tiles, subject: Mask | None) -> Sharpness:
    """Return where it is sharp; ``subject`` is the main subject's mask at any size, if there is
    one."""
    values, weight = tiles.sharpness, tiles.weight
    x, y = _find_sharpest(values)
    outside = np.ones_like(values) if subject is None else 1 - compute_share(subject, values)
    blur, angle = _find_blur(tiles)
    return Sharpness(
        map=tuple(tuple(round(float(value), 4) for value in row) for row in values),
        peak=float(values.max()),
        mean=_mean(values, weight),
        structure=float(weight.mean()),
        sharpest_x=x,
        sharpest_y=y,
        subject=None
        if subject is None
        else _average_best_half(values, weight * compute_share(subject, values)),
        around=_mean(weight, outside),
        blur=blur,
        motion_angle_degrees=angle,
    )


def sum_gradients(views: Views) -> Tiles:
    """Sum up the gradients of the screen view in 16 tiles along its long side."""
    fine = smooth(views.screen, FINE)
    coarse = smooth(fine, math.sqrt(COARSE**2 - FINE**2))
    (fine_x, fine_y), (coarse_x, coarse_y) = compute_slopes(fine), compute_slopes(coarse)
    noise = estimate_noise(views.screen)
    both_noise, coarse_noise = (noise**2 * gain for gain in _compute_noise_gains())
    energy = _sum_around(coarse_x**2 + coarse_y**2)
    structured = energy > max(10 * both_noise, (1 / 255) ** 2)
    weight = np.where(structured, 1 / np.sqrt(np.maximum(energy, 1e-12)), 0).astype(np.float32)
    rows, columns = (_count(side, max(energy.shape)) for side in energy.shape)

    def total(plane: Plane) -> Floats:
        return _sum_tiles(plane * weight, rows, columns)

    # half of the noise falls on each axis, none on their product
    taken = _sum_tiles(weight, rows, columns) / 2
    cross = total(fine_x * coarse_y + fine_y * coarse_x) / 2
    both_x = total(fine_x * coarse_x) - taken * both_noise
    both_y = total(fine_y * coarse_y) - taken * both_noise
    coarse_xx = total(coarse_x**2) - taken * coarse_noise
    coarse_yy = total(coarse_y**2) - taken * coarse_noise
    share = _sum_tiles(structured.astype(np.float32), rows, columns) * rows * columns / energy.size
    return Tiles(
        both=_make_matrices(both_x, cross, both_y),
        coarse=_make_matrices(coarse_xx, total(coarse_x * coarse_y), coarse_yy),
        weight=np.minimum(1, share / ENOUGH_STRUCTURE),
    )


def estimate_noise(screen: Plane) -> float:
    """Immerkær's noise of the smoothest quarter of a luma plane, from 0 to 1.

    It is raised by a tenth for having chosen the smoothest, and at least that of rounding to
    8 bits. See ``tones.noise_sigma``.
    """
    padded = np.pad(screen, 1, mode="edge")
    rows = padded[:-2] - 2 * padded[1:-1] + padded[2:]
    answers = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    blocks = [_count(side, max(screen.shape), 24) for side in screen.shape]
    means = _sum_tiles(answers, *blocks) * math.prod(blocks) / screen.size
    means = np.sort(means[means > 0.5 / 255])
    smoothest = np.median(means[: max(1, len(means) // 4)]) if len(means) else 0.0
    return max(ROUNDING, float(smoothest) * math.sqrt(math.pi / 2) / 6) * 1.1


def _compute_noise_gains() -> tuple[float, float]:
    """Return what white noise of variance 1 adds to F·C and C·C: the response to one point."""
    point = np.zeros((25, 25), np.float32)
    point[12, 12] = 1
    fine = smooth(point, FINE)
    coarse = smooth(fine, math.sqrt(COARSE**2 - FINE**2))
    (fine_x, fine_y), (coarse_x, coarse_y) = compute_slopes(fine), compute_slopes(coarse)
    both = float((fine_x * coarse_x + fine_y * coarse_y).sum())
    return both, float((coarse_x**2 + coarse_y**2).sum())


def _sum_around(plane: Plane) -> Plane:
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(uniform_filter(plane, 7), 5), np.float32)


def _count(side: int, longest: int, most: int = TILES) -> int:
    """Return how many tiles of at least 8 pixels go along ``side``."""
    return max(1, min(round(most * side / longest), side // LEAST_TILE_PIXELS))


def _sum_tiles(plane: Plane, rows: int, columns: int) -> Floats:
    height, width = plane.shape
    tops, lefts = np.arange(rows) * height // rows, np.arange(columns) * width // columns
    strips = np.add.reduceat(plane, lefts, axis=1, dtype=np.float64)
    return np.asarray(np.add.reduceat(strips, tops, axis=0))


def _make_matrices(xx: Floats, xy: Floats, yy: Floats) -> Floats:
    return np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)


def _compute_sharpness(both: Floats, coarse: Floats) -> Floats:
    ratio = np.maximum(both, 0) / np.maximum(coarse, 1e-12)
    q = np.maximum(ratio**2 - 1, 0) / STEP
    return np.where(coarse > 0, q / (q + HALF), 0)


def _mean(values: Floats, weight: Floats) -> float:
    return float((values * weight).sum() / max(weight.sum(), 1e-12))


def _average_best_half(values: Floats, weight: Floats) -> float:
    """Return the mean of the sharper half, by weight: the eye forgives a soft part, not a soft
    whole."""
    order = np.argsort(-values, axis=None, kind="stable")
    best, heavy = values.ravel()[order], weight.ravel()[order]
    within = np.cumsum(heavy) - heavy <= heavy.sum() / 2
    return _mean(best[within], heavy[within])


def compute_share(mask: Mask, values: Floats) -> Floats:
    """Return the share of each of the tiles of ``values`` that ``mask`` covers, from 0 to 1."""
    from PIL import Image

    rows, columns = values.shape
    image = Image.fromarray(mask.astype(np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BOX), np.float64)


def _find_sharpest(values: Floats) -> tuple[float, float]:
    """Return the centre of the sharpest region: the tiles within 10 % of the sharpest one."""
    from scipy.ndimage import label, uniform_filter

    calm = uniform_filter(values, 3, mode="nearest")
    regions, _ = label(calm >= 0.9 * calm.max())
    region = regions == regions.flat[int(np.argmax(calm))]
    rows, columns = np.nonzero(region)
    return float((columns.mean() + 0.5) / values.shape[1]), float((rows.mean() + 0.5) / len(values))


def _find_blur(tiles: Tiles) -> tuple[str, float | None]:
    """Return what blurred the photo, and the angle of a motion in degrees.

    It is ``motion`` where one direction is clearly softer than another over the whole frame, all
    parts of the frame agree on it, for a moving camera blurs them alike, and the gradients along it
    are the weaker ones: the lines of a text or of a far shore are stronger across. Else it is
    ``none`` if some part is crisp, as with selective focus. If none is, it is ``motion`` where
    nothing but smears along one direction is left, and ``defocus`` otherwise.
    """
    if tiles.weight.mean() < LEAST_STRUCTURE:
        return "unknown", None
    both, coarse = tiles.both.sum(axis=(0, 1)), tiles.coarse.sum(axis=(0, 1))
    along = _measure_by_direction(both, coarse)
    softest, spread = int(np.argmin(along)), float(along.max() - along.min())
    parts = _measure_parts(tiles)
    turns = np.exp(2j * np.radians(5 * parts.argmin(axis=1)))
    is_directed = along[softest] < CRISP and spread >= ANISOTROPY and abs(turns.mean()) >= AGREEMENT
    if is_directed and _is_weakened(coarse, softest):
        return "motion", float(softest)
    # 0.74 and more was seen with selective focus, 0.69 and less after a Gaussian of 3 pixels
    if tiles.sharpness.max() >= CRISP:
        return "none", None
    energies = [_compute_energy(coarse, degrees) for degrees in range(180)]
    if max(energies) >= SMEARED * min(energies) and tiles.weight.mean() >= SMEARED_PART:
        return "motion", float(np.argmin(energies))
    return ("defocus", None) if spread < ANISOTROPY else ("unknown", None)


def _is_weakened(coarse: Floats, degrees: int) -> bool:
    """Return whether the gradients along that direction are weaker than those across it."""
    energies = [_compute_energy(coarse, degrees + turn) for turn in (0, 90)]
    return energies[0] < energies[1]


def _compute_energy(matrix: Floats, degrees: float) -> float:
    across, up = math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))
    (xx, xy), (_, yy) = matrix
    return float(across * across * xx + 2 * across * up * xy + up * up * yy)


def _measure_parts(tiles: Tiles) -> Floats:
    """Return the sharpness of parts of the frame along 0, 5, … degrees, of shape (parts, 36).

    A part is 7 × 7 tiles, enough to hold edges of all directions, with a tenth of the structure.
    """
    size = tuple(min(7, count) for count in tiles.weight.shape)

    def sums(values: Floats) -> Floats:
        windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=(0, 1))
        return np.asarray(windows.sum(axis=(-2, -1)).reshape(-1, *values.shape[2:]))

    both, coarse, weight = sums(tiles.both), sums(tiles.coarse), sums(tiles.weight)
    heavy = np.flatnonzero(weight >= min(0.1 * tiles.weight.sum(), weight.max()))
    return np.stack([_measure_by_direction(both[part], coarse[part], step=5) for part in heavy])


def _measure_by_direction(both: Floats, coarse: Floats, step: int = 1) -> Floats:
    """Sharpness along 0, ``step``, … degrees, counter-clockwise from the horizontal, below 180."""
    turn = np.radians(np.arange(0, 180, step))
    way = np.stack([np.cos(turn), -np.sin(turn)])
    sums = (np.einsum("it,ij,jt->t", way, matrix, way) for matrix in (both, coarse))
    return _compute_sharpness(*sums)
