"""The uniform margins around a picture: frames, mats, letterboxes, the edges of a scan.

A margin is of one colour and ends at a straight edge along which most of the picture differs from
it. So the plain ground of a cut-out, a studio's black or a clear sky is none: where those end,
only some of the row does.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.values import Margins

Pixels: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = NDArray[np.int16]

LEVELS = 14
UNIFORM = 0.98
DEEPEST = 0.4
RAGGED = 0.015
EDGE = 0.6
MOST_FRAMES = 3
LEAST_SIDE = 32
SIDES = ("left", "top", "right", "bottom")
LETTERBOXES = (("top", "bottom"), ("left", "right"))
NONE = Margins(left=0, top=0, right=0, bottom=0)


def find_margins(pixels: Pixels) -> Margins:
    """Return the margins of ``pixels``, of shape (height, width, 3), in pixels.

    A frame may lie in a frame: up to three are taken off. Each has one colour, and four sides or,
    as a letterbox, two opposite ones.
    """
    margins = NONE
    for _ in range(MOST_FRAMES):
        found = _find_frame(crop(pixels, margins))
        if found == NONE:
            break
        margins = Margins(**{side: getattr(margins, side) + getattr(found, side) for side in SIDES})
    return margins


def crop(pixels: Pixels, margins: Margins) -> Pixels:
    """Return the part of ``pixels`` inside ``margins``, as a view."""
    height, width = pixels.shape[:2]
    return pixels[margins.top : height - margins.bottom, margins.left : width - margins.right]


def _find_frame(pixels: Pixels) -> Margins:
    if min(pixels.shape[:2]) < LEAST_SIDE:
        return NONE
    colours = {side: _find_colour(_view_rows(pixels, side)) for side in SIDES}
    runs = {side: _count_run(_view_rows(pixels, side), colours[side]) for side in SIDES}
    found = (_find_sides(pixels, sides, runs, colours) for sides in (SIDES, *LETTERBOXES))
    return next((margins for margins in found if margins), NONE)


def _find_sides(
    pixels: Pixels,
    sides: Sequence[str],
    runs: Mapping[str, int],
    colours: Mapping[str, Colour],
) -> Margins | None:
    """Return the margins at ``sides``, if they are of one colour and half of them end at an edge.

    At the others the picture has the margin's colour, as a white sky has in a white frame: those
    are taken to be as wide as the widest.
    """
    if not all(runs[side] and _is_alike(colours[side], colours[sides[0]]) for side in sides):
        return None
    edges = _find_edges(pixels, {side: runs[side] for side in sides}, colours)
    sure = [depth for depth in edges.values() if depth is not None]
    if 2 * len(sure) < len(sides):
        return None
    widest = max(sure)
    depths = {side: edges[side] or min(runs[side], widest) for side in sides}
    return Margins(**{side: depths.get(side, 0) for side in SIDES})


def _view_rows(pixels: Pixels, side: str) -> Pixels:
    """Return a view of ``pixels`` whose first rows are those at ``side``."""
    rows = pixels if side in ("top", "bottom") else pixels.transpose(1, 0, 2)
    return rows if side in ("left", "top") else rows[::-1]


def _find_colour(rows: Pixels) -> Colour:
    return np.asarray(np.median(rows[0], axis=0), np.int16)


def _is_alike(one: Colour, other: Colour) -> bool:
    return int(np.abs(one - other).max()) <= LEVELS


def _count_run(rows: Pixels, colour: Colour) -> int:
    """Return how many of the first rows are all of ``colour``; none where it does not end."""
    most = round(DEEPEST * len(rows))
    deep = _count_while(rows, colour, UNIFORM, most)
    return deep if deep < most else 0


def _find_edges(
    pixels: Pixels, runs: Mapping[str, int], colours: Mapping[str, Colour]
) -> dict[str, int | None]:
    """Return how deep the margin at each side is where it ends at an edge, else ``None``. Rows that
    are of the margin in part, as of a ragged frame, belong to it."""
    found: dict[str, int | None] = {}
    for side, run in runs.items():
        rows = _view_rows(pixels, side)
        before, after = ("top", "bottom") if side in ("left", "right") else ("left", "right")
        inside = rows[:, runs.get(before, 0) : rows.shape[1] - runs.get(after, 0)]
        ragged = max(2, round(RAGGED * len(rows)))
        deep = run + _count_while(inside[run:], colours[side], 0.5, ragged)
        is_apart = ~_is_near(inside[deep : deep + 3], colours[side]).all(axis=0)
        found[side] = deep if is_apart.mean() >= EDGE else None
    return found


def _count_while(rows: Pixels, colour: Colour, share: float, most: int) -> int:
    """Return how many of the first rows, at most ``most``, are of ``colour`` to that ``share``."""
    for start in range(0, most, 16):
        near = _is_near(rows[start : min(start + 16, most)], colour).mean(axis=1)
        if (near < share).any():
            return start + int(np.argmax(near < share))
    return most


def _is_near(rows: Pixels, colour: Colour) -> NDArray[np.bool_]:
    return np.asarray(np.abs(rows.astype(np.int16) - colour).max(axis=2) <= LEVELS)
