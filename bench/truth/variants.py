"""Variants that are made of clean photos, so that their truth follows from the making.

``VARIANTS`` are those of the truth set: id to (parent, operation, parameters). ``STRENGTHS`` has
for each made fault three strengths of one operation.
"""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

Parameters: TypeAlias = Mapping[str, Any]
Levels: TypeAlias = NDArray[np.float64]

LONGEST = 1600

VARIANTS: Mapping[str, tuple[str, str, Parameters]] = {
    "v-blur-kingfisher": ("gc-kingfisher", "blur", {"sigma": 6}),
    "v-blur-picos": ("lo-picosdeeuropa", "blur", {"sigma": 5}),
    "v-blur-leuven": ("cv-leuven", "blur", {"sigma": 3}),
    "v-select-cat": ("gc-cat", "select", {"sigma": 7, "ellipse": (0.15, 0.08, 0.75, 0.78)}),
    "v-select-horse": ("gc-horse", "select", {"sigma": 7, "ellipse": (0.05, 0.2, 0.95, 1.0)}),
    "v-motion-horse": ("gc-horse", "motion", {"length": 25, "degrees": 30}),
    "v-motion-graf": ("cv-graf", "motion", {"length": 21, "degrees": 90}),
    "v-tilt2-mont": ("gc-montstmichel", "tilt", {"degrees": 2}),
    "v-tilt7-leuven": ("cv-leuven", "tilt", {"degrees": 7}),
    "v-tilt2-road": ("sg-road", "tilt", {"degrees": -2}),
    "v-tilt7-opera": ("gc-operasidney", "tilt", {"degrees": -7}),
    "v-tilt4-mont-border": ("gc-montstmichel", "tilt_border", {"degrees": 4, "width": 24}),
    "v-over-mont": ("gc-montstmichel", "stops", {"stops": 1.5}),
    "v-under-cat": ("gc-cat", "stops", {"stops": -3.5}),
    "v-bright-mont": ("gc-montstmichel", "levels", {"low": 0.48, "high": 0.97}),
    "v-flat-horse": ("gc-horse", "levels", {"low": 0.36, "high": 0.62}),
    "v-clip-horse": ("gc-horse", "clip", {"black": 0.12, "white": 0.72}),
    "v-cast-warm-mont": ("gc-montstmichel", "cast", {"rgb": (1.55, 1.0, 0.5)}),
    "v-cast-magenta-bridge": ("lo-bridge", "cast", {"rgb": (1.25, 0.72, 1.25)}),
    "v-noise-horse": ("gc-horse", "noise", {"sigma": 25, "seed": 2}),
    "v-mat-kingfisher": ("gc-kingfisher", "mat", {"width": 0.09}),
    "v-jpeg8-horse": ("gc-horse", "jpeg", {"quality": 8}),
    "v-grey-kingfisher": ("gc-kingfisher", "grey", {}),
    "v-sepia-castle": ("gc-palaisdespapes", "sepia", {}),
}

STRENGTHS: Mapping[str, tuple[str, tuple[Parameters, ...]]] = {
    "blur": ("blur", tuple({"sigma": sigma} for sigma in (2.5, 4, 7))),
    "motion": ("motion", tuple({"length": length, "degrees": 30} for length in (13, 21, 35))),
    "tilt": ("tilt", tuple({"degrees": degrees} for degrees in (2, 4, 7))),
    "underexposure": ("stops", tuple({"stops": stops} for stops in (-2.5, -3.25, -4))),
    "overexposure": ("stops", tuple({"stops": stops} for stops in (1, 1.75, 2.5))),
    "clipping": (
        "clip",
        (
            {"black": 0.1, "white": 0.76},
            {"black": 0.16, "white": 0.66},
            {"black": 0.24, "white": 0.56},
        ),
    ),
    "cast": (
        "cast",
        ({"rgb": (1.4, 1.0, 0.6)}, {"rgb": (1.6, 1.0, 0.47)}, {"rgb": (1.8, 1.0, 0.35)}),
    ),
    "noise": ("noise", tuple({"sigma": sigma, "seed": 2} for sigma in (14, 25, 40))),
    "haze": ("haze", tuple({"clear": clear} for clear in (0.45, 0.33, 0.22))),
}
"""Each made fault: its operation, and three strengths of it. The weakest is seen in most photos."""


def make_variant(path: Path, operation: str, parameters: Parameters) -> Image.Image:
    """Return what ``operation`` makes of the photo at ``path``, at most 1600 pixels long."""
    return OPERATIONS[operation](read_parent(path), **parameters)


def read_parent(path: Path) -> Image.Image:
    """Return the photo at ``path``, upright, RGB, at most 1600 pixels long."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return image


def _levels(image: Image.Image) -> Levels:
    return np.asarray(image, dtype=np.float64) / 255


def _image(levels: Levels) -> Image.Image:
    return Image.fromarray((np.clip(levels, 0, 1) * 255 + 0.5).astype("uint8"))


def _linear(levels: Levels) -> Levels:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _gamma(light: Levels) -> Levels:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _blur(image: Image.Image, sigma: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def _select(image: Image.Image, sigma: float, ellipse: tuple[float, ...]) -> Image.Image:
    """Blur all outside of an ellipse (left, top, right, bottom, as shares)."""
    left, top, right, bottom = ellipse
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.02 * max(image.size)))
    return Image.composite(image, _blur(image, sigma), mask)


def _motion(image: Image.Image, length: int, degrees: float) -> Image.Image:
    pad = length
    levels = np.pad(_levels(image), ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    reach, turn = (length - 1) / 2, math.radians(degrees)
    steps = np.linspace(-reach, reach, length)
    moved = (
        np.roll(levels, (round(-step * math.sin(turn)), round(step * math.cos(turn))), (0, 1))
        for step in steps
    )
    total: Levels = sum(moved, start=np.zeros_like(levels))
    return _image(total[pad:-pad, pad:-pad] / length)


def _tilt(image: Image.Image, degrees: float) -> Image.Image:
    """Turn clockwise and crop to what is left of the frame in the same shape."""
    width, height = image.size
    turn = math.radians(abs(degrees))
    scale = 1 / (math.cos(turn) + max(width / height, height / width) * math.sin(turn))
    turned = image.rotate(-degrees, Image.Resampling.BICUBIC)
    across, down = int(width * scale) - 2, int(height * scale) - 2
    left, top = (width - across) // 2, (height - down) // 2
    return turned.crop((left, top, left + across, top + down))


def _tilt_border(image: Image.Image, degrees: float, width: int) -> Image.Image:
    return ImageOps.expand(_tilt(image, degrees), width, "white")


def _stops(image: Image.Image, stops: float) -> Image.Image:
    return _image(_gamma(_linear(_levels(image)) * 2**stops))


def _squeeze(image: Image.Image, low: float, high: float) -> Image.Image:
    return _image(low + (high - low) * _levels(image))


def _clip(image: Image.Image, black: float, white: float) -> Image.Image:
    return _image((_levels(image) - black) / (white - black))


def _cast(image: Image.Image, rgb: tuple[float, ...]) -> Image.Image:
    """Multiply the linear channels, and keep the luminance of grey."""
    gains = np.array(rgb) / (np.array(rgb) @ [0.2126, 0.7152, 0.0722])
    return _image(_gamma(_linear(_levels(image)) * gains))


def _haze(image: Image.Image, clear: float) -> Image.Image:
    """Leave so much of the light, and let bluish air light take the place of the rest."""
    air = np.array([0.55, 0.58, 0.62])
    return _image(_gamma(_linear(_levels(image)) * clear + air * (1 - clear)))


def _noise(image: Image.Image, sigma: float, seed: int) -> Image.Image:
    size = (image.height, image.width, 3)
    return _image(_levels(image) + np.random.default_rng(seed).normal(0, sigma / 255, size))


def _mat(image: Image.Image, width: float) -> Image.Image:
    framed = ImageOps.expand(image, 3, (60, 50, 40))
    return ImageOps.expand(framed, round(width * max(image.size)), (238, 232, 218))


def _border(image: Image.Image, width: float, colour: str) -> Image.Image:
    return ImageOps.expand(image, round(width * max(image.size)), colour)


def _grey(image: Image.Image) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _sepia(image: Image.Image) -> Image.Image:
    tone = _levels(ImageOps.grayscale(image))[..., None]
    return _image(tone ** np.array([0.78, 1.0, 1.38]))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


OPERATIONS: Mapping[str, Callable[..., Image.Image]] = {
    "blur": _blur,
    "select": _select,
    "motion": _motion,
    "tilt": _tilt,
    "tilt_border": _tilt_border,
    "stops": _stops,
    "levels": _squeeze,
    "clip": _clip,
    "cast": _cast,
    "noise": _noise,
    "haze": _haze,
    "mat": _mat,
    "border": _border,
    "grey": _grey,
    "sepia": _sepia,
    "jpeg": _jpeg,
}
