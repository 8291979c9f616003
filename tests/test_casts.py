"""Casts: the colour of the light is told from that of the scene."""

import numpy as np
import pytest

from support.scenes import cloud, found, lit, real

REAL = ("astronaut", "chelsea", "coffee", "rocket", "camera")


CASTS = {
    "warm": (0.5, 0, -0.5),
    "cool": (-0.5, 0, 0.7),
    "green": (-0.25, 0.25, -0.25),
    "magenta": (0.2, -0.2, 0.2),
}


@pytest.mark.parametrize("cast", CASTS)
def test_cast_has_the_right_sign_and_grows(cast: str) -> None:
    way, name = np.array(CASTS[cast]), "astronaut"
    small, large = (found(lit(real(name), *(1 + part * way))).colour for part in (0.5, 1))
    assert large.cast == cast
    assert large.cast_strength > small.cast_strength > found(real(name)).colour.cast_strength


@pytest.mark.parametrize("gain", [0.35, 0.5, 0.65])
def test_a_strong_cast_is_still_one(gain: float) -> None:
    colour = found(lit(real("astronaut"), 1 + gain, 1, 1 - gain)).colour
    assert colour.cast == "warm"
    assert colour.cast_strength > 60 * gain - 10


def test_a_blue_thing_does_not_hide_the_cast() -> None:
    pixels = real("astronaut").astype(float)
    pixels[:200, :200] = (100, 115, 165)
    assert found(lit(pixels, 1.5, 1, 0.5)).colour.cast == "warm"


@pytest.mark.parametrize("gain", [0.35, 0.45])
def test_a_cool_cast_over_warm_colours_is_told(gain: float) -> None:
    # orange cloth and skin turn grey in it, and so lean no way
    colour = found(lit(real("astronaut"), 1 - gain, 1, 1 + 1.5 * gain)).colour
    assert colour.cast == "cool"


def test_a_lamp_over_what_is_grey_may_be_strong() -> None:
    rng = np.random.default_rng(41)
    grey = np.array((120, 122, 118)) + 45 * cloud(rng, (300, 400), 3)[..., None]
    hues = np.array((0.0, 8.0, -10.0)) * cloud(rng, (300, 400), 20)[..., None]
    scene = (grey + hues).clip(0, 255)
    casts = [found(lit(scene, 1.6, 1, blue)).colour for blue in (0.5, 0.25, 0.12)]
    assert [each.cast for each in casts] == ["warm"] * 3
    assert casts[0].cast_strength < 42 < casts[-1].cast_strength


def test_what_lacks_a_primary_colour_is_measured_without_a_warning() -> None:
    rng = np.random.default_rng(43)
    scene = np.zeros((200, 300, 3))
    scene[..., 1], scene[..., 2] = (120 + 50 * cloud(rng, (200, 300), 3) for _ in range(2))
    assert found(scene).colour.cast == "none"


def test_a_green_meadow_has_no_cast() -> None:
    rng = np.random.default_rng(31)
    blades = cloud(rng, (300, 400), 1.5)[..., None]
    meadow = np.array((110, 135, 50)) + np.array((32, 34, 20)) * blades
    assert found(meadow).colour.cast == "none"


def test_a_toned_print_has_no_cast() -> None:
    tone = (real("camera") / 255.0) ** np.array([0.78, 1.0, 1.38])
    assert found(255 * tone).colour.cast == "none"


def test_a_golden_field_under_haze_has_no_cast() -> None:
    rng = np.random.default_rng(23)
    field = np.array((190, 140, 50)) + 25 * cloud(rng, (300, 400), 1.5)[..., None]
    field[:90] = np.array((178, 190, 205)) + 4 * cloud(rng, (90, 400), 6)[..., None]
    assert found(field).colour.cast == "none"


def test_real_photographs_have_no_cast() -> None:
    assert {name: found(real(name)).colour.cast for name in REAL} == dict.fromkeys(REAL, "none")


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_an_orange_thing_is_no_cast(ground: int) -> None:
    rng = np.random.default_rng(2)
    pixels = np.full((300, 400, 3), float(ground))
    pixels[60:240, 100:300] = (230, 120, 20)
    assert found(pixels + rng.normal(0, 3, pixels.shape)).colour.cast == "none"
