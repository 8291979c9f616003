"""How the frame is arranged: composition, subject isolation, depth and balance."""

import math
from collections.abc import Iterator

from mondrian.findings import curves
from mondrian.findings.kinds import Finding, finding_of
from mondrian.findings.words import figure, percent, place
from mondrian.measurements import (
    FULL_COLOUR,
    FULL_FOCUS,
    FULL_TONE,
    Measurements,
    Separation,
    Subject,
)

SURE_OF_HORIZON = 0.5
NEARLY_A_SUBJECT = 0.8
SURE_FALLOFF, EVENLY_SHARP = 0.65, 0.25
SHARP_SUBJECT, SHALLOW_AROUND = 0.6, 1.5
EDGE_MARGIN = 0.01


def lean(m: Measurements) -> float | None:
    """By how many degrees the photo leans, positive to the right; ``None`` if it cannot be told.

    One line alone is none in a photo without a sharp part: a smear runs straight, too."""
    if m.horizon.confidence < SURE_OF_HORIZON:
        return None
    is_smeared = m.horizon.confidence == SURE_OF_HORIZON and m.sharpness.blur != "none"
    return None if is_smeared else m.horizon.tilt_degrees


def composition(m: Measurements) -> Iterator[Finding]:
    """Yield a leaning horizon first, then where the subject lies."""
    tilt = lean(m)
    if tilt is not None and abs(tilt) >= curves.TILT.start:
        side, degrees = ("right" if tilt > 0 else "left"), figure(abs(tilt))
        evidence = [f"the level line leans {degrees}° down to the {side}"]
        yield finding_of(
            "horizon_tilted", curves.TILT(abs(tilt)), evidence, tilt=degrees, side=side
        )
    yield _placement(m)


def _placement(m: Measurements) -> Finding:
    subject = m.subject_in_picture
    if subject is None:
        return _unplaced(m)
    evidence = [
        f"subject centred at {percent(subject.x)} of the width "
        f"and {percent(subject.y)} of the height",
        f"{percent(subject.third_distance)} of the diagonal from the {subject.nearest_third} third",
    ]
    edge, room = _crowded_edge(subject)
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


def _unplaced(m: Measurements) -> Finding:
    """Nothing may be called the subject: either surely nothing stands out, or that is not known."""
    where = place(m.contrast.strongest_x, m.contrast.strongest_y)
    evidence = [f"the strongest contrast lies in the {where}"]
    if is_without_subject(m):
        evidence.insert(0, _salience(m))
        return finding_of("no_clear_subject", curves.UNCLEAR(m.saliency or 0), evidence)
    return finding_of("placement_not_judged", None, evidence, where=where)


def is_without_subject(m: Measurements) -> bool:
    """Whether surely nothing stands out. A photo may also be undecided."""
    return m.saliency is not None and m.saliency < NEARLY_A_SUBJECT


def _salience(m: Measurements) -> str:
    return f"nothing stands out (salience {m.saliency or 0:.2f} of 1)"


def _crowded_edge(s: Subject) -> tuple[str | None, float]:
    """The edge that the subject touches while its centre lies close to it, and how close."""
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


def isolation(m: Measurements) -> Iterator[Finding]:
    """Yield how far the subject differs from its background, and by what."""
    yield _isolation(m)


def _isolation(m: Measurements) -> Finding:
    apart = m.separation
    if is_without_subject(m):
        score = curves.NOT_ISOLATED(m.saliency or 0)
        return finding_of("nothing_isolated", score, [_salience(m)])
    if apart is None:
        evidence = ["no subject was found to be told from its surroundings"]
        return finding_of("isolation_not_judged", None, evidence)
    evidence = [
        f"subject and background differ by {abs(apart.luma_difference):.2f} of 1 in tone",
        f"their colours lie ΔE {figure(apart.colour_difference)} apart",
        f"subject {apart.sharpness_ratio:.1f} times as sharp as the background",
    ]
    if apart.score < curves.PARTLY_SEPARATED.start:
        return finding_of("merged", curves.MERGED(apart.score), evidence)
    by = _strongest_difference(apart)
    if apart.score < curves.WELL_SEPARATED.start:
        return finding_of("partly_separated", curves.PARTLY_SEPARATED(apart.score), evidence, by=by)
    return finding_of("well_separated", curves.WELL_SEPARATED(apart.score), evidence, by=by)


def _strongest_difference(apart: Separation) -> str:
    """By what the subject differs most, each weighed as ``measurements`` weighs it."""
    differences = {
        "tone": abs(apart.luma_difference) / FULL_TONE,
        "colour": apart.colour_difference / FULL_COLOUR,
        "focus": math.log2(max(apart.sharpness_ratio, 0.1)) / FULL_FOCUS,
    }
    return max(differences, key=lambda by: differences[by])


def depth(m: Measurements) -> Iterator[Finding]:
    """Yield the strongest cue of depth; none may be told of a photo that is not plainly flat."""
    yield _depth(m)


def _depth(m: Measurements) -> Finding:
    found = m.depth
    evidence = [
        f"tonal layers {found.tonal_layers:.2f} and haze {found.haze:.2f} of 1",
        f"sharpness falloff {found.sharpness_falloff:.2f} of 1",
        f"convergence of lines {found.convergence:.2f} of 1",
    ]
    cues = {
        "layered": _layering(m),
        "shallow_focus": _shallowness(m),
        "converging_lines": found.convergence,
    }
    strongest = max(cues, key=lambda cue: cues[cue])
    if cues[strongest] >= curves.DEPTH.start:
        return finding_of(strongest, curves.DEPTH(cues[strongest]), evidence)
    most = max(found.tonal_layers, found.haze)
    if most < curves.LITTLE_DEPTH.end and found.sharpness_falloff < EVENLY_SHARP:
        return finding_of("little_depth", curves.LITTLE_DEPTH(most), evidence)
    return finding_of("depth_not_judged", None, evidence)


def _layering(m: Measurements) -> float:
    """Layers of a scene; the tones of one large thing before a ground are none."""
    return max(m.depth.haze, m.depth.tonal_layers if m.subject is None else 0.0)


def _shallowness(m: Measurements) -> float:
    """How far what is not in focus falls off, or the surroundings of a sharp subject do."""
    falloff = m.depth.sharpness_falloff if m.sharpness.blur == "none" else 0.0
    shallow = falloff if falloff >= SURE_FALLOFF else 0.0
    sharp, apart = m.sharpness.subject, m.separation
    if apart is None or sharp is None or sharp < SHARP_SUBJECT:
        return shallow
    return max(shallow, min(1.0, curves.DEPTH.start * apart.sharpness_ratio / SHALLOW_AROUND))


def balance(m: Measurements) -> Iterator[Finding]:
    """Yield how far, and which way, the visual weight lies from even."""
    yield _balance(m)


def _balance(m: Measurements) -> Finding:
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
