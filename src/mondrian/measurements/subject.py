"""The main subject, as the eye finds it, by a network for salient objects.

The network is U²-Net-p (Qin et al., U²-Net: Going deeper with nested U-structure for salient object
detection, Pattern Recognition 106, 2020). It answers with a map of 320 × 320, from 0 to 1. The
subject is what lies above 0.5: the largest part, and those of at least a fifth of it. The network
also tells how sure it is: of a photo without a subject the highest value stays low, and of a
pattern or a page of text the map hangs between.

It knows no names: that something draws the eye does not say what it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.values import Subject
from mondrian.measurements.views import SQUARE_PIXELS, Mask, Plane, Views

Network: TypeAlias = Callable[[Plane], Plane]

SIDE = SQUARE_PIXELS
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
INSIDE = 0.5
LEAST_PART = 0.2
LEAST_PEAK = 0.95
LEAST_MEAN = 0.8
"""How high the map must reach, and how high it must be within the subject: the photos with a
subject have more, of 13 without one 11 have less."""
THIRDS = {
    "upper left": (1 / 3, 1 / 3),
    "upper right": (2 / 3, 1 / 3),
    "lower left": (1 / 3, 2 / 3),
    "lower right": (2 / 3, 2 / 3),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """The network's result: the ``subject`` with its ``mask`` (320 × 320), both ``None`` without
    one, and the highest value of its map, ``None`` where there is no network."""

    subject: Subject | None
    mask: Mask | None
    peak: float | None


def find(views: Views, network: Path | None) -> Found:
    """Find the main subject with the ``network`` at that path; without it there is none."""
    if network is None:
        return Found(subject=None, mask=None, peak=None)
    saliency = open_network(network)(_make_input(views))
    peak, mask = float(saliency.max()), _main_parts(saliency > INSIDE)
    if peak < LEAST_PEAK or float(saliency[mask].mean()) < LEAST_MEAN:
        return Found(subject=None, mask=None, peak=peak)
    return Found(subject=_make_subject(views, mask, saliency, peak), mask=mask, peak=peak)


@cache
def open_network(path: Path) -> Network:
    """Return the network, opened once in a process. One thread: it shares the machine with others,
    and its answers must not depend on their number."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps 200 MB, and saves 1.5 % of the time
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(picture: Plane) -> Plane:
        saliency = session.run([session.get_outputs()[0].name], {name: picture})[0]
        return np.asarray(saliency[0, 0], np.float32)

    return run


def _make_input(views: Views) -> Plane:
    """Return the photo as the network was trained on it, of shape (1, 3, 320, 320)."""
    levels = views.square.astype(np.float32)
    levels = levels / max(float(levels.max()), 1.0)
    return np.ascontiguousarray(((levels - MEAN) / DEVIATION).transpose(2, 0, 1)[None])


def _main_parts(inside: Mask) -> Mask:
    from scipy.ndimage import label

    parts, _ = label(inside)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(inside & (sizes >= LEAST_PART * sizes.max())[parts], bool)


def _make_subject(views: Views, mask: Mask, saliency: Plane, peak: float) -> Subject:
    weight = np.where(mask, saliency, 0).astype(np.float64)
    left, right = _find_extent(np.flatnonzero(mask.any(axis=0)))
    top, bottom = _find_extent(np.flatnonzero(mask.any(axis=1)))
    height, width = views.pixels.shape[:2]
    places = (np.arange(SIDE) + 0.5) / SIDE
    x = float((weight.sum(axis=0) * places).sum() / weight.sum())
    y = float((weight.sum(axis=1) * places).sum() / weight.sum())

    def measure_distance(place: tuple[float, float]) -> float:
        across, down = (x - place[0]) * width, (y - place[1]) * height
        return math.hypot(across, down) / math.hypot(width, height)

    nearest = min(THIRDS, key=lambda name: measure_distance(THIRDS[name]))
    return Subject(
        x=x,
        y=y,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        area=float(mask.mean()),
        third_distance=measure_distance(THIRDS[nearest]),
        centre_distance=measure_distance((0.5, 0.5)),
        nearest_third=nearest,
        confidence=min(1.0, peak),
    )


def _find_extent(places: NDArray[np.intp]) -> tuple[float, float]:
    return float(places[0]) / SIDE, float(places[-1] + 1) / SIDE
