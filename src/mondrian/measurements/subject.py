"""The main subject, as the eye finds it: what differs from its background, is rich in detail, is
compact and stands alone.

Saliency here is the distance in CIELAB from the background, as in frequency-tuned saliency
(Achanta et al., CVPR 2009), but the background is not one mean colour: it is a surface of second
degree that is fitted to the frame and lets go of what does not belong to it, so that a plain
gradient hides nothing and shows nothing. Detail adds to it, for the eye goes to what is in focus
(Itti, Koch & Niebur, PAMI 20, 1998, take intensity, colour and orientation alike). The subject is
the heaviest connected region above Otsu's threshold.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mondrian.measurements.values import Subject
from mondrian.measurements.views import Mask, Plane, Views, slopes, smooth

GRID = 128
THIRDS = {
    "upper left": (1 / 3, 1 / 3),
    "upper right": (2 / 3, 1 / 3),
    "lower left": (1 / 3, 2 / 3),
    "lower right": (2 / 3, 2 / 3),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """The subject with its mask, at most 128 pixels long; the mask is ``None`` without one."""

    subject: Subject
    mask: Mask | None


def find(views: Views) -> Found:
    """Find the main subject of the photo."""
    lab = _shrunk(views.lab)
    apart = lab - _background(lab)
    saliency = _saliency(apart, _detail(views.glance, lab.shape[:2]))
    region, alone = _region(saliency)
    if region is None:
        return Found(subject=_nobody(views), mask=None)
    confidence = _distinctness(apart, region) * alone
    return Found(subject=_subject(views, saliency, region, confidence), mask=region)


def _shrunk(lab: Plane) -> Plane:
    height, width = lab.shape[:2]
    scale = min(1.0, GRID / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    channels = [
        Image.fromarray(np.ascontiguousarray(lab[..., i])).resize(size, Image.Resampling.BOX)
        for i in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _background(lab: Plane, rounds: int = 6) -> Plane:
    """The surface of second degree through most of the frame, per channel.

    Least squares, weighted anew in each round by Geman & McClure's weight (1 + (d/s)²)^-2, where
    s is twice the median distance, at least ΔE 6.
    """
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1).reshape(-1, 6)
    points = lab.reshape(-1, 3).astype(float)
    weight = np.ones(len(points))
    for _ in range(rounds):
        weighted = terms * weight[:, None]
        ridge = 1e-6 * len(points) * np.eye(6)
        surface = terms @ np.linalg.solve(terms.T @ weighted + ridge, weighted.T @ points)
        distance = np.linalg.norm(points - surface, axis=1)
        weight = (1 + (distance / max(6.0, 2 * np.median(distance))) ** 2) ** -2
    return surface.reshape(lab.shape).astype(np.float32)


def _detail(glance: Plane, shape: tuple[int, ...]) -> Plane:
    """How much fine structure there is: the gradient's length, spread out, on the grid."""
    right, down = slopes(glance)
    energy = smooth(np.hypot(right, down), 2.0)
    image = Image.fromarray(energy).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(image)


def _saliency(apart: Plane, detail: Plane) -> Plane:
    """Distance from the background, in ΔE, above what is common in the frame; a little more toward
    the centre and where there is more detail than is common."""
    distance = np.linalg.norm(apart, axis=2)
    rich = np.clip(detail / (np.median(detail) + 0.01) - 1, 0, 4) / 4
    spread = 0.02 * max(distance.shape)
    raised = smooth(distance * (1 + rich), spread)
    height, width = distance.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    calm = np.maximum(raised - np.median(raised), 0)
    return np.asarray(calm * (1 - 0.25 * (x * x + y * y)), np.float32)


def _region(saliency: Plane) -> tuple[Mask | None, float]:
    """The heaviest region above Otsu's threshold, and its share of the weight of all of them."""
    from scipy.ndimage import binary_fill_holes, label
    from skimage.filters import threshold_otsu

    if saliency.max() < 1.0:
        return None, 0.0
    level = threshold_otsu(saliency)  # type: ignore[no-untyped-call]
    regions, count = label(saliency > level)
    weights = np.bincount(regions.ravel(), saliency.ravel(), count + 1)
    weights[0] = 0
    best = int(np.argmax(weights))
    return binary_fill_holes(regions == best), float(weights[best] / weights.sum())


def _distinctness(apart: Plane, region: Mask) -> float:
    """How sure a pixel tells whether it belongs to the region, from 0 to 1.

    It is told by its difference from the background (L*, a*, b* and the length), along Fisher's
    linear discriminant (1936): 2Φ(d'/√2) - 1, with d' the distance of the means over the spread,
    which is at least ΔE 4. A subject has an edge: where the difference at the rim is under 0.4 of
    that of the means, it counts for less, and below 0.2, as in a gradient, for nothing.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    rim = region & ~binary_erosion(region, iterations=3, border_value=1)
    halo = binary_dilation(region, iterations=3) & ~region
    if min(rim.sum(), halo.sum(), region.sum() - 1) < 1:
        return 0.0
    marks = np.dstack([apart, np.linalg.norm(apart, axis=2)]).astype(float)
    inside, outside = marks[region], marks[~region]
    pooled = (np.cov(inside.T) + np.cov(outside.T)) / 2 + 16 * np.eye(4)
    difference = inside.mean(axis=0) - outside.mean(axis=0)
    direction = np.linalg.solve(pooled, difference)
    distance = float(difference @ direction)
    edge = float((marks[rim].mean(axis=0) - marks[halo].mean(axis=0)) @ direction)
    sharp = np.clip((edge / max(distance, 1e-9) - 0.2) / 0.2, 0, 1)
    return math.erf(math.sqrt(distance) / 2) * float(sharp)


def _subject(views: Views, saliency: Plane, region: Mask, confidence: float) -> Subject:
    mass = np.where(region, saliency, 0)
    left, right, x = _extent(mass.sum(axis=0))
    top, bottom, y = _extent(mass.sum(axis=1))
    # a band from side to side is ground, not figure
    figure = min(1.0, max(0.3, (1.05 - max(right - left, bottom - top)) / 0.2))
    box = (left, top, right, bottom)
    return _placed(views, (x, y), box, float(region.mean()), confidence * figure)


def _extent(profile: Plane) -> tuple[float, float, float]:
    """Where 2 % to 98 % of the mass lies along one side of the frame, and its centre."""
    edges = np.arange(len(profile) + 1) / len(profile)
    total = np.concatenate([[0.0], np.cumsum(profile, dtype=np.float64)]) / profile.sum()
    low, high = np.interp((0.02, 0.98), total, edges)
    centre = float(profile @ (edges[:-1] + edges[1:]) / 2 / profile.sum())
    return float(low), float(high), centre


def _placed(
    views: Views,
    centre: tuple[float, float],
    box: tuple[float, float, float, float],
    area: float,
    confidence: float,
) -> Subject:
    height, width = views.pixels.shape[:2]
    diagonal = math.hypot(width, height)

    def distance(place: tuple[float, float]) -> float:
        return (
            math.hypot((centre[0] - place[0]) * width, (centre[1] - place[1]) * height) / diagonal
        )

    nearest = min(THIRDS, key=lambda name: distance(THIRDS[name]))
    return Subject(
        x=centre[0],
        y=centre[1],
        left=box[0],
        top=box[1],
        right=box[2],
        bottom=box[3],
        area=area,
        third_distance=distance(THIRDS[nearest]),
        centre_distance=distance((0.5, 0.5)),
        nearest_third=nearest,
        confidence=confidence,
    )


def _nobody(views: Views) -> Subject:
    """Nothing stands out: the whole frame, with no confidence."""
    return _placed(views, (0.5, 0.5), (0.0, 0.0, 1.0, 1.0), 1.0, 0.0)
