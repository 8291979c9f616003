"""The values: what ``measure`` finds in one photo, as frozen dataclasses."""

from dataclasses import dataclass

from mondrian.photos import Exif


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """Brightness. ``percentiles`` maps 1, 5, 25, 50, 75, 95 and 99 to luma. Highlights are clipped
    at a luma of 254/255 and above, shadows blocked at 1/255 and below."""

    mean: float
    percentiles: dict[int, float]
    clipped_highlights_percent: float
    blocked_shadows_percent: float
    dynamic_range_stops: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """``rms`` is the standard deviation of luma; ``spread`` the 5th to 95th percentile."""

    rms: float
    spread: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DominantColour:
    """One of the main colours: ``hex`` like ``#a05a2c``, a plain English ``name``, its ``share``
    of the frame from 0 to 1, and a place (``x``, ``y``) in the frame where it is."""

    hex: str
    name: str
    share: float
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Colour:
    """Colour. ``harmony`` is ``monochrome``, ``analogous``, ``complementary``, ``triadic`` or
    ``mixed``. ``cast`` is ``none``, ``warm``, ``cool``, ``green`` or ``magenta``, from ``cast_a``
    and ``cast_b``, the mean CIELAB a* and b* of the near-neutral pixels at a lightness of 60, with
    ``cast_strength`` their length (CIELAB units). ``colourfulness`` is that of Hasler & Süsstrunk
    (2003), about 0 to 110; ``saturation`` the mean CIELAB chroma."""

    dominant: tuple[DominantColour, ...]
    harmony: str
    cast: str
    cast_a: float
    cast_b: float
    cast_strength: float
    colourfulness: float
    saturation: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharpness:
    """Where it is sharp. ``map`` holds rows of tiles, each an absolute sharpness from 0 (nothing
    resolved) to 1 (crisp at full size); ``peak`` is the sharpest tile, ``mean`` the average of
    tiles with structure. ``sharpest_x``/``_y`` is the centre of the sharpest region. ``subject``
    is the sharpness over the main subject (``None`` without one). ``blur`` is ``none``,
    ``defocus``, ``motion`` or ``unknown``, ``motion_angle_degrees`` the direction of a motion
    blur, 0 horizontal, counter-clockwise."""

    map: tuple[tuple[float, ...], ...]
    peak: float
    mean: float
    sharpest_x: float
    sharpest_y: float
    subject: float | None
    blur: str
    motion_angle_degrees: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Horizon:
    """``tilt_degrees`` is positive where the right end lies lower (the scene leans clockwise),
    ``None`` where no horizon or level line was found. ``confidence`` is from 0 to 1."""

    tilt_degrees: float | None
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The main subject as the eye finds it (saliency). ``x``, ``y`` is its centre, ``area`` its
    share of the frame, the box in fractions of the frame. ``third_distance`` is the distance of
    the centre to the nearest crossing of the thirds, ``centre_distance`` to the frame's centre,
    both in fractions of the frame's diagonal; ``nearest_third`` names that crossing, such as
    ``upper left``. ``confidence`` is from 0 to 1: below 0.3 there is no clear subject."""

    x: float
    y: float
    left: float
    top: float
    right: float
    bottom: float
    area: float
    third_distance: float
    centre_distance: float
    nearest_third: str
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Where the visual weight lies: its centre, and how far from even it is from left (-1) to
    right (1) and from top (-1) to bottom (1)."""

    weight_x: float
    weight_y: float
    left_right: float
    top_bottom: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Separation:
    """Subject against background: differences of mean luma (0 to 1), of colour (CIE 1976 ΔE) and
    of sharpness (subject over background, 1 is equal). ``score`` sums them up from 0 to 1."""

    luma_difference: float
    colour_difference: float
    sharpness_ratio: float
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """Cues of depth, each from 0 to 1: ``sharpness_falloff`` (sharp and soft zones apart),
    ``tonal_layers`` (bands of differing luma from bottom to top), ``haze`` (contrast and chroma
    fall towards the top), ``convergence`` (straight lines run together to a point)."""

    sharpness_falloff: float
    tonal_layers: float
    haze: float
    convergence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """All that was measured in one photo. ``noise_sigma`` is the standard deviation of the noise
    by Immerkær (1996), in 8-bit levels. ``width`` and ``height`` are in pixels, upright."""

    width: int
    height: int
    exposure: Exposure
    contrast: Contrast
    colour: Colour
    sharpness: Sharpness
    noise_sigma: float
    horizon: Horizon
    subject: Subject
    balance: Balance
    separation: Separation
    depth: Depth
    exif: Exif
