"""Photos whose truth is known: made scenes, and real photographs made worse.

``python tests/scenes.py`` prints how the measurements of four real photographs move when they are
blurred, tilted or overexposed.
"""

import math
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, rotate
from scipy.signal import fftconvolve

from mondrian.measurements import Measurements, measure
from mondrian.photos import Exif, Photo

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]


def found(pixels: Any) -> Measurements:
    return measure(Photo(pixels=bytes8(pixels), sha256="", format="PNG", name="x", exif=Exif()))


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


def gained(pixels: Pixels, red: float, green: float, blue: float) -> Pixels:
    return bytes8(pixels * np.array((red, green, blue)))


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


def woods(tilt: float) -> Floats:
    """The jagged silhouette of a level wood before the sky."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:400, :600]
    tops = 4 * np.abs(cloud(rng, (1, 600), (0, 4)))
    tops -= np.polyval(np.polyfit(x[0] - 300, tops[0], 1), x[0] - 300)
    below = y - 240 - math.tan(math.radians(tilt)) * (x - 300) + tops
    sky, land = 210 + 4 * cloud(rng, y.shape, 20), 60 + 10 * cloud(rng, y.shape, 1.5)
    return np.asarray(np.where(below < 0, sky, land) + rng.normal(0, 4, y.shape))


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


def _row(kind: str, figures: Measurements) -> str:
    exposure, sharpness, subject = figures.exposure, figures.sharpness, figures.subject
    tilt = figures.horizon.tilt_degrees
    return (
        f"{kind:12} luma {exposure.mean:.2f} p5-95 {exposure.percentiles[5]:.2f}-"
        f"{exposure.percentiles[95]:.2f} hi {exposure.clipped_highlights_percent:5.2f}% "
        f"lo {exposure.blocked_shadows_percent:5.2f}% DR {exposure.dynamic_range_stops:4.1f} "
        f"rms {figures.contrast.rms:.2f} | M {figures.colour.colourfulness:5.1f} "
        f"C {figures.colour.saturation:4.1f} {figures.colour.harmony} {figures.colour.cast} "
        f"{figures.colour.cast_strength:.0f} | sharp {sharpness.mean:.2f} "
        f"peak {sharpness.peak:.2f} "
        f"subj {-1 if sharpness.subject is None else sharpness.subject:.2f} {sharpness.blur} "
        f"noise {figures.noise_sigma:.1f} | tilt {'none' if tilt is None else f'{tilt:+.1f}'} "
        f"({figures.horizon.confidence:.2f}) | subject {subject.x:.2f},{subject.y:.2f} "
        f"area {subject.area:.2f} ({subject.confidence:.2f}) sep {figures.separation.score:.2f} | "
        f"lr {figures.balance.left_right:+.2f} tb {figures.balance.top_bottom:+.2f} | "
        f"falloff {figures.depth.sharpness_falloff:.2f} layers {figures.depth.tonal_layers:.2f} "
        f"haze {figures.depth.haze:.2f} conv {figures.depth.convergence:.2f}"
    )


if __name__ == "__main__":
    for photograph in ("astronaut", "chelsea", "coffee", "rocket"):
        print(photograph)
        for version, pixels in degraded(photograph).items():
            print("  " + _row(version, found(pixels)))
