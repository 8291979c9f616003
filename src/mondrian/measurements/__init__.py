"""``Photo`` becomes ``Measurements``: what can be measured in a photograph, and nothing more.

Coordinates are fractions of the frame: x from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).
Luma is that of Rec. 709 on sRGB values, from 0 (black) to 1 (white).
"""

from mondrian.measurements.values import (
    Balance,
    Colour,
    Contrast,
    Depth,
    DominantColour,
    Exposure,
    Horizon,
    Measurements,
    Separation,
    Sharpness,
    Subject,
)
from mondrian.photos import Exif, Photo

__all__ = [
    "Balance",
    "Colour",
    "Contrast",
    "Depth",
    "DominantColour",
    "Exposure",
    "Horizon",
    "Measurements",
    "Separation",
    "Sharpness",
    "Subject",
    "measure",
    "prepare",
]

CLEAR_SUBJECT = 0.3


def measure(photo: Photo) -> Measurements:
    """Measure ``photo``: the same pixels give the same figures, all finite and plain Python.

    Takes about a second for 12 megapixels on one core; a photo of any size and shape will do.
    """
    from mondrian.measurements import (
        colours,
        composition,
        horizon,
        sharpness,
        subject,
        tones,
    )
    from mondrian.measurements.views import look

    views = look(photo.pixels)
    tiles = sharpness.tile(views)
    found = subject.find(views)
    is_clear = found.subject.confidence >= CLEAR_SUBJECT
    height, width = photo.pixels.shape[:2]
    return Measurements(
        width=width,
        height=height,
        exposure=tones.exposure(views),
        contrast=tones.contrast(views),
        colour=colours.colour(views),
        sharpness=sharpness.sharpness(tiles, found.mask if is_clear else None),
        noise_sigma=tones.noise_sigma(views),
        horizon=horizon.horizon(views),
        subject=found.subject,
        balance=composition.balance(views),
        separation=composition.separation(views, tiles, found.mask),
        depth=composition.depth(views, tiles),
        exif=photo.exif,
    )


def prepare() -> None:
    """Import all that ``measure`` needs, by measuring a small picture: scikit-image imports its
    parts when they are first used, and the first photo would wait a second for them."""
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    measure(Photo(pixels=pixels, sha256="", format="PNG", name="noise", exif=Exif()))
