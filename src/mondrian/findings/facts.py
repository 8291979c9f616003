"""Findings in words: a description of the photo, and the facts for a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from mondrian.findings.framing import has_subject, lean
from mondrian.findings.kinds import Finding
from mondrian.findings.words import figure, percent, place
from mondrian.measurements import Measurements


def describe(measurements: Measurements) -> tuple[str, ...]:
    """The photo in a sentence of measured facts, said in four ways."""
    shape, key = _shape(measurements), _key(measurements)
    article = "An" if shape == "upright" else "A"
    colours = _colours(measurements)
    spot = place(measurements.subject.x, measurements.subject.y)
    seen = has_subject(measurements)
    return (
        f"{article} {shape} photograph, {key} in tone, "
        f"{f'mainly {colours}' if colours else 'with hardly any colour'}; "
        f"{f'the main subject lies in the {spot}' if seen else 'no single part stands out'}.",
        f"{f'Mainly {colours}' if colours else 'Almost without colour'}, and {key} in tone, "
        f"this {shape} photograph "
        f"{f'draws the eye to the {spot}' if seen else 'lets no single part stand out'}.",
        f"{f'In the {spot} lies the main subject' if seen else 'There is no clear main subject'} "
        f"of this {shape} photograph, which is {key} in tone and "
        f"{f'chiefly {colours}' if colours else 'nearly colourless'}.",
        f"The photograph is {shape} and {key} in tone, "
        f"{f'with {colours} as its main colours' if colours else 'with almost no colour'}, and "
        f"{f'the eye goes to the {spot}' if seen else 'the eye finds no single place to rest'}.",
    )


def _shape(m: Measurements) -> str:
    ratio = m.width / m.height
    if ratio > 2.2:
        return "panoramic"
    return "horizontal" if ratio > 1.05 else "upright" if ratio < 0.95 else "square"


def _key(m: Measurements) -> str:
    return "dark" if m.exposure.mean < 0.3 else "bright" if m.exposure.mean > 0.65 else "medium"


def _colours(m: Measurements) -> str:
    """``brown and dark grey``; empty where there is no colour to speak of."""
    if m.colour.harmony == "monochrome":
        return ""
    return " and ".join(list(dict.fromkeys(part.name for part in m.colour.dominant))[:2])


def brief(findings: Sequence[Finding]) -> str:
    """The findings in words, a hundred tokens at most, for a small engine's prompt."""
    return "; ".join(f"{f.dimension}: {f.id.replace('_', ' ')}" for f in findings) + "."


def facts(measurements: Measurements, findings: Sequence[Finding]) -> str:
    """The measured facts as plain text, at most 250 tokens, for a prompt beside the photo."""
    m = measurements
    lines = {
        "Photo": f"{m.width}×{m.height} px, {_shape(m)}{_camera(m)}",
        "Tone": _tone(m),
        "Colour": _palette(m),
        "Sharpness": _sharpness(m),
        "Horizon": _horizon(m),
        "Subject": _subject(m),
        "Found": ", ".join(finding.id.replace("_", " ") for finding in findings),
    }
    return "\n".join(f"{name}: {line}." for name, line in lines.items())


def _camera(m: Measurements) -> str:
    """The camera and its settings, each after a comma. A file may say anything: its words are cut
    to printable ones and 30 characters."""
    exif = m.exif
    shown = "".join(filter(str.isprintable, exif.camera or ""))[:30].strip()
    parts = [
        shown,
        f"{figure(exif.focal_length_mm)} mm" if exif.focal_length_mm else "",
        f"f/{figure(exif.aperture)}" if exif.aperture else "",
        _shutter(exif.exposure_seconds) if exif.exposure_seconds else "",
        f"ISO {exif.iso}" if exif.iso else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _shutter(seconds: float) -> str:
    return f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{figure(seconds)} s"


def _tone(m: Measurements) -> str:
    tones = m.exposure
    return (
        f"{tones.percentiles[5]:.1f} to {tones.percentiles[95]:.1f} of 1, "
        f"mean {tones.mean:.1f}; {figure(tones.clipped_highlights_percent)} % pure white, "
        f"{figure(tones.blocked_shadows_percent)} % pure black"
    )


def _palette(m: Measurements) -> str:
    named = ", ".join(f"{part.name} {percent(part.share)}" for part in m.colour.dominant[:3])
    cast = "no cast" if m.colour.cast == "none" else f"{m.colour.cast} cast"
    return f"{named}; {m.colour.harmony}, {cast}, colourfulness {figure(m.colour.colourfulness)}"


def _sharpness(m: Measurements) -> str:
    sharp = m.sharpness
    subject = "" if sharp.subject is None else f", {sharp.subject:.1f} on the subject"
    return (
        f"{sharp.peak:.1f} of 1 at best ({place(sharp.sharpest_x, sharp.sharpest_y)}), "
        f"{sharp.mean:.1f} on average{subject}; blur {sharp.blur}, "
        f"noise {figure(m.noise_sigma)} of 255"
    )


def _horizon(m: Measurements) -> str:
    tilt = lean(m)
    if tilt is None:
        return "not found"
    if abs(tilt) < 0.5:
        return "level"
    return f"{figure(abs(tilt))}° lower on the {'right' if tilt > 0 else 'left'}"


def _subject(m: Measurements) -> str:
    if not has_subject(m):
        return "none stands out"
    s = m.subject
    separation = f"separation {m.separation.score:.1f} of 1"
    return f"{place(s.x, s.y)}, {percent(s.area)} of the frame; {separation}"
