"""Margins: found to the pixel around real photographs, and none where a photo only ends plainly."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from mondrian.findings import find
from mondrian.measurements import Margins
from mondrian.measurements.margins import find_margins
from support.scenes import Pixels, bytes8, found, made_subject, real

NONE = Margins(left=0, top=0, right=0, bottom=0)


def framed(pixels: Pixels, width: Any, colour: Any) -> Pixels:
    return np.asarray(ImageOps.expand(Image.fromarray(pixels), width, colour))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "grass"])
@pytest.mark.parametrize("colour", ["white", "black", (120, 90, 40)])
def test_a_frame_is_found(name: str, colour: Any) -> None:
    margins = find_margins(framed(real(name), (12, 30, 12, 60), colour))
    found = (margins.left, margins.top, margins.right, margins.bottom)
    # where the photo itself has that colour at an edge, a few rows more may go with it
    assert all(0 <= more <= 8 for more in np.subtract(found, (12, 30, 12, 60))), margins


def test_a_frame_in_a_frame_and_a_letterbox_are_found() -> None:
    matted = framed(framed(real("chelsea"), 3, (60, 50, 40)), 40, (238, 232, 218))
    assert find_margins(matted) == Margins(left=43, top=43, right=43, bottom=43)
    barred = framed(real("chelsea"), (0, 40), "black")
    assert find_margins(barred) == Margins(left=0, top=40, right=0, bottom=40)


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_a_plain_ground_is_no_margin(ground: int) -> None:
    y, x = np.mgrid[:300, :450]
    is_cat = (np.hypot(x - 240, y - 160) < 110)[..., None]
    cut_out = bytes8(np.where(is_cat, real("chelsea")[:300, :450], ground))
    assert find_margins(cut_out) == NONE
    assert find_margins(np.full((90, 120, 3), ground, np.uint8)) == NONE
    assert all(find_margins(real(name)) == NONE for name in ("astronaut", "rocket", "camera"))


def test_sky_over_sea_is_no_margin() -> None:
    scene = np.full((300, 400, 3), 235.0)
    waves = np.random.default_rng(1).normal(0, 12, (160, 400, 3))
    scene[140:] = np.array((40, 70, 90)) + waves
    assert find_margins(bytes8(scene)) == NONE


def test_a_frame_changes_no_finding() -> None:
    for name in ("chelsea", "coffee"):
        bare, in_white = (find(found(p)) for p in (real(name), framed(real(name), 30, "white")))
        assert [each.id for each in bare] == [each.id for each in in_white]


def test_places_of_the_subject_are_in_the_whole_file(home: Any) -> None:
    pixels = made_subject("textured", 0.35, 0.4, radius=50)
    measurements = found(framed(pixels, (60, 40), "white"), home)
    subject, inner = measurements.subject, measurements.subject_in_picture
    assert subject is not None
    assert inner is not None
    assert (inner.x, inner.y) == pytest.approx((0.35, 0.4), abs=0.02)
    assert subject.x == pytest.approx((60 + 0.35 * 480) / 600, abs=0.02)
    assert subject.y == pytest.approx((40 + 0.4 * 320) / 400, abs=0.02)
    assert measurements.picture_size == (480, 320)
