"""Generated pictures: a monogram for an advisor, a card for a work, the icon.

They are compositions of black lines and primary colours, seeded by the name alone: the same name
always gives the same picture.
"""

import hashlib
import io
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

PAPER, INK = "#f5f1e6", "#161616"

PRIMARIES = ("#d4291f", "#1d4fa3", "#f2c21b")

FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG"}
"""The picture formats by file extension."""

SIDE = 512

LINE = 12

_SMALLEST = 115

Box = tuple[int, int, int, int]


@lru_cache(maxsize=64)
def draw_portrait(name: str, ending: str = "jpg") -> bytes:
    """Return the monogram of ``name``, 512×512 pixels, in a format of ``FORMATS``."""
    image = _draw_composition(name, SIDE, SIDE)
    box = (SIDE // 6, SIDE // 4, SIDE * 5 // 6, SIDE * 3 // 4)
    _write(image, box, make_initials(name), size=SIDE // 3)
    return _encode(image, ending)


@lru_cache(maxsize=64)
def draw_card(title: str, year: str, ending: str = "jpg") -> bytes:
    """Return a card of 640×480 pixels that names a work, in a format of ``FORMATS``."""
    image = _draw_composition(f"{title} {year}", 640, 480)
    words = "\n".join([*textwrap.wrap(title, 24)[:4], year])
    _write(image, (60, 120, 580, 360), words, size=34)
    return _encode(image, ending)


def make_initials(name: str) -> str:
    """Return the first letters of the first and last word: ``VG`` for ``Vincent van Gogh``."""
    words = name.split()
    return "".join(word[0] for word in [*words[:1], *words[1:][-1:]]).upper() or "?"


def _draw_composition(words: str, width: int, height: int) -> Image.Image:
    seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8])
    random = Random(seed)
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    boxes = list(_split(random, (0, 0, width, height)))
    colours = [*PRIMARIES, *random.choices(PRIMARIES, k=len(boxes) // 6)]
    random.shuffle(boxes)
    for box, colour in zip(boxes, [*colours, *[PAPER] * len(boxes)], strict=False):
        draw.rectangle(box, fill=colour, outline=INK, width=LINE)
    return image


def _split(random: Random, box: Box) -> Iterator[Box]:
    """Split a box in two, recursively, until all are small."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if max(width, height) < 2 * _SMALLEST:
        yield box
        return
    share = random.uniform(0.3, 0.7)
    if width >= height:
        middle = left + round(width * share)
        halves = ((left, top, middle, bottom), (middle, top, right, bottom))
    else:
        middle = top + round(height * share)
        halves = ((left, top, right, middle), (left, middle, right, bottom))
    for half in halves:
        yield from _split(random, half)


def _write(image: Image.Image, box: Box, words: str, size: int) -> None:
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill=PAPER, outline=INK, width=LINE)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    font = ImageFont.load_default(size)  # Pillow's own: the same on every machine
    draw.multiline_text(middle, words, fill=INK, font=font, anchor="mm", align="center")


def _encode(image: Image.Image, ending: str) -> bytes:
    picture = io.BytesIO()
    image.save(picture, FORMATS[ending], quality=92)
    return picture.getvalue()


@lru_cache(maxsize=8)
def draw_icon(size: int) -> bytes:
    """Return the icon as a PNG of ``size``×``size`` pixels."""
    side, line = 512, 20
    image = Image.new("RGB", (side, side), INK)
    draw = ImageDraw.Draw(image)
    plates = (
        (PAPER, (0, 0, 150, 330)),
        (PRIMARIES[0], (170, 0, 512, 330)),
        (PRIMARIES[1], (0, 350, 150, 512)),
        (PAPER, (170, 350, 390, 512)),
        (PRIMARIES[2], (410, 350, 512, 512)),
    )
    for colour, (left, top, right, bottom) in plates:
        draw.rectangle((left, top, right - (right == side), bottom - (bottom == side)), fill=colour)
    draw.rectangle((0, 0, side - 1, side - 1), outline=INK, width=line)
    picture = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(picture, "PNG")
    return picture.getvalue()
