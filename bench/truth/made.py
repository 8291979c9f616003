"""Made faults: is each named first, and does the overall score fall with its strength?

Clean photos are spoilt by each operation of ``variants.STRENGTHS`` at three strengths. The fault
that was made must be among the first of the top three (no other fault may score lower), the
overall score must not rise with the strength, and at the strongest it must be 2 lower at least.
A border must change no finding.

    .venv/bin/python bench/truth/made.py FOLDER

``FOLDER`` was filled by ``fetch.py``.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
from fetch import read_sources
from PIL import Image
from variants import OPERATIONS, STRENGTHS, Parameters, read_parent

from mondrian.answers import Dimension
from mondrian.findings import Finding, find
from mondrian.measurements import measure
from mondrian.photos import Exif, Photo
from mondrian.reports import compute_overall_score

PARENTS = (
    "gc-montstmichel",
    "gc-kingfisher",
    "gc-horse",
    "gc-palaisdespapes",
    "gc-orchestra",
    "gc-operasidney",
    "gc-squirrel",
    "pa-bridge",
    "im-quokka",
    "gc-lincolnmemorial",
    "mate-twowings",
    "cv-leuven",
)
LEVEL = ("gc-montstmichel", "gc-orchestra", "gc-lincolnmemorial", "cv-leuven")
"""Those with level lines that tell a tilt."""
NAMES = {
    "blur": {"defocused", "soft"},
    "motion": {"motion_blurred"},
    "tilt": {"horizon_tilted"},
    "underexposure": {"too_dark", "shadows_blocked"},
    "overexposure": {"highlights_clipped", "both_ends_clipped", "too_bright"},
    "clipping": {"highlights_clipped", "shadows_blocked", "both_ends_clipped"},
    "cast": {"cast_warm"},
    "noise": {"noisy"},
    "haze": {"flat_light"},
}
BORDERS = ("white", "black")
Job: TypeAlias = tuple[Path, str, Parameters]


def score_all(findings: tuple[Finding, ...]) -> float:
    """Return the overall score that these findings give where all dimensions weigh the same."""
    return compute_overall_score(
        Dimension(name=each.dimension, score=each.score, comment="-", recommendation="-")
        for each in findings
    )


def find_in(job: Job) -> tuple[Finding, ...]:
    """Return the findings of one variant, or of the photo itself without an operation."""
    path, operation, parameters = job
    image: Image.Image = read_parent(path)
    if operation:
        image = OPERATIONS[operation](image, **parameters)
    return find(
        measure(
            Photo(pixels=np.asarray(image), sha256="", format="PNG", name=path.name, exif=Exif())
        )
    )


def name_first(findings: tuple[Finding, ...]) -> str:
    """Return the id of the finding with the lowest score."""
    scored = [(each.score, each.id) for each in findings if each.score is not None]
    return min(scored)[1]


def list_jobs(folder: Path) -> Iterator[tuple[str, str, list[Job]]]:
    """Yield each fault, photo, and the photo with three variants of it."""
    files = {source["id"]: folder / source["file"] for source in read_sources()}
    for fault, (operation, strengths) in STRENGTHS.items():
        for parent in LEVEL if fault == "tilt" else PARENTS:
            path = files[parent]
            made: list[Job] = [(path, operation, strength) for strength in strengths]
            yield fault, parent, [(path, "", {}), *made]


def list_borders(folder: Path) -> Iterator[tuple[str, list[Job]]]:
    """Yield each photo, and it with a border of 4 % in each colour."""
    files = {source["id"]: folder / source["file"] for source in read_sources()}
    for parent in PARENTS:
        made: list[Job] = [
            (files[parent], "border", {"width": 0.04, "colour": colour}) for colour in BORDERS
        ]
        yield parent, [(files[parent], "", {}), *made]


def count_changes(findings: list[tuple[Finding, ...]]) -> int:
    """Return how many findings of the later ones are not those of the first, words included."""
    first, *others = [[(each.id, dict(each.placeholders)) for each in found] for found in findings]
    return sum(one != other for later in others for one, other in zip(first, later, strict=True))


def main() -> None:
    """Spoil, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    rows, borders = list(list_jobs(given.folder)), list(list_borders(given.folder))
    named, made, falling, deep = (Counter[str]() for _ in range(4))
    with ProcessPoolExecutor(given.processes) as pool:
        all_jobs = {str(job): job for *_, jobs in (*rows, *borders) for job in jobs}
        found = dict(zip(all_jobs, pool.map(find_in, all_jobs.values()), strict=True))
    for fault, parent, jobs in rows:
        versions = [found[str(job)] for job in jobs]
        scores = [score_all(each) for each in versions]
        first = [name_first(each) for each in versions[1:]]
        named[fault] += sum(name in NAMES[fault] for name in first)
        made[fault] += len(first)
        falling[fault] += scores == sorted(scores, reverse=True)
        deep[fault] += scores[0] - scores[-1] >= 2
        print(f"{fault:14} {parent:18} {scores}  {', '.join(first)}")
    changed = sum(count_changes([found[str(job)] for job in jobs]) for _, jobs in borders)
    for fault, count in made.items():
        print(
            f"{fault:14} named first {named[fault]:2} of {count:2}, falling in {falling[fault]} "
            f"and by 2 in {deep[fault]} of {count // 3}"
        )
    print(f"\nNAMED FIRST {named.total()} of {made.total()}")
    print(f"CHANGED BY A BORDER {changed} of {8 * len(BORDERS) * len(PARENTS)} findings")


if __name__ == "__main__":
    main()
