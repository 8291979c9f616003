"""``find``: one leading finding for each dimension, from the measurements alone.

In each dimension faults are looked for first; only a dimension without one is told its strengths.
The thresholds and scores are those of ``curves``. What was meant, or is none in the photo's genre,
is no fault: then the next finding leads, or the dimension is not judged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mondrian.answers import show_name
from mondrian.findings import curves
from mondrian.findings.choices import list_choices
from mondrian.findings.framing import judge_balance, judge_composition, judge_depth, judge_isolation
from mondrian.findings.kinds import KINDS, Finding, Severity, make_finding
from mondrian.findings.technique import judge_colour, judge_focus, judge_lighting
from mondrian.findings.words import choose_word, format_figure
from mondrian.measurements import Measurements
from mondrian.purpose import NO_PURPOSE, Purpose

SEVERE = 3.0
FAULT_NAMES = {
    "horizon_tilted": "the tilt",
    "highlights_clipped": "the lost highlights",
    "shadows_blocked": "the lost shadows",
    "defocused": "the blur",
    "motion_blurred": "the blur",
    "soft": "the blur",
}
JUDGES = (
    judge_composition,
    judge_lighting,
    judge_focus,
    judge_colour,
    judge_isolation,
    judge_depth,
    judge_balance,
)


SEPARATE = frozenset(
    {"horizon_tilted", "oversaturated", "noisy"} | {kind for kind in KINDS if kind[:5] == "cast_"}
)
"""Faults beside which the next finding of their dimension is true as well."""

_CHOSEN = {kind.dimension: kind.id for kind in KINDS.values() if "choice" in kind.placeholders}


def find(measurements: Measurements, purpose: Purpose = NO_PURPOSE) -> tuple[Finding, ...]:
    """Return the leading finding of each dimension of a report, in the report's order. What
    ``purpose`` makes a choice does not count."""
    choices = list_choices(purpose)
    others = [_choose_lead(judge(measurements), choices) for judge in JUDGES]
    return (*others, _judge_impact(measurements, others))


def _choose_lead(candidates: Iterable[Finding], choices: Mapping[str, str]) -> Finding:
    """Return the first of ``candidates`` that is no choice, if it can be told beside those that
    are, and else that the dimension is not judged. No choice lowers a score."""
    passed, said = list[Finding](), dict[str, None]()
    for finding in candidates:
        if finding.id in choices:
            passed.append(finding)
            said |= dict.fromkeys([choices[finding.id]])
        elif not passed:
            return finding
        elif finding.severity is Severity.FAULT or SEPARATE.issuperset(each.id for each in passed):
            scores = [each.score for each in (finding, *passed) if each.score is not None]
            evidence = (*said, *finding.evidence)
            return replace(finding, score=max(scores), evidence=evidence, choices=tuple(said))
    choice, evidence = "; ".join(said), (*said, *passed[0].evidence)
    chosen = make_finding(_CHOSEN[passed[0].dimension], None, evidence, choice=choice)
    return replace(chosen, choices=tuple(said))


def _judge_impact(m: Measurements, others: Sequence[Finding]) -> Finding:
    faults = [
        (finding.score, finding)
        for finding in others
        if finding.severity is Severity.FAULT and finding.score
    ]
    marring = [
        (score, finding.dimension, name)
        for score, finding in faults
        if score <= SEVERE and (name := _name_fault(finding))
    ]
    if marring:
        score, dimension, name = min(marring)
        evidence = [f"{show_name(dimension)} scores {format_figure(score)} because of {name}"]
        return make_finding("marred", curves.MARRED(score), evidence, fault=name)
    mean, contrast, colour = m.exposure.mean, m.contrast.rms, m.colour.colourfulness
    spread = f"{contrast:.2f}, the standard deviation of brightness"
    evidence = [
        f"{choose_word('brightness', mean)} in the mean ({mean:.2f} of 1)",
        f"{choose_word('contrast', contrast)} ({spread})",
        f"{choose_word('colourfulness', colour)} ({format_figure(colour)})",
    ]
    kind, score = _judge_mood(m)
    most = min((curves.FAULTY_MOOD(fault) for fault, _ in faults), default=score)
    return make_finding(kind, min(score, most), evidence)


def _name_fault(finding: Finding) -> str | None:
    if finding.id == "both_ends_clipped":
        whites, blacks = (float(finding.placeholders[key]) for key in ("highlights", "shadows"))
        return "the lost highlights" if whites >= blacks else "the lost shadows"
    return "the colour cast" if finding.id.startswith("cast_") else FAULT_NAMES.get(finding.id)


def _judge_mood(m: Measurements) -> tuple[str, float]:
    """Return the most decided mood and its score; ``restrained`` where there is none."""
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
