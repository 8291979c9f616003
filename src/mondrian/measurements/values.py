"""The results of ``measure`` for one photo, as frozen dataclasses."""

from dataclasses import dataclass, replace

from mondrian.photos import Exif


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """The uniform margins around the picture, in pixels of the upright file. All else is measured
    inside of them."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """Brightness. ``percentiles`` maps 1, 5, 25, 50, 75, 95 and 99 to luma. Highlights are clipped
    at a luma of 254/255 and above, shadows blocked at 1/255 and below. Of these, what is ``lost``
    is without a ground that is meant to be white or black: white paper or a light table all around,
    a black studio or night that reaches the edge. ``burnt_colours_percent`` is not white, but has
    lost its detail in two channels of the three."""

    mean: float
    percentiles: dict[int, float]
    clipped_highlights_percent: float
    blocked_shadows_percent: float
    lost_highlights_percent: float
    lost_shadows_percent: float
    dynamic_range_stops: float
    burnt_colours_percent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """``rms`` is the standard deviation of luma; ``spread`` the 5th to 95th percentile.
    ``strongest_x``/``_y`` is the centre of the part of the picture whose luma varies most."""

    rms: float
    spread: float
    strongest_x: float
    strongest_y: float


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
    and ``cast_b``, the CIELAB a* and b* that the light gives to grey at a lightness of 60, with
    ``cast_strength`` their length (CIELAB units). ``colourfulness`` is that of Hasler & Süsstrunk
    (2003), about 0 to 110; ``saturation`` the mean CIELAB chroma; ``accent`` the one
    small part of strong colour whose hue lies far from all the rest, if there is one."""

    dominant: tuple[DominantColour, ...]
    harmony: str
    cast: str
    cast_a: float
    cast_b: float
    cast_strength: float
    colourfulness: float
    saturation: float
    accent: DominantColour | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharpness:
    """Where it is sharp. ``map`` holds rows of tiles, each an absolute sharpness from 0 (nothing
    resolved) to 1 (crisp at full size); ``peak`` is the sharpest tile, ``mean`` the average of
    tiles with structure, whose share of the frame is ``structure``. ``sharpest_x``/``_y`` is the
    centre of the sharpest region. ``subject`` is the sharpness over the main subject (``None``
    without one), and ``around`` the share of what is around it that has structure. ``blur`` is
    ``none``, ``defocus``, ``motion`` or ``unknown``, ``motion_angle_degrees`` the direction of a
    motion blur, 0 horizontal, counter-clockwise."""

    map: tuple[tuple[float, ...], ...]
    peak: float
    mean: float
    structure: float
    sharpest_x: float
    sharpest_y: float
    subject: float | None
    around: float
    blur: str
    motion_angle_degrees: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Horizon:
    """``tilt_degrees`` is positive where the right end lies lower (the scene leans clockwise),
    ``None`` where no horizon or lines that agree were found. ``confidence`` is from 0 to 1, and
    0.5 of a horizon alone."""

    tilt_degrees: float | None
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The main subject as the eye finds it (saliency). ``x``, ``y`` is its centre, ``area`` its
    share of the picture, the box in fractions of the whole file, margins included.
    ``third_distance`` is the distance of the centre to the nearest crossing of the thirds of the
    picture, ``centre_distance`` to its centre, both in fractions of its diagonal;
    ``nearest_third`` names that crossing, such as ``upper left``. ``confidence`` is from 0.95
    to 1, the highest value in the network's map."""

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

    def move(self, across: tuple[float, float], down: tuple[float, float]) -> "Subject":
        """Return it with its places as ``offset + factor * place``, for either direction."""

        def x(place: float) -> float:
            return across[0] + across[1] * place

        def y(place: float) -> float:
            return down[0] + down[1] * place

        return replace(
            self,
            x=x(self.x),
            y=y(self.y),
            left=x(self.left),
            top=y(self.top),
            right=x(self.right),
            bottom=y(self.bottom),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """Where the visual weight lies: its centre, and how far from even it is from left (-1) to
    right (1) and from top (-1) to bottom (1)."""

    weight_x: float
    weight_y: float
    left_right: float
    top_bottom: float


FULL_TONE, FULL_COLOUR, FULL_FOCUS = 0.5, 60.0, 1.5
"""Differences of luma, of colour in ΔE and of sharpness in powers of 2 that separate in full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Separation:
    """Subject against background: how far their luma (0 to 1) and their colours (CIE 1976 ΔE) lie
    apart as distributions, and their sharpness (subject over background, 1 is equal). ``score``
    sums them up from 0 to 1."""

    luma_difference: float
    colour_difference: float
    sharpness_ratio: float
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """Cues of depth, each from 0 to 1: ``sharpness_falloff`` (sharp and soft zones apart),
    ``tonal_layers`` (bands of differing luma from bottom to top), ``haze`` (contrast and chroma
    fall towards the top), ``convergence`` (straight lines on either side of the middle lean toward
    each other)."""

    sharpness_falloff: float
    tonal_layers: float
    haze: float
    convergence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """All that was measured in one photo. ``noise_sigma`` is the standard deviation of the noise
    by Immerkær (1996), in 8-bit levels. ``width`` and ``height`` are those of the whole file in
    pixels, upright; all else is of the picture inside of its ``margins``, in fractions of it. Only
    the ``subject`` is in fractions of the file. It is ``None`` where nothing may be called so, and
    ``saliency`` then says how near the network came to one (from 0 to 1), or is ``None`` where
    there is no network; ``separation`` is of the subject."""

    width: int
    height: int
    margins: Margins
    exposure: Exposure
    contrast: Contrast
    colour: Colour
    sharpness: Sharpness
    noise_sigma: float
    horizon: Horizon
    subject: Subject | None
    saliency: float | None
    balance: Balance
    separation: Separation | None
    depth: Depth
    exif: Exif

    @property
    def subject_in_picture(self) -> Subject | None:
        """The subject with its place in fractions of the picture inside of the margins."""
        if self.subject is None:
            return None
        width, height = self.picture_size
        across = (-self.margins.left / width, self.width / width)
        down = (-self.margins.top / height, self.height / height)
        return self.subject.move(across, down)

    @property
    def picture_size(self) -> tuple[int, int]:
        """The width and height of the picture inside of the margins, in pixels."""
        margins = self.margins
        return (
            self.width - margins.left - margins.right,
            self.height - margins.top - margins.bottom,
        )
