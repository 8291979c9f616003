"""Convert a file's colours to sRGB: by ICC profile, code points (ITU-T H.273), PNG gamma, or
EXIF."""

import io
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

from mondrian.photos.exif import is_adobe_rgb

Converter: TypeAlias = Callable[[Image.Image], Image.Image]
Floats: TypeAlias = NDArray[np.float64]
# CIE x and y of red, green, blue and white
Primaries: TypeAlias = tuple[float, float, float, float, float, float, float, float]

_MAX_PROFILE_BYTES = 1_000_000

_D65 = (0.3127, 0.329)
_D50_XYZ = (0.9642, 1.0, 0.8249)
_SRGB: Primaries = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, *_D65)
_ADOBE_RGB: Primaries = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)
# ITU-T H.273, table 2; other numbers are sRGB or unknown
_PRIMARIES: dict[int, Primaries] = {
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.31, 0.316),
    5: (0.64, 0.33, 0.29, 0.6, 0.15, 0.06, *_D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    9: (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, *_D65),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65),
}
# H.273, table 3: power laws. The others, except PQ and HLG, are sRGB's curve or shown as it.
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_PQ, _HLG = 16, 18
# The PNG gamma that programs write for sRGB, 1/2.2, with their rounding.
_SRGB_GAMMA = (2.1, 2.3)
_ADOBE_GAMMA = 2.2
# A table with this many colours a side is off by a quarter of a level in the mean.
_STEPS = 65
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
# Diffuse white and the display's peak, in cd/m² (ITU-R BT.2408-7, 2.1; BT.2100).
_WHITE, _PEAK = 203.0, 1000.0
# From this share of white on, light is compressed.
_KNEE = 0.7


def make_srgb_converter(image: Image.Image) -> Converter:
    """Return a converter of flat strips of ``image`` to sRGB: ``as_rgb`` if it is in sRGB, or if
    its colour space is missing or invalid."""
    if (profile := image.info.get("icc_profile")) and not is_hdr(image):
        return _converter_from_profile(profile, image)
    if "cicp" in image.info:
        return _converter_from_numbers(image)
    if "srgb" not in image.info and ("gamma" in image.info or "chromaticity" in image.info):
        return _converter_from_png(image)
    if is_adobe_rgb(image):
        return _converter_from_primaries(_ADOBE_RGB, _ADOBE_GAMMA, image)
    return as_rgb


def is_hdr(image: Image.Image) -> bool:
    """Return whether the picture's transfer is PQ or HLG (ITU-R BT.2100)."""
    return image.info.get("cicp", (0, 0))[1] in (_PQ, _HLG)


def as_rgb(strip: Image.Image) -> Image.Image:
    """Return the strip in RGB, the only conversion of a picture in sRGB."""
    return strip if strip.mode == "RGB" else strip.convert("RGB")


def _converter_from_profile(profile: bytes, image: Image.Image) -> Converter:
    mode = "CMYK" if image.mode == "CMYK" else Image.getmodebase(image.mode)
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(_clean_profile(profile)))
        space = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}[opened.profile.xcolor_space]
        if space != mode and (space != "RGB" or mode == "CMYK"):
            raise ValueError(f"a profile of {space} in a photo of {mode}")
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(opened, srgb, space, "RGB")
        if space == "RGB" and _is_identity(transform):
            return as_rgb
    except Exception:  # a broken profile is ignored
        return as_rgb
    return lambda strip: transform.apply(strip if strip.mode == space else strip.convert(space))


def _clean_profile(profile: bytes) -> bytes:
    """Return the profile without its floating-point element tables (ICC.1:2010, 9.2.5): no camera
    writes them, and a few kilobytes can hold thousands, which take minutes."""
    if len(profile) > _MAX_PROFILE_BYTES:
        raise ValueError("a profile without end")
    checked, (count,) = bytearray(profile), struct.unpack_from(">I", profile, 128)
    for at in range(132, 132 + 12 * min(count, 100), 12):
        if bytes(checked[at : at + 3]) in (b"D2B", b"B2D"):
            checked[at : at + 1] = b"x"
    return bytes(checked)


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether 5,832 colours stay the same: most profiles are sRGB and need no conversion."""
    levels = np.arange(0, 256, 15).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= 1


def _converter_from_numbers(image: Image.Image) -> Converter:
    number, transfer = image.info["cicp"]
    primaries = _PRIMARIES.get(number, _SRGB)
    if transfer not in (_PQ, _HLG):
        return _converter_from_primaries(primaries, _GAMMAS.get(transfer), image)
    table = _make_hdr_table(primaries, transfer)
    return lambda strip: as_rgb(strip).filter(table)


def _converter_from_png(image: Image.Image) -> Converter:
    """Return a converter by PNG's gAMA and cHRM; the latter begins with white."""
    gamma = 1 / (image.info.get("gamma") or 1 / 2.2)
    white_x, white_y, *colours = image.info.get("chromaticity", (*_D65, *_SRGB[:6]))
    exponent = None if _SRGB_GAMMA[0] < gamma < _SRGB_GAMMA[1] else min(max(gamma, 0.2), 5.0)
    return _converter_from_primaries((*colours, white_x, white_y), exponent, image)


def _converter_from_primaries(
    primaries: Primaries, gamma: float | None, image: Image.Image
) -> Converter:
    """Return a converter from these primaries with a power law, or with sRGB's curve."""
    try:
        return _converter_from_profile(_make_profile(primaries, gamma), image)
    except (ArithmeticError, np.linalg.LinAlgError, struct.error):  # degenerate primaries
        return as_rgb


def _make_profile(primaries: Primaries, gamma: float | None) -> bytes:
    """Return an ICC profile of three primaries and a curve (ICC.1:2010, 8.3.3)."""
    powers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045) if gamma is None else (gamma,)
    curve = struct.pack(">4s4xHH", b"para", 3 if gamma is None else 0, 0) + _pack_fixed(powers)
    columns = _adapt(_to_xyz(primaries), _D50_XYZ).T
    xyz = [struct.pack(">4s4x", b"XYZ ") + _pack_fixed(column) for column in (*columns, _D50_XYZ)]
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"rTRC", b"gTRC", b"bTRC")
    table, body = struct.pack(">I", len(names)), b""
    for name, element in zip(names, (*xyz, curve, curve, curve), strict=True):
        table += name + struct.pack(">II", 132 + 12 * len(names) + len(body), len(element))
        body += element
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x0420_0000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _pack_fixed(_D50_XYZ)).ljust(128, b"\0") + table + body


def _pack_fixed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _adapt(to_xyz: Floats, white: Iterable[float]) -> Floats:
    """Return the matrix with its white point adapted to ``white`` by Bradford's method."""
    cones = _BRADFORD @ np.array([*white]) / (_BRADFORD @ to_xyz.sum(axis=1))
    adapted: Floats = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ to_xyz
    return adapted


def _to_xyz(primaries: Primaries) -> Floats:
    """Return the matrix from linear RGB to CIE XYZ (SMPTE RP 177)."""
    xy = np.array(primaries, np.float64).reshape(4, 2)
    if not (xy[:, 1] > 0).all():
        raise ZeroDivisionError("a primary without light")
    columns = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)]) / xy[:, 1]
    strengths = np.linalg.solve(columns[:, :3], columns[:, 3])
    return columns[:, :3] * strengths


@lru_cache(maxsize=4)
def _make_hdr_table(primaries: Primaries, transfer: int) -> ImageFilter.Color3DLUT:
    """Return a lookup table from PQ's or HLG's colours to sRGB."""
    steps = np.linspace(0, 1, _STEPS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    coded = np.stack([red, green, blue], -1).reshape(-1, 3)
    light = np.minimum((_decode_pq if transfer == _PQ else _decode_hlg)(coded), _PEAK) / _WHITE
    light = np.maximum(light @ (np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(primaries)).T, 0)
    brightest = np.maximum(light.max(axis=1, keepdims=True), 1e-9)
    colours = _to_srgb_curve(light * _compress(brightest) / brightest)
    return ImageFilter.Color3DLUT(_STEPS, colours.astype(np.float32))


def _to_srgb_curve(light: Floats) -> Floats:
    """Return linear light encoded with sRGB's curve (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _decode_pq(values: Floats) -> Floats:
    """Return the light in cd/m² (SMPTE ST 2084, 5.2)."""
    power = values ** (32 / 2523)
    return 10_000 * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (
        16384 / 2610
    )


def _decode_hlg(values: Floats) -> Floats:
    """Return the light in cd/m² on a screen of 1000 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.678, 0.0593])
    gain: Floats = np.maximum(luminance, 1e-9)[:, None] ** 0.2
    return _PEAK * scene * gain


def _compress(light: Floats) -> Floats:
    """Return light, in units of white, compressed to at most 1: unchanged below the knee, above it
    with Reinhard's curve that maps the peak to 1 (Reinhard et al. 2002, equation 4)."""
    over, most = (light - _KNEE) / (1 - _KNEE), (_PEAK / _WHITE - _KNEE) / (1 - _KNEE)
    shoulder = _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + np.maximum(over, 0))
    return np.minimum(np.where(light <= _KNEE, light, shoulder), 1.0)
