"""How the photo was made: lighting, focus and colour."""

from collections.abc import Iterator
from typing import TypeAlias

from mondrian.findings import curves
from mondrian.findings.framing import PLAIN_AROUND
from mondrian.findings.kinds import Finding, make_finding
from mondrian.findings.words import (
    choose_word,
    find_opposite,
    format_figure,
    format_percent,
    join_colours,
    list_main_colours,
    name_place,
    select_coloured,
)
from mondrian.measurements import Measurements

Fault: TypeAlias = tuple[str, float, dict[str, str]]
"""The id of a finding, its score, and its placeholders."""

SOFTER_AROUND = 1.3
BLURS = {"defocus": "defocused", "unknown": "soft"}
DEEP, LIGHT, WHOLE_RANGE, FLAT_RANGE = 0.08, 0.88, 0.6, 0.6
SOME_WHITE, MUCH_BURNT = 0.1, 10.0
DARK_MIDDLE, BRIGHT_MIDDLE = 0.36, 0.78


def judge_lighting(m: Measurements) -> Iterator[Finding]:
    """Yield tones lost at an end and tones crowded in a part of the scale, the worst first, then
    the range."""
    tones = m.exposure
    evidence = [
        _describe_lost("white", tones.clipped_highlights_percent),
        _describe_lost("black", tones.blocked_shadows_percent),
        f"tones from {_describe_tone(tones.percentiles[5])} "
        f"to {_describe_tone(tones.percentiles[95])} of 1",
    ]
    losses = [*_list_losses(m)]
    if losses and tones.burnt_colours_percent >= curves.HIGHLIGHTS.start:
        burnt = format_figure(tones.burnt_colours_percent)
        evidence.insert(1, f"{burnt} % burnt out to a pale colour without detail")
    faults = [*losses, *_list_crowding(m)]
    for kind, score, placeholders in sorted(faults, key=lambda fault: fault[1]):
        yield make_finding(kind, score, evidence, **placeholders)
    if not faults and _is_open_range(m) and _has_ground(m):
        yield make_finding("lighting_not_judged", None, evidence)
    kind, score = _judge_range(m)
    yield make_finding(kind, score, evidence)


def _describe_lost(tone: str, percent: float) -> str:
    return f"{choose_word('share', percent)} pure {tone} ({format_figure(percent)} % of the pixels)"


def _describe_tone(luma: float) -> str:
    return f"{choose_word('tone', luma)} ({luma:.2f})"


def _list_losses(m: Measurements) -> Iterator[Fault]:
    """Yield what is lost in pure white and in black, both first: they are worse than the worse.
    Colours that are burnt out beside the white are as much of a loss."""
    white, black = m.exposure.lost_highlights_percent, m.exposure.lost_shadows_percent
    burnt = white + m.exposure.burnt_colours_percent
    is_burnt = white >= SOME_WHITE and m.exposure.burnt_colours_percent >= MUCH_BURNT
    is_lost = white >= curves.HIGHLIGHTS.start or is_burnt
    highlights = curves.HIGHLIGHTS(burnt) if is_lost else None
    shadows = curves.SHADOWS(black) if black >= curves.SHADOWS.start else None
    if highlights and shadows:
        figures = {"highlights": format_figure(white), "shadows": format_figure(black)}
        least = curves.HIGHLIGHTS.points[0][1]
        both = min(highlights, shadows) - (least - max(highlights, shadows)) / 2
        yield "both_ends_clipped", max(1.0, both), figures
    if highlights:
        yield "highlights_clipped", highlights, {"percent": format_figure(white)}
    if shadows:
        yield "shadows_blocked", shadows, {"percent": format_figure(black)}


def _list_crowding(m: Measurements) -> Iterator[Fault]:
    """Yield tones that are all dark or all bright, else that fill only a part of the scale."""
    low, middle, high = (m.exposure.percentiles[percent] for percent in (1, 50, 99))
    is_dark = high <= curves.TOO_DARK.end and middle <= DARK_MIDDLE
    is_bright = low >= curves.TOO_BRIGHT.start and middle >= BRIGHT_MIDDLE
    if is_dark:
        yield "too_dark", curves.TOO_DARK(high), {}
    if is_bright:
        yield "too_bright", curves.TOO_BRIGHT(low), {}
    is_narrow = m.contrast.spread <= curves.FLAT.end and high - low <= FLAT_RANGE
    if is_narrow and not is_dark and not is_bright:
        yield "flat_light", curves.FLAT(m.contrast.spread), {}


def _is_open_range(m: Measurements) -> bool:
    """Return whether the tones run from black to white."""
    low, high = (m.exposure.percentiles[percent] for percent in (1, 99))
    return low <= DEEP and high >= LIGHT and m.contrast.spread >= WHOLE_RANGE


def _has_ground(m: Measurements) -> bool:
    """Return whether much is pure black or white, as night or paper is: that is no range."""
    white, black = m.exposure.clipped_highlights_percent, m.exposure.blocked_shadows_percent
    return white >= curves.HIGHLIGHTS.start or black >= curves.SHADOWS.start


def _judge_range(m: Measurements) -> tuple[str, float]:
    """Return the finding and the score of a photo whose tones are all kept."""
    if _is_open_range(m):
        clipped = m.exposure.lost_highlights_percent + m.exposure.lost_shadows_percent
        return "full_range", curves.FULL_RANGE(clipped)
    return "moderate_range", curves.MODERATE(m.contrast.spread)


def judge_focus(m: Measurements) -> Iterator[Finding]:
    """Yield softness everywhere, a missed focus and noise, the worst first, then crispness."""
    sharp = m.sharpness
    where = name_place(sharp.sharpest_x, sharp.sharpest_y)
    if sharp.structure < curves.LEAST_STRUCTURE:
        evidence = [f"structure in {format_percent(sharp.structure)} of the frame"]
        yield make_finding("sharpness_not_judged", None, evidence)
        return
    evidence = [
        f"{choose_word('sharpness', sharp.mean)} on average ({sharp.mean:.2f} of 1), "
        f"{choose_word('sharpness', sharp.peak)} at its best ({sharp.peak:.2f})",
        f"sharpest in the {where}",
    ]
    if sharp.subject is not None:
        evidence.append(
            f"{choose_word('sharpness', sharp.subject)} over the subject ({sharp.subject:.2f})"
        )
    if sharp.blur == "motion" and sharp.motion_angle_degrees is not None:
        evidence.append(f"blurred along {sharp.motion_angle_degrees:.0f}° from the horizontal")
    noise = choose_word("noise", m.noise_sigma)
    evidence.append(f"{noise} ({format_figure(m.noise_sigma)} levels of 255)")
    faults = [
        fault for fault in (_find_softness(m), _find_missed_focus(m), _find_noise(m)) if fault
    ]
    for kind, score in (*sorted(faults, key=lambda fault: fault[1]), _judge_crispness(m)):
        placeholders = {"where": where} if kind == "focus_missed" else {}
        yield make_finding(kind, score, evidence, **placeholders)


def _find_softness(m: Measurements) -> tuple[str, float] | None:
    """Soft everywhere, and by what."""
    sharp = m.sharpness
    if sharp.blur == "motion":
        return "motion_blurred", curves.MOTION(sharp.mean)
    if sharp.blur in BLURS:
        return BLURS[sharp.blur], curves.SOFT(sharp.mean)
    return None


def _find_missed_focus(m: Measurements) -> tuple[str, float] | None:
    """Return the finding of a clear subject far softer than the sharpest part, which is outside."""
    sharp, subject = m.sharpness, m.subject_in_picture
    if sharp.subject is None or subject is None:
        return None
    is_on_subject = (
        subject.left <= sharp.sharpest_x <= subject.right
        and subject.top <= sharp.sharpest_y <= subject.bottom
    )
    if is_on_subject or sharp.subject >= curves.MISSED.end * sharp.peak:
        return None
    return "focus_missed", curves.MISSED(sharp.subject / sharp.peak)


def _find_noise(m: Measurements) -> tuple[str, float] | None:
    sigma = m.noise_sigma
    return ("noisy", curves.NOISE(sigma)) if sigma >= curves.NOISE.start else None


def _judge_crispness(m: Measurements) -> tuple[str, float]:
    sharp = m.sharpness
    if _is_sharp_before_soft(m) and sharp.subject:
        return "crisp_subject", curves.CRISP(sharp.subject)
    if sharp.mean >= curves.CRISP_ALL.start:
        return "crisp_throughout", curves.CRISP_ALL(sharp.mean)
    return "acceptably_sharp", curves.ACCEPTABLE(sharp.mean)


def _is_sharp_before_soft(m: Measurements) -> bool:
    """Return whether the subject is crisp, and what is around it softer or without structure."""
    sharp, apart = m.sharpness, m.separation
    if apart is None or sharp.subject is None or sharp.subject < curves.CRISP.start:
        return False
    return apart.sharpness_ratio >= SOFTER_AROUND or sharp.around < PLAIN_AROUND


def judge_colour(m: Measurements) -> Iterator[Finding]:
    """Yield a cast first, then too much chroma, then none, or how the hues stand to each other."""
    palette = m.colour
    main = list_main_colours(palette.dominant, 2)
    evidence = [
        f"mainly {main}" if main else "no main colour",
        f"{choose_word('colourfulness', palette.colourfulness)} "
        f"({format_figure(palette.colourfulness)}), "
        f"with a mean chroma of {format_figure(palette.saturation)}",
    ]
    if palette.accent:
        where = name_place(palette.accent.x or 0.0, palette.accent.y or 0.0)
        evidence.append(f"an accent of {palette.accent.name} in the {where}")
    if palette.cast != "none" and palette.cast_strength >= curves.CAST.start:
        strength = palette.cast_strength
        words = f"{choose_word('cast', strength)} {palette.cast}"
        cast = f"a {words} cast ({format_figure(strength)} CIELAB units)"
        score = curves.CAST(strength)
        yield make_finding(f"cast_{palette.cast}", score, [cast, *evidence])
    if palette.saturation >= curves.OVERSATURATED.start:
        yield make_finding("oversaturated", curves.OVERSATURATED(palette.saturation), evidence)
    if palette.harmony == "monochrome":
        yield make_finding("monochrome", curves.MONOCHROME(m.contrast.rms), evidence)
    else:
        yield _judge_harmony(m, evidence)


def _judge_harmony(m: Measurements, evidence: list[str]) -> Finding:
    palette, named = m.colour, select_coloured(join_colours(m.colour.dominant))
    if not named or palette.saturation <= curves.MUTED.end:
        return make_finding("muted", curves.MUTED(palette.saturation), evidence)
    strength, first = palette.colourfulness, named[0]
    if palette.harmony == "analogous":
        return make_finding("analogous", curves.ANALOGOUS(strength), evidence, first=first.name)
    if palette.harmony == "complementary":
        pair = {"first": first.name, "second": find_opposite(first, named)}
        return make_finding("complementary", curves.COMPLEMENTARY(strength), evidence, **pair)
    return make_finding("many_hues", curves.MANY_HUES(strength), evidence)
