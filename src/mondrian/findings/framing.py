"""How the frame is arranged: composition, subject isolation, depth and balance."""

import math
from collections.abc import Iterator

from mondrian.findings import curves
from mondrian.findings.kinds import Finding, make_finding
from mondrian.findings.words import choose_word, format_figure, format_percent, name_place
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
PLAIN_AROUND = 0.35
AS_SHARP = (0.87, 1.15)
EDGE_MARGIN = 0.01


def find_lean(m: Measurements) -> float | None:
    """Return the photo's tilt in degrees, positive to the right; ``None`` if it is unknown.

    One line alone is none in a photo without a sharp part: a smear runs straight, too."""
    if m.horizon.confidence < SURE_OF_HORIZON:
        return None
    is_smeared = m.horizon.confidence == SURE_OF_HORIZON and m.sharpness.blur != "none"
    return None if is_smeared else m.horizon.tilt_degrees


def judge_composition(m: Measurements) -> Iterator[Finding]:
    """Yield a leaning horizon first, then where the subject lies."""
    tilt = find_lean(m)
    if tilt is not None and abs(tilt) >= curves.TILT.start:
        side, degrees = ("right" if tilt > 0 else "left"), format_figure(abs(tilt))
        evidence = [f"the level line leans {degrees}° down to the {side}"]
        yield make_finding(
            "horizon_tilted", curves.TILT(abs(tilt)), evidence, tilt=degrees, side=side
        )
    yield _judge_placement(m)


def _judge_placement(m: Measurements) -> Finding:
    subject = m.subject_in_picture
    if subject is None:
        return _judge_unplaced(m)
    evidence = [
        f"subject centred at {format_percent(subject.x)} of the width "
        f"and {format_percent(subject.y)} of the height",
        f"{format_percent(subject.third_distance)} of the diagonal from the "
        f"{subject.nearest_third} third",
    ]
    edge, room = _find_crowded_edge(subject)
    if edge:
        evidence.append(f"the subject touches the {edge} edge")
        return make_finding("subject_at_edge", curves.AT_EDGE(room), evidence, edge=edge)
    third, centre = subject.third_distance, subject.centre_distance
    if third <= curves.ON_THIRD.end and third <= centre:
        score = curves.ON_THIRD(third)
        return make_finding("subject_on_third", score, evidence, third=subject.nearest_third)
    if centre <= curves.CENTRED.end:
        return make_finding("subject_centred", curves.CENTRED(centre), evidence)
    return make_finding("subject_off_grid", curves.OFF_GRID(third), evidence)


def _judge_unplaced(m: Measurements) -> Finding:
    """Return the finding of a photo without a known subject: nothing stands out, or it is
    unclear."""
    where = name_place(m.contrast.strongest_x, m.contrast.strongest_y)
    evidence = [f"the strongest contrast lies in the {where}"]
    if is_without_subject(m):
        evidence.insert(0, _compute_salience(m))
        return make_finding("no_clear_subject", curves.UNCLEAR(m.saliency or 0), evidence)
    return make_finding("placement_not_judged", None, evidence, where=where)


def is_without_subject(m: Measurements) -> bool:
    """Return whether certainly nothing stands out. It may also be unclear."""
    return m.saliency is not None and m.saliency < NEARLY_A_SUBJECT


def _compute_salience(m: Measurements) -> str:
    return f"nothing stands out (salience {m.saliency or 0:.2f} of 1)"


def _find_crowded_edge(s: Subject) -> tuple[str | None, float]:
    """Return the edge that the subject touches while its centre lies close to it, and how close."""
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


def judge_isolation(m: Measurements) -> Iterator[Finding]:
    """Yield how far the subject differs from its background, and by what."""
    yield _find_isolation(m)


def _find_isolation(m: Measurements) -> Finding:
    apart = m.separation
    if is_without_subject(m):
        score = curves.NOT_ISOLATED(m.saliency or 0)
        return make_finding("nothing_isolated", score, [_compute_salience(m)])
    if apart is None:
        evidence = ["no subject was found to be told from its surroundings"]
        return make_finding("isolation_not_judged", None, evidence)
    evidence = [
        f"{choose_word('difference', apart.luma_difference)} difference in tone between subject "
        f"and background ({apart.luma_difference:.2f} of 1)",
        f"{choose_word('colour difference', apart.colour_difference)} difference in colour "
        f"(ΔE {format_figure(apart.colour_difference)})",
        _describe_sharpness(m, apart),
    ]
    if apart.score < curves.PARTLY_SEPARATED.start:
        return make_finding("merged", curves.MERGED(apart.score), evidence)
    by = _find_strongest_difference(apart)
    if apart.score < curves.WELL_SEPARATED.start:
        return make_finding(
            "partly_separated", curves.PARTLY_SEPARATED(apart.score), evidence, by=by
        )
    return make_finding("well_separated", curves.WELL_SEPARATED(apart.score), evidence, by=by)


def _describe_sharpness(m: Measurements, apart: Separation) -> str:
    """Return how sharp the subject is beside the background, where that has anything to be
    sharp."""
    if _is_before_a_plain_ground(m):
        return "a sharp subject before a ground that is smooth, or far out of focus"
    if AS_SHARP[0] <= apart.sharpness_ratio <= AS_SHARP[1]:
        return "the subject is about as sharp as the background"
    return f"the subject is {apart.sharpness_ratio:.1f} times as sharp as the background"


def _find_strongest_difference(apart: Separation) -> str:
    """Return the difference in which the subject is strongest, weighted as in ``measurements``."""
    differences = {
        "tone": apart.luma_difference / FULL_TONE,
        "colour": apart.colour_difference / FULL_COLOUR,
        "focus": math.log2(max(apart.sharpness_ratio, 0.1)) / FULL_FOCUS,
    }
    return max(differences, key=lambda by: differences[by])


def judge_depth(m: Measurements) -> Iterator[Finding]:
    """Yield the strongest cue of depth. Without one, only a clearly flat photo is judged."""
    yield _find_depth(m)


def _find_depth(m: Measurements) -> Finding:
    found = m.depth
    evidence = [
        _describe_cue(found.tonal_layers, "layering of tones"),
        _describe_cue(found.haze, "fading toward the top"),
        _describe_cue(found.sharpness_falloff, "falloff of sharpness"),
        _describe_cue(found.convergence, "convergence of lines"),
    ]
    cues = {
        "layered": _compute_layering(m),
        "shallow_focus": _compute_shallowness(m),
        "converging_lines": found.convergence,
    }
    strongest = max(cues, key=lambda cue: cues[cue])
    if cues[strongest] >= curves.DEPTH.start:
        return make_finding(strongest, curves.DEPTH(cues[strongest]), evidence)
    most = max(found.tonal_layers, found.haze)
    is_even = most < curves.LITTLE_DEPTH.end and found.sharpness_falloff < EVENLY_SHARP
    if is_even and not _is_before_a_plain_ground(m):
        return make_finding("little_depth", curves.LITTLE_DEPTH(most), evidence)
    return make_finding("depth_not_judged", None, evidence)


def _is_before_a_plain_ground(m: Measurements) -> bool:
    """Return whether a sharp subject stands before what has no structure: a wall, or what is far
    out of focus."""
    subject = m.sharpness.subject
    return subject is not None and subject >= SHARP_SUBJECT and m.sharpness.around < PLAIN_AROUND


def _describe_cue(value: float, cue: str) -> str:
    return f"{choose_word('cue', value)} {cue} ({value:.2f} of 1)"


def _compute_layering(m: Measurements) -> float:
    """Layers of a scene; the tones of one large thing before a ground are none."""
    return max(m.depth.haze, m.depth.tonal_layers if m.subject is None else 0.0)


def _compute_shallowness(m: Measurements) -> float:
    """Return how far the sharpness falls off outside of the focus or of a sharp subject."""
    falloff = m.depth.sharpness_falloff if m.sharpness.blur == "none" else 0.0
    shallow = falloff if falloff >= SURE_FALLOFF else 0.0
    sharp, apart = m.sharpness.subject, m.separation
    if apart is None or sharp is None or sharp < SHARP_SUBJECT:
        return shallow
    return max(shallow, min(1.0, curves.DEPTH.start * apart.sharpness_ratio / SHALLOW_AROUND))


def judge_balance(m: Measurements) -> Iterator[Finding]:
    """Yield the distance and direction of the visual weight from the centre."""
    yield _find_balance(m)


def _find_balance(m: Measurements) -> Finding:
    across, down = m.balance.left_right, m.balance.top_bottom
    offset = max(abs(across), abs(down))
    if abs(across) >= abs(down):
        direction = "right" if across > 0 else "left"
    else:
        direction = "bottom" if down > 0 else "top"
    left, top = (1 - across) / 2, (1 - down) / 2
    evidence = [
        f"{format_percent(left)} of the visual weight in the left half, {format_percent(top)} in "
        "the upper half",
    ]
    if offset > curves.GENTLY.start:
        leaning = choose_word("lean", offset)
        evidence.append(f"the weight leans {leaning} to the {direction} ({offset:.2f} of 1)")
    if offset <= curves.BALANCED.end:
        return make_finding("balanced", curves.BALANCED(offset), evidence)
    if offset <= curves.GENTLY.end:
        return make_finding("gently_weighted", curves.GENTLY(offset), evidence, direction=direction)
    return make_finding(f"heavy_{direction}", curves.HEAVY(offset), evidence)
