"""JPEG files by hand: segments put in, coded in other ways."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def insert(jpeg: bytes, *segments: bytes) -> bytes:
    """Put segments behind the start, before all others."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without(jpeg: bytes, markers: Iterable[int]) -> bytes:
    """Leave out the segments before the frame that have one of the markers."""
    kept, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xC0 and jpeg[at + 1] != 0xC2:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] not in markers:
            kept.append(jpeg[at:end])
        at = end
    return b"".join(kept) + jpeg[at:]


def frame_at(jpeg: bytes) -> int:
    """Return where the frame's marker is."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return at


def adobe(transform: int, beyond: bytes = b"") -> bytes:
    """Return Adobe's APP14, which says how colours are coded."""
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]) + beyond)


def named_components(jpeg: bytes, names: bytes) -> bytes:
    """Give the components other names, in the frame and in its one scan."""
    content, frame = bytearray(jpeg), frame_at(jpeg)
    scan = jpeg.index(b"\xff\xda")
    for place, name in enumerate(names):
        content[frame + 10 + 3 * place] = name
        content[scan + 5 + 2 * place] = name
    return bytes(content)


def pixels(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
    """Return what Pillow makes of it, RGB."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)
