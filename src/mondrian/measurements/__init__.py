"""Measure a ``Photo``: ``measure`` returns ``Measurements``.

Coordinates are fractions of the frame: x from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).
Luma is that of Rec. 709 on sRGB values, from 0 (black) to 1 (white).
"""

import os
from pathlib import Path

from mondrian.measurements.values import (
    FULL_COLOUR,
    FULL_FOCUS,
    FULL_TONE,
    Balance,
    Colour,
    Contrast,
    Depth,
    DominantColour,
    Exposure,
    Horizon,
    Margins,
    Measurements,
    Separation,
    Sharpness,
    Subject,
)
from mondrian.models import SUBJECT_NETWORK
from mondrian.photos import Exif, Photo
from mondrian.settings import Settings

__all__ = [
    "FULL_COLOUR",
    "FULL_FOCUS",
    "FULL_TONE",
    "Balance",
    "Colour",
    "Contrast",
    "Depth",
    "DominantColour",
    "Exposure",
    "Horizon",
    "Margins",
    "Measurements",
    "Separation",
    "Sharpness",
    "Subject",
    "measure",
    "prepare",
]


def measure(photo: Photo, *, home: Path | None = None) -> Measurements:
    """Measure ``photo``: the same pixels give the same figures, all finite and plain Python.

    The network that finds the subject is used where it lies in ``home`` (``MONDRIAN_HOME`` unless
    given). Takes about a second for 12 megapixels on one core; a photo of any size and shape will
    do.
    """
    from mondrian.measurements import (
        colours,
        composition,
        horizon,
        sharpness,
        subject,
        tones,
    )
    from mondrian.measurements.margins import crop, find_margins
    from mondrian.measurements.views import look

    margins = find_margins(photo.pixels)
    views = look(crop(photo.pixels, margins))
    tiles, lines = sharpness.sum_gradients(views), horizon.find_lines(views)
    found = subject.find(views, SUBJECT_NETWORK.find(home or Settings.read().home))
    height, width = photo.pixels.shape[:2]
    return Measurements(
        width=width,
        height=height,
        margins=margins,
        exposure=tones.measure_exposure(views),
        contrast=tones.measure_contrast(views),
        colour=colours.measure_colour(views),
        sharpness=sharpness.measure_sharpness(tiles, found.mask),
        noise_sigma=tones.estimate_noise_sigma(views),
        horizon=horizon.measure_horizon(lines),
        subject=_move_to_file(found.subject, width, height, margins),
        saliency=found.peak,
        balance=composition.measure_balance(views),
        separation=composition.measure_separation(views, tiles, found.mask),
        depth=composition.measure_depth(views, tiles, lines),
        exif=photo.exif,
    )


def _move_to_file(
    subject: Subject | None, width: int, height: int, margins: Margins
) -> Subject | None:
    if subject is None:
        return None
    picture = (width - margins.left - margins.right, height - margins.top - margins.bottom)
    across = (margins.left / width, picture[0] / width)
    down = (margins.top / height, picture[1] / height)
    return subject.move(across, down)


def prepare() -> None:
    """Import all that ``measure`` needs, by measuring a small picture: scikit-image imports its
    parts when they are first used, and the first photo would wait a second for them. The network
    is opened, but not run, which would take half a second."""
    import numpy as np

    from mondrian.measurements import subject

    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    noise = Photo(pixels=pixels, sha256="", format="PNG", name="noise", exif=Exif())
    measure(noise, home=Path(os.devnull))
    if path := SUBJECT_NETWORK.find(Settings.read().home):
        subject.open_network(path)
