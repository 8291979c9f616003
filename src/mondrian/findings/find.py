"""``find``: one leading finding for each dimension, from the measurements alone.

In each dimension faults are looked for first; only a dimension without one is told its strengths.
The thresholds and scores are those of ``curves``.
"""

from collections.abc import Sequence

from mondrian.findings import curves
from mondrian.findings.framing import balance, composition, depth, isolation
from mondrian.findings.kinds import Finding, Severity, finding_of
from mondrian.findings.technique import colour, focus, lighting
from mondrian.findings.words import figure
from mondrian.measurements import Measurements

SEVERE = 3.0
FAULTY_MOOD = 6.0
FAULT_NAMES = {
    "horizon_tilted": "the tilt",
    "highlights_clipped": "the lost highlights",
    "shadows_blocked": "the lost shadows",
    "defocused": "the blur",
    "motion_blurred": "the blur",
    "soft": "the blur",
}
JUDGES = (composition, lighting, focus, colour, isolation, depth, balance)


def find(measurements: Measurements) -> tuple[Finding, ...]:
    """The leading finding of each dimension of a report, in the report's order."""
    others = [judge(measurements) for judge in JUDGES]
    return (*others, _impact(measurements, others))


def _impact(m: Measurements, others: Sequence[Finding]) -> Finding:
    severe = [
        (finding.score, finding)
        for finding in others
        if finding.severity is Severity.FAULT and finding.score and finding.score <= SEVERE
    ]
    marring = [
        (score, finding.dimension, name)
        for score, finding in severe
        if (name := _fault_name(finding))
    ]
    if marring:
        score, dimension, name = min(marring)
        evidence = [f"{dimension} scores {figure(score)} because of {name}"]
        return finding_of("marred", curves.MARRED(score), evidence, fault=name)
    evidence = [
        f"mean brightness {m.exposure.mean:.2f} of 1",
        f"contrast {m.contrast.rms:.2f} (standard deviation of brightness)",
        f"colourfulness {figure(m.colour.colourfulness)}",
    ]
    kind, score = _mood(m)
    return finding_of(kind, min(score, FAULTY_MOOD) if severe else score, evidence)


def _fault_name(finding: Finding) -> str | None:
    if finding.id == "both_ends_clipped":
        whites, blacks = (float(finding.placeholders[key]) for key in ("highlights", "shadows"))
        return "the lost highlights" if whites >= blacks else "the lost shadows"
    return "the colour cast" if finding.id.startswith("cast_") else FAULT_NAMES.get(finding.id)


def _mood(m: Measurements) -> tuple[str, float]:
    """The most decided mood and its score; ``restrained`` where there is none."""
    mean, median, rms = m.exposure.mean, m.exposure.percentiles[50], m.contrast.rms
    colourful = m.colour.colourfulness
    moods = [
        (
            "bright_and_open",
            mean >= curves.BRIGHT_MOOD.start and rms <= 0.22,
            curves.BRIGHT_MOOD(mean),
        ),
        ("dark_and_brooding", median <= curves.DARK_MOOD.end, curves.DARK_MOOD(median)),
        ("vivid", colourful >= curves.VIVID.start, curves.VIVID(colourful)),
        ("dramatic", rms >= curves.DRAMATIC.start, curves.DRAMATIC(rms)),
        ("quiet", rms <= curves.QUIET.end and colourful <= 25, curves.QUIET(rms)),
    ]
    held = [(kind, score) for kind, holds, score in moods if holds]
    fallback = ("restrained", curves.RESTRAINED(rms))
    return max(held, key=lambda mood: mood[1], default=fallback)
