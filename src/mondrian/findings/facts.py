"""Findings in words: a description of the photo, and the facts for a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from mondrian.findings.curves import LEAST_STRUCTURE
from mondrian.findings.framing import find_lean, is_without_subject
from mondrian.findings.kinds import Finding, Severity
from mondrian.findings.words import (
    format_figure,
    format_percent,
    join_colours,
    list_main_colours,
    name_place,
    replace_marks,
    select_coloured,
)
from mondrian.measurements import Measurements

LEAST_NAMED = 0.1


def describe(measurements: Measurements) -> tuple[str, ...]:
    """Return a description of the photo from measured facts, in one of four wordings."""
    shape, key = _describe_shape(measurements), _describe_key(measurements)
    article = "An" if shape == "upright" else "A"
    colours = _describe_colours(measurements)
    drawn, drawing = _describe_eye(measurements)
    return (
        f"{article} {shape} photograph, {key} in tone, "
        f"{f'mainly {colours}' if colours else 'with hardly any colour'}; {drawn}.",
        f"{f'Mainly {colours}' if colours else 'Almost without colour'}, and {key} in tone, "
        f"this {shape} photograph {drawing}.",
        f"{drawn[0].upper()}{drawn[1:]} in this {shape} photograph, which is {key} in tone and "
        f"{f'chiefly {colours}' if colours else 'nearly colourless'}.",
        f"The photograph is {shape} and {key} in tone, "
        f"{f'with {colours} as its main colours' if colours else 'with almost no colour'}; "
        f"it {drawing}.",
    )


def _describe_eye(m: Measurements) -> tuple[str, str]:
    """Return where the eye goes, worded as a clause and as the photograph's action."""
    if subject := m.subject_in_picture:
        spot = name_place(subject.x, subject.y)
        return f"the main subject lies in the {spot}", f"draws the eye to the {spot}"
    if is_without_subject(m):
        return "no single part stands out", "lets no single part stand out"
    spot = name_place(m.contrast.strongest_x, m.contrast.strongest_y)
    return f"the strongest contrast lies in the {spot}", f"has its strongest contrast in the {spot}"


def _describe_shape(m: Measurements) -> str:
    width, height = m.picture_size
    ratio = width / height
    if ratio > 2.2:
        return "panoramic"
    return "horizontal" if ratio > 1.05 else "upright" if ratio < 0.95 else "square"


def _describe_key(m: Measurements) -> str:
    return "dark" if m.exposure.mean < 0.3 else "bright" if m.exposure.mean > 0.65 else "medium"


def _describe_colours(m: Measurements) -> str:
    """Return ``brown and dark grey``; empty without a main colour. Beside greys the largest colour
    is named, if it has a tenth of the frame."""
    if m.colour.harmony == "monochrome":
        return ""
    main = join_colours(m.colour.dominant)
    coloured = [colour for colour in select_coloured(main) if colour.share >= LEAST_NAMED]
    if coloured and coloured[0] not in main[:2]:
        main.insert(1, coloured[0])
    return " and ".join(colour.name for colour in main[:2])


def write_brief(findings: Sequence[Finding]) -> str:
    """Return the findings in words, a hundred tokens at most, for a small engine's prompt."""
    return "; ".join(f"{f.dimension}: {f.id.replace('_', ' ')}" for f in findings) + "."


def list_facts(measurements: Measurements, findings: Sequence[Finding]) -> str:
    """Return the measured facts as plain text, at most 250 tokens, for a prompt beside the photo:
    only what is sure, so no horizon or subject where none was found, and of the findings the
    faults."""
    m = measurements
    lines = {
        "Photo": f"{m.width}×{m.height} px, {_describe_shape(m)}{_describe_camera(m)}",
        "Margins": _describe_margins(m),
        "Tone": _describe_tone(m),
        "Colour": _describe_palette(m),
        "Sharpness": _describe_sharpness(m),
        "Horizon": _describe_horizon(m),
        "Subject": _describe_subject(m),
        "Faults": ", ".join(
            finding.id.replace("_", " ")
            for finding in findings
            if finding.severity is Severity.FAULT
        ),
    }
    return "\n".join(f"{name}: {line}." for name, line in lines.items() if line)


def _describe_margins(m: Measurements) -> str:
    """Return the margins, which are not measured; empty without one."""
    sides = ("left", "top", "right", "bottom")
    found = [f"{side} {width}" for side in sides if (width := getattr(m.margins, side))]
    return f"{', '.join(found)} px of uniform colour, left out of what follows" if found else ""


def _describe_camera(m: Measurements) -> str:
    """Return the camera and its settings, each after a comma. A file may say anything: its words
    are cut to printable ones and 30 characters, without marks."""
    exif = m.exif
    shown = replace_marks("".join(filter(str.isprintable, exif.camera or ""))[:30].strip())
    parts = [
        shown,
        f"{format_figure(exif.focal_length_mm)} mm" if exif.focal_length_mm else "",
        f"f/{format_figure(exif.aperture)}" if exif.aperture else "",
        _describe_shutter(exif.exposure_seconds) if exif.exposure_seconds else "",
        f"ISO {exif.iso}" if exif.iso else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _describe_shutter(seconds: float) -> str:
    return f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{format_figure(seconds)} s"


def _describe_tone(m: Measurements) -> str:
    tones = m.exposure
    return (
        f"{tones.percentiles[5]:.1f} to {tones.percentiles[95]:.1f} of 1, "
        f"mean {tones.mean:.1f}; {format_figure(tones.clipped_highlights_percent)} % pure white, "
        f"{format_figure(tones.blocked_shadows_percent)} % pure black"
    )


def _describe_palette(m: Measurements) -> str:
    cast = "no cast" if m.colour.cast == "none" else f"{m.colour.cast} cast"
    strength = f"colourfulness {format_figure(m.colour.colourfulness)}"
    return f"{list_main_colours(m.colour.dominant, 3)}; {m.colour.harmony}, {cast}, {strength}"


def _describe_sharpness(m: Measurements) -> str:
    sharp = m.sharpness
    if sharp.structure < LEAST_STRUCTURE:
        return "nothing there that could be sharp"
    subject = "" if sharp.subject is None else f", {sharp.subject:.1f} on the subject"
    blur = "" if sharp.blur == "none" else f"; blur {sharp.blur}"
    return (
        f"{sharp.peak:.1f} of 1 at best ({name_place(sharp.sharpest_x, sharp.sharpest_y)}), "
        f"{sharp.mean:.1f} on average{subject}{blur}; noise {format_figure(m.noise_sigma)} of 255"
    )


def _describe_horizon(m: Measurements) -> str:
    tilt = find_lean(m)
    if tilt is None:
        return ""
    if abs(tilt) < 0.5:
        return "level"
    return f"{format_figure(abs(tilt))}° lower on the {'right' if tilt > 0 else 'left'}"


def _describe_subject(m: Measurements) -> str:
    subject, apart = m.subject_in_picture, m.separation
    if subject is None:
        return "none stands out" if is_without_subject(m) else ""
    separation = f"; separation {apart.score:.1f} of 1" if apart else ""
    place, area = name_place(subject.x, subject.y), format_percent(subject.area)
    return f"{place}, {area} of the frame{separation}"
