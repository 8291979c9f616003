"""How many of Mondrian's statements are false, on photos whose truth was labelled by looking.

A statement is the leading finding of one dimension of one photo. It is false where the label lists
its id as false, or where a placeholder of it (third, edge, side, by, direction, fault) is not among
the labelled values. What a label does not list counts as arguable, and is reported.

    .venv/bin/python bench/truth/score.py FOLDER [--list] [--json FILE]

``FOLDER`` was filled by ``fetch.py``.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mondrian.findings import Finding, find
from mondrian.measurements import measure
from mondrian.photos import read_photo

HERE = Path(__file__).parent
Label: TypeAlias = Mapping[str, Any]
Box: TypeAlias = Sequence[float]

VERDICTS = ("true", "arguable", "false")
PLACEHOLDERS = {
    "subject_on_third": "third",
    "subject_at_edge": "edge",
    "horizon_tilted": "side",
    "well_separated": "by",
    "partly_separated": "by",
    "gently_weighted": "direction",
    "marred": "fault",
}
FAULTS = {
    "Composition": {"horizon_tilted"},
    "Lighting": {
        "highlights_clipped",
        "shadows_blocked",
        "both_ends_clipped",
        "too_dark",
        "too_bright",
        "flat_light",
    },
    "Focus & Sharpness": {"defocused", "motion_blurred", "soft", "focus_missed", "noisy"},
    "Color Harmony": {"cast_warm", "cast_cool", "cast_green", "cast_magenta", "oversaturated"},
}
FAULT_IDS = frozenset().union(*FAULTS.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What Mondrian said of one photo: its findings, and its subject's box and centre."""

    findings: tuple[Finding, ...]
    box: Box | None
    centre: tuple[float, float] | None


@dataclass(kw_only=True, slots=True)
class Tally:
    """The sums over all photos. ``statements`` are a row each; ``missed`` the true faults that were
    not said; ``subjects`` counts right, wrong, silent, made up and rightly silent."""

    statements: list[dict[str, Any]] = field(default_factory=list)
    true_faults: int = 0
    missed: list[str] = field(default_factory=list)
    subjects: Counter[str] = field(default_factory=Counter)
    overlaps: list[float] = field(default_factory=list)

    def count(self, key: str) -> dict[str, Counter[str]]:
        """Return how often each verdict was given, by the ``key`` of a statement."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for row in self.statements:
            counts[row[key]][row["verdict"]] += 1
        return counts


def read_labels() -> list[Label]:
    """Return the labels, one per photo."""
    return [json.loads(line) for line in (HERE / "labels.jsonl").read_text().splitlines()]


def judge(finding: Finding, label: Label) -> tuple[str, str]:
    """Return the verdict on a statement, and why where a placeholder makes it false."""
    verdict = next((v for v in VERDICTS if finding.id in label[v]), "arguable")
    allowed = label.get("values", {}).get(finding.id)
    if verdict != "false" and allowed is not None and finding.id in PLACEHOLDERS:
        said = finding.placeholders.get(PLACEHOLDERS[finding.id])
        if said is not None and said not in allowed:
            return "false", f"says {said}, right is {' or '.join(allowed) or 'nothing'}"
    return verdict, ""


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, across) * max(0.0, down)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both + 1e-9)


def measure_photo(path: Path) -> Said:
    """Return what Mondrian says of the photo at ``path``; what is not judged is not said."""
    measurements = measure(read_photo(path))
    subject = measurements.subject
    found = tuple(finding for finding in find(measurements) if finding.score is not None)
    if subject is None:
        return Said(findings=found, box=None, centre=None)
    box = (subject.left, subject.top, subject.right, subject.bottom)
    return Said(findings=found, box=box, centre=(subject.x, subject.y))


def add(tally: Tally, label: Label, said: Said) -> None:
    """Add what was ``said`` of one photo."""
    for finding in said.findings:
        verdict, why = judge(finding, label)
        tally.statements.append(
            {
                "photo": label["id"],
                "dimension": finding.dimension,
                "finding": finding.id,
                "is_fault": finding.id in FAULT_IDS,
                "verdict": verdict,
                "score": finding.score,
                "placeholders": dict(finding.placeholders),
                "why": why,
                "evidence": "; ".join(finding.evidence),
            }
        )
    ids = {finding.id for finding in said.findings}
    for faults in FAULTS.values():
        if real := faults.intersection(label["true"]):
            tally.true_faults += 1
            if not ids & real:
                tally.missed.append(f"{label['id']} ({' or '.join(sorted(real))})")
    _add_subject(tally, label, said)


def _add_subject(tally: Tally, label: Label, said: Said) -> None:
    truth = label["subject"]
    if truth is None:
        if "no_clear_subject" in label["true"] and "subject_centred" in label["false"]:
            tally.subjects["made up" if said.box else "rightly silent"] += 1
    elif truth["clear"] and not said.box:
        tally.subjects["silent"] += 1
    elif truth["clear"] and said.box and said.centre:
        boxes = [truth["box"], *truth["also_ok"]]
        is_in = any(_is_inside(said.centre, box) for box in boxes)
        tally.subjects["right" if is_in else "wrong"] += 1
        tally.overlaps.append(max(overlap(said.box, box) for box in boxes))


def _is_inside(place: tuple[float, float], box: Box) -> bool:
    x, y = place
    return box[0] - 0.01 <= x <= box[2] + 0.01 and box[1] - 0.01 <= y <= box[3] + 0.01


def _line(name: str, counts: Counter[str]) -> str:
    said = counts.total()
    verdicts = "  ".join(f"{verdict} {counts[verdict]:4}" for verdict in VERDICTS)
    return f"  {name:24} said {said:4}  {verdicts}  {100 * counts['false'] / max(1, said):5.1f} %"


def report(tally: Tally, photos: int, *, is_listing: bool) -> Iterable[str]:
    """Yield the lines to print, the figures that count last."""
    rows = tally.statements
    yield f"{photos} photos"
    for key in ("dimension", "finding"):
        yield f"\nper {key}"
        counts = tally.count(key)
        order = {row[key]: row["dimension"] for row in rows}
        for name in sorted(counts, key=lambda name: (order[name], -counts[name]["false"])):
            yield _line(name, counts[name])
    false = [row for row in rows if row["verdict"] == "false"]
    if is_listing:
        yield f"\ntrue faults not said: {', '.join(tally.missed)}"
        for row in sorted(false, key=lambda row: (row["dimension"], row["finding"])):
            why = "; ".join(filter(None, (row["why"], row["evidence"])))
            yield f"  {row['finding']:19} {row['photo']:22} {row['score']:4}  {why}"
    subjects, faults = tally.subjects, [row for row in rows if row["is_fault"]]
    have = subjects["right"] + subjects["wrong"] + subjects["silent"]
    yield f"\nsubject: {', '.join(f'{word} {count}' for word, count in subjects.items())}"
    yield f"IoU at least 0.5 in {sum(share >= 0.5 for share in tally.overlaps)} of {have}"
    yield (
        f"faults: {len(faults)} said, {sum(row['verdict'] == 'false' for row in faults)} of them "
        f"false; of {tally.true_faults} that are true {tally.true_faults - len(tally.missed)} said"
    )
    yield f"statements said: {len(rows)} of {8 * photos}; unlabelled {_count_unlabelled(rows)}"
    share = 100 * len(false) / max(1, len(rows))
    yield (
        f"\nFALSE {len(false)} of {len(rows)} ({share:.1f} %), "
        f"subject right {subjects['right']} of {have}"
    )


def _count_unlabelled(rows: Iterable[Mapping[str, Any]]) -> int:
    labels = {label["id"]: label for label in read_labels()}
    return sum(
        all(row["finding"] not in labels[row["photo"]][verdict] for verdict in VERDICTS)
        for row in rows
    )


def main() -> None:
    """Measure all photos and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="list what is false, and not said")
    parser.add_argument("--json", type=Path, help="write every statement to this file")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    labels, tally = read_labels(), Tally()
    with ProcessPoolExecutor(given.processes) as pool:
        paths = [given.folder / label["file"] for label in labels]
        for label, said in zip(labels, pool.map(measure_photo, paths), strict=True):
            add(tally, label, said)
    print("\n".join(report(tally, len(labels), is_listing=given.list)))
    if given.json:
        given.json.write_text(json.dumps(tally.statements, indent=1))


if __name__ == "__main__":
    main()
