"""Photos whose truth is known: made scenes, and real photographs made worse."""

import math
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, rotate
from scipy.signal import fftconvolve

from mondrian.measurements import Measurements, Subject, measure
from mondrian.photos import Exif, Photo

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]


NO_HOME = Path(__file__).parent
"""A home without the network for the subject."""


def found(pixels: Any, home: Path = NO_HOME) -> Measurements:
    photo = Photo(pixels=bytes8(pixels), sha256="", format="PNG", name="x", exif=Exif())
    return measure(photo, home=home)


def subject_of(pixels: Any, home: Path) -> Subject:
    """What the network in ``home`` finds, which must be something."""
    subject = found(pixels, home).subject
    assert subject is not None
    return subject


def bytes8(values: Any) -> Pixels:
    """Round to a photo's bytes; a plane becomes a grey photo."""
    values = np.asarray(values)
    rounded = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return np.repeat(rounded[..., None], 3, axis=2) if rounded.ndim == 2 else rounded


@cache
def real(name: str) -> Pixels:
    from skimage import data

    return bytes8(getattr(data, name)())


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return bytes8(gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0)))


def convolved(pixels: Pixels, kernel: Floats) -> Pixels:
    margin = len(kernel) // 2
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    weights = (kernel / kernel.sum())[..., None]
    return bytes8(fftconvolve(padded.astype(float), weights, mode="valid", axes=(0, 1)))


def moved(pixels: Pixels, length: int, degrees: float) -> Pixels:
    """Blurred along a line, counter-clockwise from the horizontal."""
    side = 8 * (length + 2) + 1
    line = Image.new("L", (side, side))
    turn, middle = math.radians(degrees), side // 2
    away_x, away_y = 4 * (length - 1) * math.cos(turn), -4 * (length - 1) * math.sin(turn)
    ends = [(middle - away_x, middle - away_y), (middle + away_x, middle + away_y)]
    ImageDraw.Draw(line).line(ends, 255, 8)
    small = line.resize((length + 2 | 1, length + 2 | 1), Image.Resampling.BOX)
    return convolved(pixels, np.asarray(small, float))


def defocused(pixels: Pixels, radius: float) -> Pixels:
    y, x = np.mgrid[-radius - 1 : radius + 2, -radius - 1 : radius + 2]
    return convolved(pixels, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def tilted(pixels: Pixels, degrees: float, widest: float = 12) -> Pixels:
    """Turned clockwise, then cropped alike for all tilts so that no border tells."""
    height, width = pixels.shape[:2]
    turned = Image.fromarray(pixels).rotate(-degrees, Image.Resampling.BICUBIC)
    c, s = math.cos(math.radians(widest)), math.sin(math.radians(widest))
    scale = min(width / (width * c + height * s), height / (width * s + height * c))
    x, y = width * (1 - scale) / 2, height * (1 - scale) / 2
    return np.asarray(turned.crop((round(x), round(y), round(width - x), round(height - y))))


def brighter(pixels: Pixels, stops: float) -> Pixels:
    """Overexposed in linear light, as in a camera."""
    light = (pixels / 255) ** 2.2 * 2**stops
    return bytes8(255 * np.minimum(light, 1) ** (1 / 2.2))


def lit(pixels: Pixels, red: float, green: float, blue: float) -> Pixels:
    """``pixels`` in light of that colour: linear channels are multiplied, greys keep their luma."""
    gains = np.array((red, green, blue)) / (np.array((red, green, blue)) @ (0.2126, 0.7152, 0.0722))
    return bytes8(255 * ((pixels / 255.0) ** 2.2 * gains).clip(0, 1) ** (1 / 2.2))


def cloud(rng: np.random.Generator, shape: tuple[int, int], sigma: Any) -> Floats:
    """A smooth random field of standard deviation 1."""
    field = gaussian_filter(rng.normal(size=shape), sigma)
    return np.asarray(field / field.std())


def sea(tilt: float) -> Floats:
    """Sky over waves, with noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:400, :600]
    below = y - 170 - math.tan(math.radians(tilt)) * (x - 300)
    sky = 200 + below / 10 + 4 * cloud(rng, y.shape, 25)
    water = 165 - below / 12 + 6 * cloud(rng, y.shape, (1, 4))
    return np.asarray(np.where(below < 0, sky, water) + rng.normal(0, 4, y.shape))


def houses(tilt: float) -> Floats:
    """A street of flat roofs, walls and windows."""
    rng = np.random.default_rng(7)
    scene = 205 + 6 * cloud(rng, (640, 960), 30)
    for left in range(0, 960, 120):
        top, tone = int(rng.integers(200, 340)), rng.uniform(60, 150)
        scene[top:, left : left + 100] = tone
        for y in range(top + 15, 620, 30):
            scene[y : y + 14, left + 12 : left + 24] = tone + 40
            scene[y : y + 14, left + 60 : left + 72] = tone - 30
    turned = rotate(scene, -tilt, reshape=False, order=1, mode="nearest")
    return np.asarray(turned[120:520, 180:780] + rng.normal(0, 4, (400, 600)))


def ground_of(kind: str) -> Floats:
    y, x = np.mgrid[:320, :480]
    if kind == "gradient":
        return np.asarray(50 + y / 4 + x / 5)
    if kind == "textured":
        return 130 + 10 * cloud(np.random.default_rng(9), (320, 480), 2)
    return np.full(y.shape, 150.0)


def made_subject(ground: str, x: float, y: float, radius: int = 30) -> Pixels:
    """A red disc on a grey ground."""
    down, right = np.mgrid[:320, :480]
    pixels = np.repeat(ground_of(ground)[..., None], 3, axis=2)
    pixels[np.hypot(right - 480 * x, down - 320 * y) < radius] = (200, 60, 40)
    return bytes8(pixels + np.random.default_rng(10).normal(0, 3, pixels.shape))


def degraded(name: str) -> dict[str, Pixels]:
    """A real photograph as it is, blurred (sigma 3), tilted by 5° and overexposed by 1.75 stops."""
    pixels = real(name)
    return {
        "original": pixels,
        "blurred": blurred(pixels, 3),
        "tilted": tilted(pixels, 5),
        "overexposed": brighter(pixels, 1.75),
    }
