"""Where in a photo something is: grey pictures to lay over it, at most 320 pixels long."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mondrian.measurements.views import REC709, look
from mondrian.models import SUBJECT_NETWORK
from mondrian.photos import read_photo
from mondrian.settings import Settings

MASKS = ("highlights", "shadows", "sharpness", "subject")
"""The masks that there are, by name."""

_WHITE_FROM, _BLACK_TO = 254, 1


def make_masks(encoded: bytes | Path) -> Mapping[str, bytes]:
    """Return each of ``MASKS`` of a photo (its bytes, or the path of its file) as an 8-bit grey
    PNG in the photo's proportions.

    ``highlights`` and ``shadows`` tell which part of each of their pixels is clipped (luma from
    254, to 1, of 255), 255 being all of it; ``sharpness`` is 0 where nothing is resolved and 255
    where it is crisp; ``subject`` is 255 on the main subject, and black where none is clear.
    """
    from mondrian.measurements import sharpness, subject

    photo = read_photo(encoded)
    views = look(photo.pixels)
    size = views.glance.shape[1], views.glance.shape[0]
    luma = np.asarray(Image.fromarray(photo.pixels).convert("L", REC709))
    found = subject.find(views, SUBJECT_NETWORK.find(Settings.read().home))
    region = np.zeros((1, 1), np.bool_) if found.mask is None else found.mask
    tiles = np.asarray(
        sharpness.measure_sharpness(sharpness.sum_gradients(views), None).map, np.float32
    )
    masks = {
        "highlights": _sample_share(luma >= _WHITE_FROM, size),
        "shadows": _sample_share(luma <= _BLACK_TO, size),
        "sharpness": _resize((np.clip(tiles, 0, 1) * 255).astype(np.uint8), size),
        "subject": _resize(region.astype(np.uint8) * np.uint8(255), size),
    }
    return {name: _encode_png(mask) for name, mask in masks.items()}


def _sample_share(clipped: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """Return the share of clipped pixels, so that single ones are still seen."""
    return Image.fromarray(clipped.astype(np.uint8) * np.uint8(255)).resize(
        size, Image.Resampling.BOX
    )


def _resize(plane: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)


def _encode_png(mask: Image.Image) -> bytes:
    picture = io.BytesIO()
    mask.save(picture, "PNG")
    return picture.getvalue()
