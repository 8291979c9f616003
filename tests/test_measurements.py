"""What ``measure`` finds, against made truth and on real photographs."""

import dataclasses
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mondrian.measurements import Measurements, measure
from mondrian.measurements.composition import measure_separation
from mondrian.measurements.sharpness import sum_gradients
from mondrian.measurements.tones import measure_exposure
from mondrian.measurements.views import look
from mondrian.photos import Exif, Photo
from support.scenes import (
    NO_HOME,
    blurred,
    bytes8,
    cloud,
    defocused,
    degraded,
    found,
    houses,
    made_subject,
    moved,
    real,
    sea,
    subject_of,
)

REAL = ("astronaut", "chelsea", "coffee", "rocket", "camera")


@cache
def found_in(name: str) -> Measurements:
    return found(real(name))


# exposure, contrast, noise


def test_clipping_is_within_a_tenth_of_a_percentage_point() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(40, 220, (600, 1000, 3), np.uint8)
    pixels[:60] = 255
    pixels[-15:] = 0
    pixels[100, :500] = (254, 255, 254)
    exposure = found(pixels).exposure
    assert exposure.clipped_highlights_percent == pytest.approx(10 + 1 / 12, abs=0.1)
    assert exposure.blocked_shadows_percent == pytest.approx(2.5, abs=0.1)


def test_colours_burn_out_before_they_are_white() -> None:
    pixels = np.full((200, 400, 3), (255, 255, 120), np.uint8)
    pixels[:, 100:] = (255, 120, 40)  # a strong colour, with detail in two channels
    pixels[:, 300:] = (0, 255, 255)  # cyan is not nearly white
    assert found(pixels).exposure.burnt_colours_percent == pytest.approx(25, abs=0.5)
    assert found(pixels).exposure.clipped_highlights_percent == 0


def test_paper_is_told_from_light_that_is_too_much() -> None:
    rng = np.random.default_rng(44)
    thing = (195, 175, 120) + 55 * cloud(rng, (120, 200), 4)[..., None]
    ground = 236 + 8 * cloud(rng, (300, 450), 6)[..., None].repeat(3, axis=2)
    for scene, is_lost in ((np.full((300, 450, 3), 255.0), False), (1.4 * ground, True)):
        scene[90:210, 120:320] = 1.4 * thing if is_lost else thing
        file = io.BytesIO()
        Image.fromarray(bytes8(scene)).save(file, "JPEG", quality=92)
        for pixels in (bytes8(scene), np.asarray(Image.open(file))):
            exposure = measure_exposure(look(pixels))
            assert exposure.clipped_highlights_percent > 70
            assert (exposure.lost_highlights_percent > 70) is is_lost
    red = np.full((300, 450, 3), 255.0)
    red[90:210, 120:320] = (255, 30, 40)
    assert measure_exposure(look(bytes8(red))).lost_highlights_percent == 0


def test_tones_of_a_grey_ramp() -> None:
    ramp = np.tile(np.arange(256), (64, 2))
    measurements = found(np.sort(ramp, axis=1))
    exposure = measurements.exposure
    assert exposure.mean == pytest.approx(0.5, abs=0.005)
    for percent, luma in exposure.percentiles.items():
        assert luma == pytest.approx(percent / 100, abs=0.01)
    assert measurements.contrast.rms == pytest.approx(1 / math.sqrt(12), abs=0.005)
    assert measurements.contrast.spread == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("stops", [1, 3, 6])
def test_dynamic_range_counts_stops(stops: int) -> None:
    light = np.where(np.arange(400) < 200, 0.8, 0.8 / 2**stops)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    pixels = np.tile(255 * coded, (300, 1))
    assert found(pixels).exposure.dynamic_range_stops == pytest.approx(stops, abs=0.2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [3, 20])
def test_noise_is_told_within_15_percent(sigma: int, channels: int) -> None:
    rng = np.random.default_rng(sigma)
    smooth = np.add.outer(np.linspace(70, 110, 400), np.linspace(0, 60, 600))[..., None]
    noisy = smooth + rng.normal(0, sigma, (400, 600, channels)) + np.zeros(3)
    assert found(noisy).noise_sigma == pytest.approx(sigma, rel=0.15)


def test_texture_is_not_noise() -> None:
    assert all(found_in(name).noise_sigma < 2.5 for name in REAL)


# colour


def test_colourfulness_is_that_of_hasler_and_suesstrunk() -> None:
    red, green, blue = np.moveaxis(real("coffee").astype(float), 2, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    wanted = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert found_in("coffee").colour.colourfulness == pytest.approx(wanted, rel=1e-6)


def test_main_colours_have_names_and_shares() -> None:
    pixels = np.zeros((200, 300, 3))
    pixels[:, :150], pixels[:, 150:240], pixels[:, 240:] = (30, 60, 150), (200, 140, 50), (128,) * 3
    colour = found(pixels).colour
    assert [(main.name, round(main.share, 1)) for main in colour.dominant] == [
        ("deep blue", 0.5),
        ("ochre", 0.3),
        ("grey", 0.2),
    ]
    assert colour.dominant[0].hex == "#1e3c96"
    assert colour.harmony == "complementary"


@pytest.mark.parametrize(
    ("harmony", "colours"),
    [
        ("monochrome", [(90, 90, 90), (200, 200, 198)]),
        ("analogous", [(200, 60, 40), (220, 110, 40), (225, 150, 40)]),
        ("complementary", [(190, 40, 40), (50, 140, 60)]),
        ("analogous", [(90, 130, 50), (110, 150, 60), (90, 160, 220), (120, 180, 230)]),  # a meadow
        ("complementary", [(180, 180, 120)] * 14 + [(220, 70, 40)] * 3 + [(20, 110, 190)]),
        ("triadic", [(200, 40, 40), (220, 210, 50), (50, 80, 190)]),
        ("mixed", [(200, 40, 40), (220, 130, 30), (60, 150, 60), (120, 60, 180), (40, 90, 190)]),
    ],
)
def test_harmony(harmony: str, colours: list[tuple[int, int, int]]) -> None:
    stripes = np.repeat(np.array(colours), 40, axis=0)
    assert found(np.tile(stripes, (90, 1, 1))).colour.harmony == harmony


def test_an_accent_is_named_where_it_is() -> None:
    ground = np.full((300, 400, 3), (70, 110, 60))
    ground[120:150, 300:330] = (200, 40, 40)
    accent = found(ground).colour.accent
    assert accent is not None
    assert (accent.x, accent.y) == pytest.approx((0.79, 0.45), abs=0.02)
    assert "red" in accent.name
    ground[:, 200:] = (200, 40, 40)
    assert found(ground).colour.accent is None
    ground[:] = (70, 110, 60)
    ground[::40, ::40] = (200, 40, 40)
    assert found(ground).colour.accent is None


# sharpness


@pytest.mark.parametrize("name", [*REAL, "hubble_deep_field"])
def test_sharpness_falls_with_blur(name: str) -> None:
    sharpness = [found_in(name).sharpness]
    sharpness += [found(blurred(real(name), sigma)).sharpness for sigma in (0.5, 1, 2, 4, 8)]
    for figures in ([each.mean for each in sharpness], [each.peak for each in sharpness]):
        assert all(np.diff(figures) < 0), figures


@pytest.mark.parametrize("name", ["coffee", "rocket"])
def test_sharpness_cares_little_for_noise_and_contrast(name: str) -> None:
    rng = np.random.default_rng(3)
    soft = blurred(real(name), 4)
    softness = found(soft).sharpness.mean
    noisy = found(soft + rng.normal(0, 8, soft.shape)).sharpness
    assert noisy.mean == pytest.approx(softness, abs=0.08)
    assert noisy.peak < 0.7
    pale = found(128 + 0.4 * (real(name) - 128.0)).sharpness
    assert pale.mean == pytest.approx(found_in(name).sharpness.mean, abs=0.05)
    assert found(rng.normal(128, 25, (300, 400))).sharpness.peak < 0.1


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_sharp_half_is_found(side: str) -> None:
    pixels = real("rocket").copy()
    half = pixels.shape[1] // 2
    soft = slice(half, None) if side == "left" else slice(0, half)
    pixels[:, soft] = blurred(pixels, 4)[:, soft]
    sharpness = found(pixels).sharpness
    left, right = np.split(np.array(sharpness.map), 2, axis=1)
    assert (sharpness.sharpest_x < 0.5) == (side == "left")
    assert (left.mean() > 2 * right.mean()) == (side == "left")


def test_sharpness_of_the_subject(home: Path) -> None:
    pixels = made_subject("plain", 0.33, 0.67, radius=60)
    rng = np.random.default_rng(4)
    textured = pixels + 12 * cloud(rng, (320, 480), 0.8)[..., None]
    subject = np.linalg.norm(pixels - pixels[0, 0].astype(float), axis=2) > 40
    behind = np.where(subject[..., None], textured, blurred(bytes8(textured), 4))
    measurements = found(behind, home)
    assert measurements.sharpness.subject is not None
    assert measurements.sharpness.subject > 1.3 * measurements.sharpness.mean
    assert measurements.separation is not None
    assert measurements.separation.sharpness_ratio > 1.3


@pytest.mark.parametrize(("length", "degrees"), [(9, 60), (15, 30), (21, 90), (31, 135)])
def test_motion_is_told_with_its_angle(length: int, degrees: float) -> None:
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        sharpness = found(moved(real(name), length, degrees)).sharpness
        assert sharpness.blur == "motion", name
        assert sharpness.motion_angle_degrees is not None
        assert abs((sharpness.motion_angle_degrees - degrees + 90) % 180 - 90) < 15, name


def test_defocus_is_not_motion() -> None:
    for name in REAL:
        assert found_in(name).sharpness.blur == "none"
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        soft = (blurred(real(name), 3), defocused(real(name), 5))
        assert [found(pixels).sharpness.blur for pixels in soft] == ["defocus"] * 2, name


def test_selective_focus_is_not_blur() -> None:
    y, x = np.mgrid[:512, :512]
    face = np.hypot(x - 225, y - 110)[..., None] < 75
    portrait = np.where(face, real("astronaut"), blurred(real("astronaut"), 8))
    assert found(portrait).sharpness.blur == "none"


def test_lines_of_text_are_not_motion() -> None:
    text = np.full((400, 600), 240.0)
    rng = np.random.default_rng(24)
    for top in range(30, 380, 24):
        for left in range(30, 560, 9):
            text[top : top + 9, left : left + int(rng.integers(2, 7))] = 30
    assert found(blurred(bytes8(text), 2.5)).sharpness.blur != "motion"


@pytest.mark.parametrize("level", [30, 118, 240])
def test_where_nothing_can_be_sharp_there_is_no_structure(level: int) -> None:
    rng = np.random.default_rng(25)
    assert found(rng.normal(level, 2, (300, 400, 3))).sharpness.structure < 0.02


def test_a_road_that_is_smeared_along_its_lines_was_moved() -> None:
    rng = np.random.default_rng(26)
    lines = rng.integers(60, 200, 20).repeat(20)[:, None] + 20 * cloud(rng, (400, 600), 2)
    smeared = found(blurred(moved(bytes8(lines), 81, 0), 2.5)).sharpness
    assert smeared.blur == "motion"
    assert smeared.motion_angle_degrees is not None
    assert abs((smeared.motion_angle_degrees + 90) % 180 - 90) < 5
    assert found(defocused(bytes8(lines), 5)).sharpness.blur != "motion"
    horizon = np.where(np.arange(400)[:, None] < 150, 190.0, 60.0)
    sea = horizon + 6 * cloud(rng, (400, 600), 30)
    assert found(blurred(bytes8(sea), 4) + rng.normal(0, 2, (400, 600, 1))).sharpness.blur != (
        "motion"
    )


def test_a_photographed_motion_blur() -> None:
    sharpness = found(real("clock")).sharpness
    assert sharpness.blur == "motion"
    assert sharpness.motion_angle_degrees == pytest.approx(0, abs=5)


def test_a_large_photo_is_judged_at_the_size_of_a_screen() -> None:
    large = np.asarray(Image.fromarray(real("rocket")).resize((2560, 1708), Image.Resampling.BOX))
    sharpness = [found(pixels).sharpness.mean for pixels in (large, blurred(large, 1.5))]
    assert sharpness[1] < sharpness[0] - 0.02


# horizon


@pytest.mark.parametrize("scene", [sea, houses])
@pytest.mark.parametrize("tilt", [-10, -3.3, 0.7, 5, 10])
def test_tilt_of_made_scenes(scene: Callable[[float], Any], tilt: float) -> None:
    horizon = found(scene(tilt)).horizon
    assert horizon.tilt_degrees == pytest.approx(tilt, abs=0.5)
    assert horizon.confidence >= 0.5


def test_one_oblique_line_is_no_tilt() -> None:
    rng = np.random.default_rng(21)
    scene = 120 + 20 * cloud(rng, (400, 600), 2)
    y, x = np.mgrid[:400, :600]
    shelf = np.abs(y - 250 - 0.07 * (x - 300)) < 6
    scene[shelf & (x > 40) & (x < 500)] = 220
    assert found(scene).horizon.tilt_degrees is None


def test_no_horizon_where_there_is_none() -> None:
    rng = np.random.default_rng(8)
    ramp = np.add.outer(np.linspace(40, 120, 300), np.linspace(0, 90, 400))
    shapeless = [real(name) for name in ("chelsea", "coffee", "grass", "gravel")]
    shapeless += [bytes8(rng.normal(128, 25, (300, 400))), bytes8(ramp)]
    shapeless += [bytes8(128 + 30 * cloud(rng, (300, 400), sigma)) for sigma in (2, 8)]
    for pixels in shapeless:
        horizon = found(pixels).horizon
        assert horizon.tilt_degrees is None


# subject and layout


PLACES = {
    "upper left": (1 / 3, 1 / 3),
    "upper right": (2 / 3, 1 / 3),
    "lower left": (1 / 3, 2 / 3),
    "lower right": (2 / 3, 2 / 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("ground", ["plain", "gradient", "textured"])
def test_a_subject_is_found_where_it_is(home: Path, ground: str) -> None:
    for nearest, (x, y) in PLACES.items():
        subject = subject_of(made_subject(ground, x, y, radius=50), home)
        assert (subject.x, subject.y) == pytest.approx((x, y), abs=0.02)
        assert subject.nearest_third == nearest
        assert subject.third_distance < 0.02
        assert subject.right - subject.left == pytest.approx(100 / 480, abs=0.04)
        assert subject.bottom - subject.top == pytest.approx(100 / 320, abs=0.04)
        assert subject.area == pytest.approx(math.pi * 50**2 / 320 / 480, rel=0.2)


@pytest.mark.slow
def test_no_subject_where_nothing_stands_out(home: Path) -> None:
    rng = np.random.default_rng(11)
    empty: list[Any] = [128 + 25 * cloud(rng, (320, 480), sigma) for sigma in (1, 4)]
    empty += [real("grass"), real("gravel"), np.full((320, 480), 99)]
    measured = [found(pixels, home) for pixels in empty]
    assert [each.subject for each in measured] == [None] * len(empty)
    assert all(each.saliency is not None and each.saliency < 0.8 for each in measured)


def test_without_the_network_nothing_is_called_the_subject() -> None:
    measurements = found(made_subject("plain", 0.7, 0.3, radius=50))
    assert (measurements.subject, measurements.saliency) == (None, None)
    assert (measurements.separation, measurements.sharpness.subject) == (None, None)
    contrast = measurements.contrast
    assert (contrast.strongest_x, contrast.strongest_y) == pytest.approx((0.7, 0.3), abs=0.15)


def test_subjects_of_real_photographs(home: Path) -> None:
    boxes = {"coffee": (0.12, 0, 0.88, 0.6), "chelsea": (0.06, 0, 0.87, 1)}
    for name, box in boxes.items():
        subject = subject_of(real(name), home)
        assert box[0] < subject.x < box[2], name
        assert box[1] < subject.y < box[3], name
        assert subject.right - subject.left > 0.4, name


def test_weight_lies_on_the_side_of_what_draws_the_eye() -> None:
    for (x, y), sign in {(0.2, 0.5): (-1, 0), (0.8, 0.5): (1, 0), (0.5, 0.15): (0, -1)}.items():
        balance = found(made_subject("plain", x, y)).balance
        assert np.sign(np.round(balance.left_right, 1)) == sign[0]
        assert np.sign(np.round(balance.top_bottom, 1)) == sign[1]
        assert (balance.weight_x - 0.5) * sign[0] >= 0
    even = found(np.full((100, 150), 90)).balance
    assert (even.weight_x, even.left_right, even.top_bottom) == pytest.approx((0.5, 0, 0))


def test_separation_grows_with_difference(home: Path) -> None:
    pale = made_subject("plain", 0.5, 0.5, radius=60)
    some, much = (found(150 + share * (pale - 150.0), home).separation for share in (0.3, 1))
    assert some is not None
    assert much is not None
    assert some.score < much.score
    assert much.colour_difference == pytest.approx(70, abs=15)


def test_a_chequered_thing_stands_out_though_its_mean_does_not() -> None:
    pixels = np.full((320, 480, 3), 128, np.uint8)
    squares = np.indices((200, 200)).sum(axis=0) // 20 % 2
    pixels[60:260, 140:340] = 28 + 200 * squares[..., None]
    mask = np.zeros((320, 480), bool)
    mask[60:260, 140:340] = True
    views = look(pixels)
    apart = measure_separation(views, sum_gradients(views), mask)
    assert apart is not None
    assert apart.luma_difference == pytest.approx(100 / 255, abs=0.02)


def test_cues_of_depth() -> None:
    rng = np.random.default_rng(12)
    y, _ = np.mgrid[:320, :480]
    layers = 220 - 45 * (y // 80) + rng.normal(0, 3, y.shape)
    assert found(layers).depth.tonal_layers > 0.8 > 0.1 > found(layers.T).depth.tonal_layers
    near = (y / 320)[..., None]
    colours = np.stack([20 * cloud(rng, (320, 480), 1) + level for level in (90, 70, 30)], -1)
    assert found(near * colours + (1 - near) * 200).depth.haze > 0.3
    assert found(colours).depth.haze < 0.05
    crisp, soft = real("camera"), blurred(real("camera"), 6)
    focus = np.where(np.arange(512)[:, None] < 200, crisp, soft)
    assert found(focus).depth.sharpness_falloff > found_in("camera").depth.sharpness_falloff + 0.3


# any photo


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def check_plain(measurements: Measurements) -> None:
    """Only finite plain Python values, fit for JSON."""
    values = dataclasses.asdict(measurements)
    json.dumps(values, allow_nan=False)
    assert {type(leaf) for leaf in leaves(values)} <= {int, float, str, type(None)}


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 400), (300, 1), (2, 3), (8, 8), (7, 90), (60, 50), (99, 99), (1, 4000)]
)
def test_any_shape_will_do(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(13)
    photos = [rng.integers(0, 256, (*shape, 3))] + [np.full((*shape, 3), t) for t in (0, 120, 255)]
    for pixels in (*photos, np.full((*shape, 3), (200, 20, 10))):
        measurements = found(pixels)
        check_plain(measurements)
        assert (measurements.height, measurements.width) == shape


def test_a_part_of_a_picture_is_seen_as_a_copy_of_it() -> None:
    rng = np.random.default_rng(47)
    part = rng.integers(0, 256, (700, 500, 3), np.uint8)[20:-20, 30:-50]
    seen, copied = look(part), look(part.copy())
    for plane in ("luma_counts", "screen", "rgb", "square", "white"):
        assert np.array_equal(getattr(seen, plane), getattr(copied, plane))
    assert int(seen.luma_counts.sum()) == part.shape[0] * part.shape[1]


def test_the_same_photo_gives_the_same_figures() -> None:
    pixels = real("coffee").copy()
    pixels.flags.writeable = False
    assert found_in("coffee") == measure(
        Photo(pixels=pixels, sha256="", format="JPEG", name="y", exif=Exif()), home=NO_HOME
    )
    check_plain(found_in("coffee"))


def test_exif_is_carried_along() -> None:
    exif = Exif(camera="Leica", iso=400)
    photo = Photo(pixels=real("coffee"), sha256="", format="JPEG", name="y", exif=exif)
    assert measure(photo).exif == exif


# the same photo, worse


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_a_fault_shows_in_its_figure(name: str) -> None:
    versions = {kind: found(pixels) for kind, pixels in degraded(name).items()}
    good = versions["original"]
    assert versions["blurred"].sharpness.mean < 0.65 * good.sharpness.mean
    assert versions["blurred"].sharpness.peak < 0.75 * good.sharpness.peak
    assert versions["overexposed"].exposure.mean > good.exposure.mean + 0.15
    clipped = versions["overexposed"].exposure.clipped_highlights_percent
    assert clipped > good.exposure.clipped_highlights_percent


def test_measuring_that_was_prepared_imports_nothing() -> None:
    code = """if True:
        import sys
        from pathlib import Path
        import skimage
        from mondrian.measurements import measure, prepare
        from mondrian.photos import read_photo
        photo = read_photo(Path(skimage.__file__).parent / "data" / "coffee.png")
        prepare()
        before = set(sys.modules)
        measure(photo)
        print(sorted(set(sys.modules) - before))
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ran.stdout == "[]\n"
