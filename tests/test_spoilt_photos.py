"""Real photographs, spoilt: the fault is named first, and the good ones have none."""

from functools import cache

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import uniform_filter1d

from mondrian.answers import DIMENSIONS
from mondrian.findings import Finding, Severity, find
from mondrian.measurements import measure
from mondrian.photos import Exif, Photo
from support.measured import score_of


def spoil(pixels: NDArray[np.uint8], how: str) -> Photo:
    """A photo of ``pixels``, spoilt in one way."""
    image = Image.fromarray(pixels).convert("RGB")
    match how:
        case "blurred":
            image = image.filter(ImageFilter.GaussianBlur(3))
        case "shaken":
            image = Image.fromarray(uniform_filter1d(np.asarray(image), 21, axis=1))
        case "overexposed":
            image = image.point(lambda level: 2 * level)
        case "underexposed":
            image = image.point(lambda level: level // 4)
        case "yellow":
            image = Image.merge(
                "RGB", [*image.split()[:2], image.split()[2].point(lambda b: b // 2)]
            )
        case "noisy":
            grain = np.random.default_rng(0).normal(0, 20, np.asarray(image).shape)
            image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
    return Photo(pixels=np.asarray(image), sha256="", format="PNG", name=how, exif=Exif())


SPOILT = {
    "blurred": {"defocused"},
    "shaken": {"motion_blurred"},
    "overexposed": {"highlights_clipped"},
    "underexposed": {"too_dark", "shadows_blocked"},
    "yellow": {"cast_warm", "cast_green"},
    "noisy": {"noisy"},
}


@cache
def found_in(photo: str, how: str) -> tuple[Finding, ...]:
    return find(measure(spoil(getattr(skimage.data, photo)(), how)))


# camera is grey: a hue over all of it is a tone; and none has lines that tell a tilt
CASES = [("coffee", how) for how in SPOILT if how != "yellow"]
CASES += [("camera", how) for how in SPOILT if how not in {"yellow", "blurred"}]


@pytest.mark.parametrize(("photo", "how"), CASES)
def test_the_fault_of_a_spoilt_photo_is_named_first(photo: str, how: str) -> None:
    worst, second = sorted(found_in(photo, how), key=score_of)[:2]
    assert worst.id in SPOILT[how]
    assert score_of(worst) < score_of(second)
    good = found_in(photo, "good")[DIMENSIONS.index(worst.dimension)]
    assert score_of(worst) < score_of(good)
    assert score_of(worst) < 5


@pytest.mark.parametrize("photo", ["camera", "coffee", "chelsea"])
def test_a_good_photo_has_no_fault(photo: str) -> None:
    assert all(finding.severity is not Severity.FAULT for finding in found_in(photo, "good"))
