"""How the frame is arranged: composition, subject isolation, depth and balance."""

import math

from mondrian.findings import curves
from mondrian.findings.kinds import Finding, finding_of
from mondrian.findings.words import figure, percent
from mondrian.measurements import Measurements

SURE_OF_HORIZON = 0.5
SURE_OF_SUBJECT = 0.3
EDGE_MARGIN = 0.01
FULL_TONE, FULL_COLOUR, FULL_FOCUS = 0.5, 60.0, 1.5


def has_subject(m: Measurements) -> bool:
    """Whether the photo has a clear main subject."""
    return m.subject.confidence >= SURE_OF_SUBJECT


def lean(m: Measurements) -> float | None:
    """By how many degrees the photo leans, positive to the right; ``None`` if it cannot be told."""
    return m.horizon.tilt_degrees if m.horizon.confidence >= SURE_OF_HORIZON else None


def composition(m: Measurements) -> Finding:
    """A leaning horizon first, then where the subject lies."""
    tilt = lean(m)
    if tilt is not None and abs(tilt) >= curves.TILT.start:
        side, degrees = ("right" if tilt > 0 else "left"), figure(abs(tilt))
        evidence = [f"the level line leans {degrees}° down to the {side}"]
        return finding_of(
            "horizon_tilted", curves.TILT(abs(tilt)), evidence, tilt=degrees, side=side
        )
    return _placement(m)


def _placement(m: Measurements) -> Finding:
    subject = m.subject
    if not has_subject(m):
        evidence = [f"no clear subject (confidence {subject.confidence:.2f} of 1)"]
        return finding_of("no_clear_subject", curves.UNCLEAR(subject.confidence), evidence)
    evidence = [
        f"subject centred at {percent(subject.x)} of the width "
        f"and {percent(subject.y)} of the height",
        f"{percent(subject.third_distance)} of the diagonal from the {subject.nearest_third} third",
    ]
    edge, room = _crowded_edge(m)
    if edge:
        evidence.append(f"the subject touches the {edge} edge")
        return finding_of("subject_at_edge", curves.AT_EDGE(room), evidence, edge=edge)
    third, centre = subject.third_distance, subject.centre_distance
    if third <= curves.ON_THIRD.end and third <= centre:
        score = curves.ON_THIRD(third)
        return finding_of("subject_on_third", score, evidence, third=subject.nearest_third)
    if centre <= curves.CENTRED.end:
        return finding_of("subject_centred", curves.CENTRED(centre), evidence)
    return finding_of("subject_off_grid", curves.OFF_GRID(third), evidence)


def _crowded_edge(m: Measurements) -> tuple[str | None, float]:
    """The edge that the subject touches while its centre lies close to it, and how close."""
    s = m.subject
    edges = {
        "left": (s.left, s.x),
        "right": (1 - s.right, 1 - s.x),
        "top": (s.top, s.y),
        "bottom": (1 - s.bottom, 1 - s.y),
    }
    touched = {edge: room for edge, (gap, room) in edges.items() if gap <= EDGE_MARGIN}
    nearest = min(touched, key=lambda edge: touched[edge], default=None)
    if nearest is None or touched[nearest] > curves.AT_EDGE.end:
        return None, 1.0
    return nearest, touched[nearest]


def isolation(m: Measurements) -> Finding:
    """How far the subject differs from its background, and by what."""
    apart = m.separation
    if not has_subject(m):
        evidence = [f"no clear subject (confidence {m.subject.confidence:.2f} of 1)"]
        return finding_of("nothing_isolated", curves.NOT_ISOLATED(m.subject.confidence), evidence)
    evidence = [
        f"subject and background differ by {abs(apart.luma_difference):.2f} of 1 in tone",
        f"their colours lie ΔE {figure(apart.colour_difference)} apart",
        f"subject {apart.sharpness_ratio:.1f} times as sharp as the background",
    ]
    if apart.score < curves.PARTLY_SEPARATED.start:
        return finding_of("merged", curves.MERGED(apart.score), evidence)
    by = _strongest_difference(m)
    if apart.score < curves.WELL_SEPARATED.start:
        return finding_of("partly_separated", curves.PARTLY_SEPARATED(apart.score), evidence, by=by)
    return finding_of("well_separated", curves.WELL_SEPARATED(apart.score), evidence, by=by)


def _strongest_difference(m: Measurements) -> str:
    """By what the subject differs most, each weighed as ``measurements`` weighs it."""
    apart = m.separation
    differences = {
        "tone": abs(apart.luma_difference) / FULL_TONE,
        "colour": apart.colour_difference / FULL_COLOUR,
        "focus": math.log2(max(apart.sharpness_ratio, 0.1)) / FULL_FOCUS,
    }
    return max(differences, key=lambda by: differences[by])


def depth(m: Measurements) -> Finding:
    """The strongest cue of depth."""
    found = m.depth
    cues = {
        "layered": max(found.tonal_layers, found.haze),
        "shallow_focus": found.sharpness_falloff,
        "converging_lines": found.convergence,
    }
    evidence = [
        f"tonal layers {found.tonal_layers:.2f} and haze {found.haze:.2f} of 1",
        f"sharpness falloff {found.sharpness_falloff:.2f} of 1",
        f"convergence of lines {found.convergence:.2f} of 1",
    ]
    strongest = max(cues, key=lambda cue: cues[cue])
    if cues[strongest] < curves.DEPTH.start:
        return finding_of("little_depth", curves.LITTLE_DEPTH(cues[strongest]), evidence)
    return finding_of(strongest, curves.DEPTH(cues[strongest]), evidence)


def balance(m: Measurements) -> Finding:
    """How far, and which way, the visual weight lies from even."""
    across, down = m.balance.left_right, m.balance.top_bottom
    offset = max(abs(across), abs(down))
    if abs(across) >= abs(down):
        direction = "right" if across > 0 else "left"
    else:
        direction = "bottom" if down > 0 else "top"
    evidence = [
        f"visual weight centred at {percent(m.balance.weight_x)} of the width "
        f"and {percent(m.balance.weight_y)} of the height",
    ]
    if offset > curves.GENTLY.start:
        evidence.append(f"weight leans {offset:.2f} of 1 to the {direction}")
    if offset <= curves.BALANCED.end:
        return finding_of("balanced", curves.BALANCED(offset), evidence)
    if offset <= curves.GENTLY.end:
        return finding_of("gently_weighted", curves.GENTLY(offset), evidence, direction=direction)
    return finding_of(f"heavy_{direction}", curves.HEAVY(offset), evidence)
