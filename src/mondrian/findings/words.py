"""Words for figures, places and colours."""

import colorsys
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace

from mondrian.measurements import DominantColour

GREYS = ("black", "charcoal", "grey", "white")
OPPOSED_DEGREES = 90


def format_figure(value: float) -> str:
    """Return a figure for a sentence: ``12``, ``3.5``, ``0.2``, ``3``."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}".removesuffix(".0")


def format_percent(share: float) -> str:
    """Return a share from 0 to 1 as ``22 %``."""
    return f"{share * 100:.0f} %"


SCALES = {
    "sharpness": "very soft 0.2 soft 0.45 fairly sharp 0.65 sharp 0.82 very sharp",
    "noise": "hardly any noise 2 little noise 4 visible noise 12 strong noise 25 very strong noise",
    "tone": "black 0.03 nearly black 0.12 dark 0.35 middle grey 0.65 bright 0.88 nearly white "
    "0.97 white",
    "brightness": "very dark 0.15 dark 0.3 of medium brightness 0.65 bright 0.8 very bright",
    "contrast": "soft contrast 0.1 gentle contrast 0.18 moderate contrast 0.25 strong contrast "
    "0.33 very strong contrast",
    "colourfulness": "hardly any colour 7.5 slightly colourful 24 moderately colourful 39 "
    "fairly colourful 52 quite colourful 70 highly colourful 95 extremely colourful",
    "cast": "slight 18 clear 24 strong",
    "share": "no 0.05 hardly any 1 some 5 much 25 very much",
    "difference": "hardly any 0.05 a slight 0.15 a clear 0.3 a strong",
    "colour difference": "hardly any 6 a slight 18 a clear 36 a strong",
    "cue": "hardly any 0.1 little 0.25 some 0.4 clear 0.7 strong",
    "lean": "hardly 0.1 a little 0.25 clearly 0.5 strongly",
}
"""Words for figures, from low to high: after each, the figure at which the next begins.

Those of colourfulness lie halfway between the steps of Hasler & Süsstrunk (2003).
"""


def choose_word(scale: str, value: float) -> str:
    """Return the word of ``SCALES`` for a figure: ``very sharp`` for a sharpness of 0.84."""
    words = re.split(r" ([\d.]+) ", SCALES[scale])
    return words[::2][bisect([float(limit) for limit in words[1::2]], value)]


def replace_marks(text: str) -> str:
    """Return ``text`` with other marks for those of chat templates and engines, as in
    ``<|im_end|>``, ``[INST]`` and ``<image>``: what a person or a file says is text."""
    return text.translate(_MARKS)


_MARKS = str.maketrans("<>[]{}|`", "‹›()()/'")


def join_colours(colours: Sequence[DominantColour]) -> list[DominantColour]:
    """Return the ``colours`` with those of one name as one, the largest first: it has the shares of
    all of them and is else as the largest."""
    shares: dict[str, float] = {}
    for colour in colours:
        shares[colour.name] = shares.get(colour.name, 0) + colour.share
    largest = {colour.name: colour for colour in sorted(colours, key=lambda each: each.share)}
    joined = [replace(colour, share=shares[name]) for name, colour in largest.items()]
    return sorted(joined, key=lambda colour: -colour.share)


def list_main_colours(colours: Sequence[DominantColour], most: int) -> str:
    """Return ``brown 33 %, steel blue 22 %``: at most so many, equal names as one."""
    main = join_colours(colours)[:most]
    return ", ".join(f"{colour.name} {format_percent(colour.share)}" for colour in main)


def name_place(x: float, y: float) -> str:
    """Return where in the frame the point lies: ``upper left``, ``centre``, ``lower centre``.

    The borders run halfway between the thirds and the middle, so that what lies on a crossing of
    the thirds has that crossing's name.
    """
    across = "left" if x < 5 / 12 else "right" if x > 7 / 12 else "centre"
    down = "upper" if y < 5 / 12 else "lower" if y > 7 / 12 else "centre"
    return "centre" if across == down else f"{down} {across}"


def select_coloured(colours: Sequence[DominantColour]) -> list[DominantColour]:
    """Return those ``colours`` that are no kind of grey."""
    return [colour for colour in colours if colour.name.split()[-1] not in GREYS]


def find_opposite(first: DominantColour, colours: Sequence[DominantColour]) -> str:
    """Return the name of the colour opposed to ``first``.

    It is the largest of ``colours`` that is at least 90° of hue away; where the opposed hues are
    too scattered to be a main colour, the painters' complement of ``first`` names them.
    """
    opposed = [
        colour for colour in colours if _measure_hues_apart(first, colour) >= OPPOSED_DEGREES
    ]
    most = max(opposed, key=lambda colour: colour.share, default=None)
    return most.name if most else _find_complement(first)


def _compute_hue(colour: DominantColour) -> float:
    red, green, blue = (int(colour.hex[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 360 * colorsys.rgb_to_hsv(red, green, blue)[0]


def _measure_hues_apart(one: DominantColour, other: DominantColour) -> float:
    apart = abs(_compute_hue(one) - _compute_hue(other))
    return min(apart, 360 - apart)


def _find_complement(colour: DominantColour) -> str:
    limits = ((15, "green"), (45, "blue"), (75, "violet"), (165, "red"), (255, "orange"))
    hue = _compute_hue(colour)
    return next((name for limit, name in (*limits, (300, "yellow"), (361, "green")) if hue < limit))
