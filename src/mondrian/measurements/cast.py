"""The colour cast: the colour of the light, told from the edges.

Grey-edge (van de Weijer, Gevers & Gijsenij, Edge-based color constancy, IEEE Transactions on Image
Processing 16, 2007): over a scene the differences at edges are grey, so that their mean has the
colour of the light. A coloured thing of whatever size has few edges within, and so it does not
count for more than what is around it. The mean is a Minkowski norm of power 6 of linear light.

A cast is told only if the pixels themselves agree (shades of grey: Finlayson & Trezzi 2004), if it
shows in dark and light, if little is left that is grey, and if the photo is no toned print. The
scene itself could have that colour, as a meadow or dry grass has: so the cast must be of the order
of the scene's spread of colours at most, or leave much that is grey once it is taken off.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mondrian.measurements.views import (
    REC709,
    Floats,
    Mask,
    Plane,
    Views,
    compute_slopes,
    find_lab,
    smooth,
)

LEAST = {"warm": 13.0, "cool": 10.5, "green": 13.0, "magenta": 13.0}
"""From where the eye sees a cast: a blue one sooner, for a scene is rather warm than blue."""
MOST = {"warm": 42.0, "cool": 42.0, "green": 30.0, "magenta": 30.0}
"""What is more is a colour: no lamp is greener than a fluorescent one."""
LEAST_PRIMARY = 0.01
"""Light that lacks one of red, green and blue is that of no lamp."""
MOST_OVER_GREY = 55.0
"""How strong a lamp's cast may be where much is grey without it."""
OWN_SPREAD, GREY_AFTER = 2.1, 0.25
MANY_COLOURS, SPREAD_OF_MANY = 12.5, 3.0
OF_LAMPS = ("warm", "cool")
"""Lamps and hours of the day are warm or cool; a green or magenta cast has to show more plainly."""
AGREEING_DEGREES, AGREEING_LENGTH = 44.0, 0.66
MOST_GREY, GREY, NEARLY_GREY = 0.3, 6.0, 8.0
TONED = 1.5
TONES = (12.0, 40.0, 65.0, 97.0)
LEAST_TONE = 0.04
LIKE_THE_CAST, LIKE_A_LAMP = 0.3, 0.15
DARK, CLIPPED = 20.0, 252
LEAST_USABLE = 0.05
GREY_LIGHTNESS, GREY_LIGHT = 60.0, 0.2812
# where each cast ends on the circle of CIELAB hues, in degrees
SECTORS = (("magenta", 10), ("warm", 110), ("green", 185), ("cool", 305), ("magenta", 360))


@dataclass(frozen=True, slots=True)
class Cast:
    """``name`` is ``none``, ``warm``, ``cool``, ``green`` or ``magenta``; ``a`` and ``b`` are the
    CIELAB a* and b* of what should be grey, at a lightness of 60."""

    name: str
    a: float
    b: float

    @property
    def strength(self) -> float:
        """Return how far from grey it is, in CIELAB units."""
        return math.hypot(self.a, self.b)


def find_cast(views: Views) -> Cast:
    """Return the colour of the light in the photo, and the name of the cast if it is one."""
    from scipy.ndimage import binary_erosion

    usable = binary_erosion(views.rgb.max(axis=2) < CLIPPED, border_value=1)
    light = views.linear_rgb
    if usable.mean() < LEAST_USABLE:
        return Cast("none", 0.0, 0.0)
    edges = _compute_norm(_find_edges(light)[usable])
    if edges.min() <= LEAST_PRIMARY * edges.max():
        return Cast("none", 0.0, 0.0)
    a, b = _find_shift(edges)
    found = Cast(_name_cast(a, b), a, b)
    is_cast = (
        LEAST[found.name] <= found.strength <= MOST_OVER_GREY
        and _agree((a, b), _find_shift(_compute_norm(light[usable])))
        and not _is_toned(views.lab)
        and _shows_in_all_tones(views.lab, found)
        and _is_from_light(views, found, edges, usable & (views.lab[..., 0] > DARK))
    )
    return found if is_cast else Cast("none", a, b)


def _name_cast(a: float, b: float) -> str:
    hue = math.degrees(math.atan2(b, a)) % 360
    return next((name for name, end in SECTORS if hue < end), "magenta")


def _find_edges(light: Floats) -> Floats:
    """Return the lengths of the gradients of each channel."""
    channels = (smooth(light[..., i].astype(np.float32), 1.0) for i in range(3))
    return np.stack([np.hypot(*compute_slopes(channel)) for channel in channels], -1).astype(
        np.float64
    )


def _compute_norm(values: Floats) -> Floats:
    """Return the Minkowski norm of power 6 over ``values``, of shape (n, 3)."""
    cubes = values * values * values
    return np.asarray((cubes * cubes).mean(axis=0) ** (1 / 6))


def _compute_luminance(light: Floats) -> float:
    return float(sum(light[i] * REC709[i] for i in range(3)))


def _find_shift(light: Floats) -> tuple[float, float]:
    """Return a* and b* of a grey of lightness 60 in light of that colour."""
    grey = np.clip(light / max(_compute_luminance(light), 1e-12) * GREY_LIGHT, 0, 1)
    _, a, b = find_lab(grey)
    return float(a), float(b)


def _agree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether ``other`` lies the same way as ``one``, and is not much shorter."""
    along = (one[0] * other[0] + one[1] * other[1]) / math.hypot(*one)
    narrow = math.cos(math.radians(AGREEING_DEGREES))
    return along >= max(AGREEING_LENGTH * math.hypot(*one), narrow * math.hypot(*other))


def _is_from_light(views: Views, cast: Cast, light: Floats, usable: Mask) -> bool:
    """Return whether little is grey, and whether the scene without the cast has more colours than
    that one, or much that is grey. A strong cast of a lamp leaves fewer colours, so that it may
    be larger where many are left."""
    chroma = np.hypot(views.lab[usable][:, 1], views.lab[usable][:, 2])
    if not usable.any() or (chroma < GREY).mean() > MOST_GREY:
        return False
    without = find_lab(
        np.clip(views.linear_rgb[usable] * (_compute_luminance(light) / light), 0, 1)
    )
    a, b = without[:, 1], without[:, 2]
    spread = math.sqrt(max(0.0, float(np.linalg.eigvalsh(np.cov(a, b))[-1])))
    is_lamp = cast.name in OF_LAMPS
    if (np.hypot(a, b) < NEARLY_GREY).mean() >= GREY_AFTER:
        return is_lamp or cast.strength <= MOST[cast.name]
    is_among_many = is_lamp and spread >= MANY_COLOURS
    most = (SPREAD_OF_MANY if is_among_many else OWN_SPREAD) * spread
    return cast.strength <= min(most, MOST[cast.name])


def _is_toned(lab: Plane) -> bool:
    """Return whether a* and b* depend on the lightness alone, as in a sepia print."""
    level = (lab[..., 0].ravel() / 5).astype(int)
    counts = np.maximum(np.bincount(level), 1)
    for channel in (lab[..., 1].ravel().astype(float), lab[..., 2].ravel().astype(float)):
        mean = np.bincount(level, channel) / counts
        if float(np.sqrt(((channel - mean[level]) ** 2).mean())) > TONED:
            return False
    return True


def _shows_in_all_tones(lab: Plane, cast: Cast) -> bool:
    """Return whether what has the least colour in the dark, middle and light tones leans that way,
    in none plainly the other way. A blue thing in warm light is nearly grey, so not all need to."""
    light, way = lab[..., 0], (cast.a / cast.strength, cast.b / cast.strength)
    tones = [(light >= low) & (light < high) for low, high in pairwise(TONES)]
    leans = [_measure_lean(lab[tone], way) for tone in tones if tone.mean() >= LEAST_TONE]
    if len(leans) < 2 or min(leans) < -LIKE_THE_CAST * cast.strength:
        return False
    enough = LIKE_A_LAMP if cast.name in OF_LAMPS else LIKE_THE_CAST
    return sum(leans) / len(leans) >= enough * cast.strength


def _measure_lean(lab: Plane, way: tuple[float, float]) -> float:
    """Return how far the least coloured tenth leans along ``way``, at a lightness of 60."""
    scale = GREY_LIGHTNESS / np.maximum(lab[:, 0], 1)
    a, b = lab[:, 1] * scale, lab[:, 2] * scale
    chroma = np.hypot(a, b)
    least = chroma <= np.quantile(chroma, 0.1)
    return float((a[least] * way[0] + b[least] * way[1]).mean())
