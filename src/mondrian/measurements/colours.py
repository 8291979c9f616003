"""Colour: the main colours and their harmony, the cast, colourfulness and chroma."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mondrian.measurements.cast import find_cast
from mondrian.measurements.colour_names import name_colour
from mondrian.measurements.values import Colour, DominantColour
from mondrian.measurements.views import Plane, Views, smooth

CLUSTERS = 8
MERGE_DISTANCE = 14.0
LEAST_SHARE = 0.02
MOST_COLOURS = 5
COLOURED = 8.0
ACCENT_CHROMA, ACCENT_DEGREES = 40.0, 70.0
LEAST_ACCENT, MOST_ACCENT = 0.001, 0.06
"""An accent is stronger than 40 in chroma and 70° of hue away from the mean colour. More than 6 %
of the frame is no accent, and of many spots none is."""
# each harmony with its even sectors and the width of each in degrees
HARMONIES = (("analogous", 1, 90), ("complementary", 2, 80))
WIDER_HARMONIES = (("analogous", 1, 120), ("triadic", 3, 50))
STEPS = 72  # of 5° around the wheel
THIRD, OPPOSED_DEGREES, LEAST_OPPOSED, CLOSE = STEPS // 3, 120, 0.05, 0.8
# CIELAB hues of the painters' colours, and their places on the painters' wheel
PAINTERS_LAB = (36, 62, 98, 140, 275, 318, 396)
PAINTERS_WHEEL = (0, 60, 120, 180, 240, 300, 360)


def measure_colour(views: Views) -> Colour:
    """Return the colours of the photo, from the glance; colourfulness from all pixels."""
    chroma = np.hypot(views.lab[..., 1], views.lab[..., 2])
    cast = find_cast(views)
    return Colour(
        dominant=_find_dominant(views),
        harmony=_classify_harmony(views.lab, chroma),
        cast=cast.name,
        cast_a=cast.a,
        cast_b=cast.b,
        cast_strength=cast.strength,
        colourfulness=_compute_colourfulness(views.pixels),
        saturation=float(chroma.mean(dtype=np.float64)),
        accent=_find_accent(views.lab, chroma),
    )


def _find_accent(lab: Plane, chroma: Plane) -> DominantColour | None:
    """Return the one small part of strong colour whose hue lies far from that of all the rest."""
    from scipy.ndimage import label

    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    a, b = (float(lab[..., axis].mean(dtype=np.float64)) for axis in (1, 2))
    apart = np.abs((hue - math.degrees(math.atan2(b, a)) + 180) % 360 - 180)
    far = chroma >= ACCENT_CHROMA
    if math.hypot(a, b) >= COLOURED / 2:
        far &= apart >= ACCENT_DEGREES
    regions, _ = label(far, np.ones((3, 3)))
    sizes = np.bincount(regions[far], minlength=1)
    largest = int(np.argmax(sizes))
    share = float(sizes[largest]) / far.size
    if not LEAST_ACCENT <= share <= MOST_ACCENT or sizes[largest] < far.sum() / 2:
        return None
    part = regions == largest
    y, x = (float(places.mean() + 0.5) for places in np.nonzero(part))
    return _make_dominant_colour(
        lab[part].mean(axis=0), share, (x / far.shape[1], y / far.shape[0])
    )


def _find_dominant(views: Views) -> tuple[DominantColour, ...]:
    """Clusters of the glance in CIELAB by k-means (Lloyd 1982), started from a median cut.

    Clusters closer than ΔE 14 (CIE 1976) count as one colour, under 2 % of the frame as none.
    """
    grid = np.ascontiguousarray(views.lab[::2, ::2])
    points = grid.reshape(-1, 3)
    centres, shares = _merge(*_move_clusters(points, _cut_at_median(views.rgb[::2, ::2])))
    order = np.argsort(-shares, kind="stable")[:MOST_COLOURS]
    places = _find_places(grid, centres)
    return tuple(
        _make_dominant_colour(centres[i], float(shares[i]), places[i])
        for i in order
        if shares[i] >= LEAST_SHARE or i == order[0]
    )


def _find_places(grid: Plane, centres: Plane) -> list[tuple[float, float]]:
    """For each of ``centres`` the place in the frame around which most of ``grid`` has its colour,
    in fractions of width and height."""
    height, width = grid.shape[:2]
    distances = np.stack([((grid - centre) ** 2).sum(axis=2) for centre in centres])
    nearest, places = distances.argmin(axis=0), []
    for number in range(len(centres)):
        dense = smooth((nearest == number).astype(np.float32), max(height, width) / 16)
        y, x = divmod(int(np.argmax(np.where(nearest == number, dense, -1))), width)
        places.append(((x + 0.5) / width, (y + 0.5) / height))
    return places


def _make_dominant_colour(lab: Plane, share: float, place: tuple[float, float]) -> DominantColour:
    from skimage.color import lab2rgb

    with np.errstate(all="ignore"):
        red, green, blue = np.round(lab2rgb(lab.astype(float)) * 255).astype(int).clip(0, 255)
    code = f"#{red:02x}{green:02x}{blue:02x}"
    return DominantColour(hex=code, name=name_colour(lab), share=share, x=place[0], y=place[1])


def _cut_at_median(rgb: NDArray[np.uint8]) -> Plane:
    from PIL import Image
    from skimage.color import rgb2lab

    cut = Image.fromarray(np.ascontiguousarray(rgb)).quantize(CLUSTERS, Image.Quantize.MEDIANCUT)
    palette = np.array(cut.getpalette(), float).reshape(-1, 3)[:CLUSTERS] / 255
    return np.asarray(rgb2lab(np.unique(palette, axis=0)), np.float32)


def _move_clusters(points: Plane, centres: Plane, rounds: int = 12) -> tuple[Plane, Plane]:
    """Return the ``centres`` moved to the means of the points nearest to them, and their shares."""
    from scipy.cluster.vq import vq

    for _ in range(rounds):
        nearest, _ = vq(points, centres)
        counts = np.bincount(nearest, minlength=len(centres))
        sums = [np.bincount(nearest, points[:, i], len(centres)) for i in range(3)]
        filled = counts > 0
        centres = (np.stack(sums, 1)[filled] / counts[filled, None]).astype(np.float32)
        counts = counts[filled]
    return centres, (counts / counts.sum()).astype(np.float32)


def _merge(centres: Plane, shares: Plane) -> tuple[Plane, Plane]:
    """Join the two nearest clusters until all are at least ΔE 14 apart."""
    while len(centres) > 1:
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
        apart += np.diag(np.full(len(centres), np.inf, np.float32))
        i, j = sorted(map(int, np.unravel_index(np.argmin(apart), apart.shape)))
        if apart[i, j] >= MERGE_DISTANCE:
            break
        centres[i] = np.average(centres[[i, j]], axis=0, weights=shares[[i, j]])
        shares[i] += shares[j]
        centres, shares = np.delete(centres, j, 0), np.delete(shares, j)
    return centres, shares


def _classify_harmony(lab: Plane, chroma: Plane) -> str:
    """Return how the hues stand to each other on the painters' wheel (Itten, The Art of Color,
    1961).

    Hues are weighed by chroma and matched to sectors that turn around the wheel, as the hue
    templates of Cohen-Or et al. (Color harmonization, SIGGRAPH 2006): one sector of 90°, two of
    80° opposite each other, colours with an opposite, one of 120°, which is a third of the wheel,
    as of grass and sky, three of 50°, 120° apart. The first that holds 85 % of the weight names the
    harmony; each of several sectors must hold a tenth.
    """
    coloured = chroma >= COLOURED
    if coloured.mean() < 0.05 or chroma.mean() < COLOURED / 2:
        return "monochrome"
    hues = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))[coloured]
    hues = (hues - PAINTERS_LAB[0]) % 360 + PAINTERS_LAB[0]
    wheel = np.interp(hues, PAINTERS_LAB, PAINTERS_WHEEL) % 360
    weight = np.bincount((wheel // 5).astype(int) % STEPS, chroma[coloured], STEPS)
    weight = weight / weight.sum()
    if name := _find_fitting(weight, HARMONIES):
        return name
    if _has_opposite(weight):
        return "complementary"
    return _find_fitting(weight, WIDER_HARMONIES) or "mixed"


def _find_fitting(
    weight: NDArray[np.float64], harmonies: Sequence[tuple[str, int, int]]
) -> str | None:
    """Return the first harmony whose even sectors hold the weight somewhere."""
    for name, sectors, width in harmonies:
        sums = _sum_sectors(weight, width // 5)
        held = np.stack([np.roll(sums, -k * STEPS // sectors) for k in range(sectors)])
        if ((held.sum(0) >= 0.85) & (held.min(0) >= 0.1)).any():
            return name
    return None


def _has_opposite(weight: NDArray[np.float64]) -> bool:
    """Return whether a third of the wheel and that opposite hold the weight, the lesser at least a
    twentieth, each close together and their means 120° apart: a blue bird with an orange breast."""
    turned = weight * np.exp(2j * np.pi * np.arange(STEPS) / STEPS)
    sums, means = _sum_sectors(weight, THIRD), _sum_sectors(turned, THIRD)
    others, other_means = np.roll(sums, STEPS // 2), np.roll(means, STEPS // 2)
    held = np.where(np.minimum(sums, others) >= LEAST_OPPOSED, sums + others, 0)
    best = int(held.argmax())
    pair = np.array([means[best], other_means[best]])
    is_close = abs(pair) >= CLOSE * np.array([sums[best], others[best]])
    apart = abs(np.degrees(np.angle(pair[0] * np.conj(pair[1]))))
    return bool(held[best] >= 0.85 and is_close.all() and apart >= OPPOSED_DEGREES)


def _sum_sectors(values: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the sums of ``width`` steps from each step on."""
    return np.array([np.take(values, range(i, i + width), mode="wrap").sum() for i in range(STEPS)])


def _compute_colourfulness(pixels: NDArray[np.uint8], rows: int = 8) -> float:
    """M of Hasler & Süsstrunk (Measuring colourfulness in natural images, SPIE 5007, 2003).

    From the opponent channels rg = R - G and yb = (R + G) / 2 - B of 8-bit sRGB, over all pixels:
    M = hypot(σrg, σyb) + 0.3 · hypot(μrg, μyb). The sums are of whole numbers, and so exact.
    """
    sums = np.zeros(4)
    for top in range(0, len(pixels), rows):
        red, green, blue = np.moveaxis(pixels[top : top + rows].astype(np.int32), 2, 0)
        rg, yb = red - green, red + green - 2 * blue
        sums += (rg.sum(), yb.sum() / 2, (rg * rg).sum(), (yb * yb).sum() / 4)
    sums /= pixels.shape[0] * pixels.shape[1]
    deviation = math.sqrt(max(0.0, sums[2] - sums[0] ** 2 + sums[3] - sums[1] ** 2))
    return deviation + 0.3 * math.hypot(sums[0], sums[1])
