"""Rank judged photos, with a reason for each in a line, and choose the best of each burst."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mondrian.catalogue.duplicates import group_alike
from mondrian.catalogue.folder import PhotoFile
from mondrian.catalogue.judgements import Judgement
from mondrian.catalogue.thumbnails import draw_softness
from mondrian.reports import Report, find_grade
from mondrian.reports.drawing import find_height, make_drawing

_CLEAR = 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What one advisor gave a photo: ``scores`` are those of the dimensions, by name."""

    advisor: str
    name: str
    score: float
    scores: Mapping[str, float | None]


@dataclass(kw_only=True, slots=True)
class Row:
    """A photo in the ranking: ``rank`` is from 1, ``score`` the mean of its advisors' from 1 to 10.

    ``reason`` is the advice on the weakest dimension. ``figures`` are what the best of a burst is
    chosen by, ``drawing`` what was measured as ``make_drawing`` returns it, ``softness`` the URL of
    a picture that darkens what is soft, and ``lost`` a sentence about tones that are clipped (each
    may be empty). ``group`` is the number of its burst, from 1, 0 for none; ``best_because`` says
    in figures why it is the best of it. It holds no report: there may be thousands of rows.
    """

    file: PhotoFile
    sha256: str
    opinions: Sequence[Opinion]
    score: float
    description: str
    reason: str
    figures: Mapping[str, float]
    drawing: Mapping[str, Any]
    softness: str
    lost: str
    hash: str
    taken_at: str | None
    rank: int = 0
    group: int = 0
    best_because: str = ""

    @property
    def grade(self) -> str:
        """The grade of the score."""
        return find_grade(self.score)


def rank(judged: Iterable[tuple[PhotoFile, Sequence[Judgement]]]) -> list[Row]:
    """Return the judged photos, the highest score first."""
    rows = [_make_row(file, judgements) for file, judgements in judged]
    rows.sort(key=lambda row: (-row.score, str(row.file.path)))
    for number, row in enumerate(rows, start=1):
        row.rank = number
    groups = group_alike([row.hash for row in rows], [row.taken_at for row in rows])
    for number, places in enumerate(groups, start=1):
        _choose([rows[place] for place in places], number)
    return rows


def _make_row(file: PhotoFile, judgements: Sequence[Judgement]) -> Row:
    reports = [Report.model_validate(each.report) for each in judgements]
    first, weakest = judgements[0], reports[0].top_three[0]
    measured = reports[0].measurements
    height = find_height(measured.get("width") or 0, measured.get("height") or 0)
    return Row(
        file=file,
        sha256=first.sha256,
        opinions=[_make_opinion(report) for report in reports],
        score=round(fmean(report.overall_score for report in reports), 1),
        description=reports[0].image_description,
        reason=f"{weakest.name}: {weakest.recommendation or weakest.comment}",
        figures=_read_figures(measured),
        drawing=make_drawing(measured, height),
        softness=draw_softness((measured.get("sharpness") or {}).get("map") or ()),
        lost=_describe_lost(measured),
        hash=first.hash,
        taken_at=first.taken_at,
    )


def _make_opinion(report: Report) -> Opinion:
    return Opinion(
        advisor=report.advisor,
        name=report.shown_name,
        score=report.overall_score,
        scores={each.name: each.score for each in report.dimensions},
    )


def _choose(rows: Sequence[Row], number: int) -> None:
    """Say which of a group, which is sorted by score, is the best, and why."""
    for row in rows:
        row.group = number
    ties = [row for row in rows if row.score == rows[0].score]
    best = max(ties, key=lambda row: next(iter(row.figures.values()), 0.0))
    second = next(row for row in rows if row is not best)
    best.best_because = _compare(best, second)


def _compare(best: Row, second: Row) -> str:
    """Return the first figure by which ``best`` is clearly better, else the scores."""
    for words, ours in best.figures.items():
        theirs = second.figures.get(words)
        if theirs is not None and ours > theirs * _CLEAR:
            return f"{words}: {ours:.2f} against {theirs:.2f}"
    if best.score > second.score:
        return f"higher score: {best.score:.1f} against {second.score:.1f}"
    return f"the same score as the others: {best.score:.1f}"


def _read_figures(measured: Mapping[str, Any]) -> dict[str, float]:
    read = {words: _read(measured, *place) for words, place in _FIGURES.items()}
    return {words: value for words, value in read.items() if value is not None}


_FIGURES = {
    "sharper over the subject": ("sharpness", "subject"),
    "sharper where it is sharpest": ("sharpness", "peak"),
    "the subject stands apart more": ("separation", "score"),
}


def _describe_lost(measured: Mapping[str, Any]) -> str:
    """Return how much of the photo is clipped, if it is seen: from 0.1 %."""
    lost = {words: _read(measured, "exposure", name) or 0.0 for words, name in _LOST.items()}
    return ", ".join(f"{part:.1f} % {words}" for words, part in lost.items() if part >= _SEEN)


_LOST = {
    "lost in white": "clipped_highlights_percent",
    "lost in black": "blocked_shadows_percent",
}
_SEEN = 0.1


def _read(measured: Mapping[str, Any], group: str, name: str) -> float | None:
    value = (measured.get(group) or {}).get(name)
    return float(value) if isinstance(value, int | float) else None
