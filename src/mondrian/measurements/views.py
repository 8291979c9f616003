"""The sizes at which a photo is looked at: all of its pixels, on a screen, at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]

SCREEN_PIXELS = 1600
GLANCE_PIXELS = 320
SQUARE_PIXELS = 320
BAND = 256
"""So many rows are packed at a time: Pillow copies what it is given."""
REC709 = (0.2126, 0.7152, 0.0722, 0.0)
XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
D65 = (0.95047, 1.0, 1.08883)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views:
    """One photo at its sizes.

    ``pixels`` is the photo itself, uint8 of shape (height, width, 3). ``luma_counts`` are the
    pixels of each 8-bit luma from 0 to 255, at full size. ``screen`` is luma from 0 to 1 with the
    long side at most 1600 pixels, as a person sees a photo that fills a screen. The glance is at
    most 320 pixels long: ``glance`` is its luma, ``lab`` CIELAB (D65) of shape (h, w, 3),
    ``linear_rgb`` linear light of shape (h, w, 3) from 0 to 1, ``linear`` its luminance, ``rgb``
    uint8 sRGB, and ``white`` and ``black`` the share of each part's pixels that is clipped, from 0
    to 1. ``square`` is uint8 sRGB of shape (320, 320, 3), the whole photo squeezed into it.
    """

    pixels: NDArray[np.uint8]
    luma_counts: NDArray[np.int64]
    screen: Plane
    glance: Plane
    lab: Plane
    linear_rgb: Floats
    linear: Plane
    rgb: NDArray[np.uint8]
    square: NDArray[np.uint8]
    white: Plane
    black: Plane


def look(pixels: NDArray[np.uint8]) -> Views:
    """Make the views of ``pixels``, uint8 sRGB of shape (height, width, 3)."""
    photo = _pack(pixels)
    luma = photo.convert("L", REC709)
    rgb = np.asarray(_shrink(photo, GLANCE_PIXELS, Image.Resampling.BOX))
    square = photo.resize((SQUARE_PIXELS,) * 2, Image.Resampling.LANCZOS, reducing_gap=3.0)
    del photo  # a third more than the pixels
    screen = _shrink(luma, SCREEN_PIXELS, Image.Resampling.LANCZOS)
    light = _linearise(rgb)
    return Views(
        pixels=pixels,
        luma_counts=np.array(luma.histogram(), np.int64),
        screen=np.asarray(screen, np.float32) / np.float32(255),
        glance=_compute_luma(rgb.astype(np.float32)) / np.float32(255),
        lab=find_lab(light),
        linear_rgb=light,
        linear=_compute_luma(light.astype(np.float32)),
        rgb=rgb,
        square=np.asarray(square),
        white=_compute_share(luma, [level >= 254 for level in range(256)]),
        black=_compute_share(luma, [level <= 1 for level in range(256)]),
    )


def _pack(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return ``pixels`` as an image. They may be a view: no second copy of them is made."""
    height, width = pixels.shape[:2]
    image = Image.new("RGB", (width, height))
    for top in range(0, height, BAND):
        image.paste(Image.fromarray(pixels[top : top + BAND]), (0, top))
    return image


def _compute_share(luma: Image.Image, levels: Sequence[bool]) -> Plane:
    """Return how much of each part of the glance is of the ``levels``."""
    chosen = luma.point([255 * is_chosen for is_chosen in levels])
    small = _shrink(chosen, GLANCE_PIXELS, Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def _shrink(image: Image.Image, longest: int, filter_: Image.Resampling) -> Image.Image:
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), filter_, reducing_gap=3.0)


def _linearise(rgb: NDArray[np.uint8]) -> Floats:
    """Return the linear light, from 0 to 1, of 8-bit sRGB (IEC 61966-2-1)."""
    values = np.arange(256) / 255
    curve = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.asarray(curve[rgb])


def find_lab(light: Floats) -> Plane:
    """Return the CIELAB (CIE 15, white point D65) of linear sRGB, both of shape (…, 3).

    Element by element and in steps of 1/1024, so that no CPU's matrix product or last bit tells.
    """
    red, green, blue = (light[..., channel] for channel in range(3))
    x, y, z = (
        _compute_lightness((row[0] * red + row[1] * green + row[2] * blue) / white)
        for row, white in zip(XYZ_OF_RGB, D65, strict=True)
    )
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
    return (np.round(lab * 1024) / 1024).astype(np.float32)


def _compute_lightness(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the function f of CIELAB."""
    return np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)


def _compute_luma(rgb: Plane) -> Plane:
    """Return the weighted sum of the channels, not as a matrix product: CPUs round it
    differently."""
    red, green, blue = (rgb[..., i] * np.float32(weight) for i, weight in enumerate(REC709[:3]))
    return np.asarray(red + green + blue)


def smooth(plane: Plane, sigma: float) -> Plane:
    """Return ``plane`` blurred by a Gaussian of ``sigma`` pixels; its edges are mirrored."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(plane, sigma, truncate=3.0), np.float32)


def compute_slopes(plane: Plane) -> tuple[Plane, Plane]:
    """Return the change per pixel to the right and downward, by central differences."""
    padded = np.pad(plane, 1, mode="edge")
    right = (padded[1:-1, 2:] - padded[1:-1, :-2]) / np.float32(2)
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / np.float32(2)
    return right, down
