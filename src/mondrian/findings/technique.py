"""How the photo was made: lighting, focus and colour."""

from mondrian.findings import curves
from mondrian.findings.framing import has_subject
from mondrian.findings.kinds import Finding, finding_of
from mondrian.findings.words import coloured, figure, opposite, percent, place
from mondrian.measurements import Measurements

SOFTER_AROUND = 1.3
BLURS = {"defocus": "defocused", "unknown": "soft"}
DEEP, LIGHT, WHOLE_RANGE, FLAT_RANGE = 0.08, 0.88, 0.6, 0.6


def lighting(m: Measurements) -> Finding:
    """Tones lost at an end first, then tones crowded at one, then the range."""
    tones = m.exposure
    white, black = tones.clipped_highlights_percent, tones.blocked_shadows_percent
    evidence = [
        f"{figure(white)} % of the pixels are pure white",
        f"{figure(black)} % of the pixels are pure black",
        f"tones from {tones.percentiles[5]:.2f} to {tones.percentiles[95]:.2f} of 1",
    ]
    lost = [
        white >= curves.HIGHLIGHTS.start and curves.HIGHLIGHTS(white),
        black >= curves.SHADOWS.start and curves.SHADOWS(black),
    ]
    if all(lost):
        figures = {"highlights": figure(white), "shadows": figure(black)}
        return finding_of("both_ends_clipped", min(lost), evidence, **figures)
    if lost[0]:
        return finding_of("highlights_clipped", lost[0], evidence, percent=figure(white))
    if lost[1]:
        return finding_of("shadows_blocked", lost[1], evidence, percent=figure(black))
    return finding_of(*_range(m), evidence)


def _range(m: Measurements) -> tuple[str, float]:
    """The finding and the score of a photo whose tones are all kept."""
    tones, spread = m.exposure, m.contrast.spread
    low, high = tones.percentiles[1], tones.percentiles[99]
    if high <= curves.TOO_DARK.end:
        return "too_dark", curves.TOO_DARK(high)
    if low >= curves.TOO_BRIGHT.start:
        return "too_bright", curves.TOO_BRIGHT(low)
    if spread <= curves.FLAT.end and high - low <= FLAT_RANGE:
        return "flat_light", curves.FLAT(spread)
    if low <= DEEP and high >= LIGHT and spread >= WHOLE_RANGE:
        clipped = tones.clipped_highlights_percent + tones.blocked_shadows_percent
        return "full_range", curves.FULL_RANGE(clipped)
    return "moderate_range", curves.MODERATE(spread)


def focus(m: Measurements) -> Finding:
    """The worst of softness everywhere, a missed focus and noise; without these, crispness."""
    sharp = m.sharpness
    where = place(sharp.sharpest_x, sharp.sharpest_y)
    evidence = [
        f"sharpness {sharp.mean:.2f} of 1 on average, {sharp.peak:.2f} at its best",
        f"sharpest in the {where}",
    ]
    if sharp.subject is not None:
        evidence.append(f"sharpness {sharp.subject:.2f} of 1 over the subject")
    if sharp.blur == "motion" and sharp.motion_angle_degrees is not None:
        evidence.append(f"blurred along {sharp.motion_angle_degrees:.0f}° from the horizontal")
    evidence.append(f"noise of {figure(m.noise_sigma)} levels of 255")
    faults = [fault for fault in (_softness(m), _missed(m), _noise(m)) if fault]
    kind, score = min(faults, key=lambda fault: fault[1], default=_crispness(m))
    placeholders = {"where": where} if kind == "focus_missed" else {}
    return finding_of(kind, score, evidence, **placeholders)


def _softness(m: Measurements) -> tuple[str, float] | None:
    """Soft everywhere, and by what."""
    sharp = m.sharpness
    if sharp.blur == "motion" and sharp.mean < curves.MOTION.end:
        return "motion_blurred", curves.MOTION(sharp.mean)
    if sharp.blur in BLURS and sharp.mean < curves.SOFT.end:
        return BLURS[sharp.blur], curves.SOFT(sharp.mean)
    return None


def _missed(m: Measurements) -> tuple[str, float] | None:
    """A clear subject that is far softer than the sharpest part, which lies outside it."""
    sharp, subject = m.sharpness, m.subject
    if sharp.subject is None or not has_subject(m):
        return None
    is_on_subject = (
        subject.left <= sharp.sharpest_x <= subject.right
        and subject.top <= sharp.sharpest_y <= subject.bottom
    )
    if is_on_subject or sharp.subject >= curves.MISSED.end * sharp.peak:
        return None
    return "focus_missed", curves.MISSED(sharp.subject / sharp.peak)


def _noise(m: Measurements) -> tuple[str, float] | None:
    sigma = m.noise_sigma
    return ("noisy", curves.NOISE(sigma)) if sigma >= curves.NOISE.start else None


def _crispness(m: Measurements) -> tuple[str, float]:
    sharp, crisp = m.sharpness, curves.CRISP.start
    on_subject = sharp.subject if sharp.subject is not None and has_subject(m) else 0.0
    if on_subject >= crisp and m.separation.sharpness_ratio >= SOFTER_AROUND:
        return "crisp_subject", curves.CRISP(on_subject)
    if sharp.mean >= crisp:
        return "crisp_throughout", curves.CRISP(sharp.mean)
    return "acceptably_sharp", curves.ACCEPTABLE(sharp.mean)


def colour(m: Measurements) -> Finding:
    """A cast first, then too much chroma, then none, then how the hues stand to each other."""
    palette = m.colour
    main = " and ".join(f"{part.name} {percent(part.share)}" for part in palette.dominant[:2])
    evidence = [
        f"mainly {main}" if main else "no main colour",
        f"colourfulness {figure(palette.colourfulness)}, mean chroma {figure(palette.saturation)}",
    ]
    if palette.cast != "none" and palette.cast_strength >= curves.CAST.start:
        evidence.insert(0, f"a {palette.cast} cast of {figure(palette.cast_strength)} CIELAB units")
        return finding_of(f"cast_{palette.cast}", curves.CAST(palette.cast_strength), evidence)
    if palette.saturation >= curves.OVERSATURATED.start:
        return finding_of("oversaturated", curves.OVERSATURATED(palette.saturation), evidence)
    if palette.harmony == "monochrome":
        return finding_of("monochrome", curves.MONOCHROME(m.contrast.rms), evidence)
    return _harmony(m, evidence)


def _harmony(m: Measurements, evidence: list[str]) -> Finding:
    palette, named = m.colour, coloured(m.colour.dominant)
    if not named or palette.saturation <= curves.MUTED.end:
        return finding_of("muted", curves.MUTED(palette.saturation), evidence)
    strength, first = palette.colourfulness, named[0]
    if palette.harmony == "analogous":
        return finding_of("analogous", curves.ANALOGOUS(strength), evidence, first=first.name)
    if palette.harmony == "complementary":
        pair = {"first": first.name, "second": opposite(first, named)}
        return finding_of("complementary", curves.COMPLEMENTARY(strength), evidence, **pair)
    return finding_of("many_hues", curves.MANY_HUES(strength), evidence)
