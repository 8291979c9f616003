"""Bursts and near duplicates: photos that look alike, by a perceptual hash and their times.

The hash is the difference hash: the photo in 9 x 8 grey points, a bit for each that is brighter
than its right neighbour (Neal Krawetz, "Kind of Like That", 2013).
"""

import io
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

ALIKE_BITS = 8
"""So many of 64 bits differ at most between near duplicates, whenever they were taken."""

BURST_BITS = 18
BURST_SECONDS = 10.0
"""So many may differ between photos that were taken so soon after each other."""

_CHUNK = 512


def hash_picture(jpeg: bytes) -> str:
    """Return the difference hash of a JPEG, as 16 hexadecimal digits."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("L", (72, 64))
        grey = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    points = np.asarray(grey)
    return np.packbits(points[:, :-1] > points[:, 1:]).tobytes().hex()


def group_alike(hashes: Sequence[str], times: Sequence[str | None]) -> list[list[int]]:
    """Return the groups of at least two photos that belong together, each sorted, by their places
    in ``hashes`` (empty: unknown) and ``times`` (ISO 8601, ``None``: unknown)."""
    bits = np.array([int(each or "0", 16) for each in hashes], dtype=np.uint64)
    known = np.array([bool(each) for each in hashes])
    seconds = np.array([_parse_seconds(each) for each in times], dtype=np.float64)
    parents = list(range(len(hashes)))
    for start in range(0, len(hashes), _CHUNK):
        for first, second in _find_pairs(bits, known, seconds, start):
            parents[_find_root(parents, second)] = _find_root(parents, first)
    groups: dict[int, list[int]] = {}
    for place in range(len(hashes)):
        groups.setdefault(_find_root(parents, place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _find_pairs(
    bits: NDArray[np.uint64], known: NDArray[np.bool_], seconds: NDArray[np.float64], start: int
) -> NDArray[np.intp]:
    """Return the pairs that belong together, the first of each in the chunk from ``start``."""
    chunk = slice(start, start + _CHUNK)
    distance = np.bitwise_count(bits[chunk, None] ^ bits[None, :])
    with np.errstate(invalid="ignore"):
        is_burst = np.abs(seconds[chunk, None] - seconds[None, :]) <= BURST_SECONDS
    is_alike = (distance <= ALIKE_BITS) | (is_burst & (distance <= BURST_BITS))
    pairs = np.argwhere(is_alike & known[chunk, None] & known[None, :])
    pairs[:, 0] += start
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _find_root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


def _parse_seconds(time: str | None) -> float:
    try:
        return datetime.fromisoformat(time or "").timestamp()
    except (ValueError, OverflowError):
        return float("nan")
