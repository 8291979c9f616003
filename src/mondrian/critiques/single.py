"""Critique one photo by one advisor: yield updates, text and one report.

Needs no store, no server and no network of its own. ``critique`` has two layers: ``_run`` does the
steps, ``pacing.pace`` makes the updates timely.
"""

import time
from collections.abc import Generator
from dataclasses import asdict

from mondrian.advisors import Advisor, find_advisor, load_advisors, sentences
from mondrian.answers import Answer
from mondrian.critiques.pacing import Text, Update, pace
from mondrian.critiques.progress import ProgressEstimator
from mondrian.critiques.prompts import make_request
from mondrian.critiques.repair import Answering
from mondrian.engines.base import Engine, Phase, Progress, Token
from mondrian.errors import AnswerError
from mondrian.findings import Finding, Severity, find, list_facts
from mondrian.measurements import Measurements, measure
from mondrian.measurements.reading import MeasuredPhoto
from mondrian.photos import Photo
from mondrian.purpose import NO_PURPOSE, Purpose
from mondrian.reports import EngineFigures, Report, build_report

DISAGREEING = 3.0
"""The points by which a model's score must exceed a measured one to be contradicted."""


def critique(
    photo: Photo | MeasuredPhoto,
    advisor: Advisor | str,
    engine: Engine,
    *,
    interval_seconds: float = 5.0,
    measurements: Measurements | None = None,
    purpose: Purpose = NO_PURPOSE,
    seed: int | None = None,
    estimator: ProgressEstimator | None = None,
) -> Generator[Update | Text | Report, None, None]:
    """Critique ``photo`` in the spirit of ``advisor`` (or the advisor of that id) on ``engine``.

    Yield an ``Update`` at each change of phase and every ``interval_seconds`` in every phase,
    ``Text`` as it is generated, and last the ``Report``. Closing the generator stops the work.
    ``measurements`` of the same photo, or a ``MeasuredPhoto``, avoid measuring it again.
    ``purpose`` is what the photographer meant, which is no fault. ``seed`` makes the output
    reproducible if the engine supports it. ``estimator`` holds the typical timing and records this
    one; without it updates have no ETA until part of the answer is generated.

    Raise ``UnknownAdvisor``, ``EngineError``, or ``AnswerError`` if neither the answer nor the one
    of a retry can be parsed.
    """
    if isinstance(advisor, str):
        advisor = find_advisor(advisor, load_advisors())
    work = _run(photo, advisor, engine, measurements, purpose, seed)
    return pace(work, interval_seconds=interval_seconds, sees=engine.sees, estimator=estimator)


def _run(
    photo: Photo | MeasuredPhoto,
    advisor: Advisor,
    engine: Engine,
    measurements: Measurements | None,
    purpose: Purpose,
    seed: int | None,
) -> Generator[Progress | Token | Report, None, None]:
    yield Progress(phase=Phase.MEASURING)
    if isinstance(photo, MeasuredPhoto):
        measurements = photo.measurements
    elif measurements is None:
        measurements = measure(photo)
    findings = find(measurements, purpose)
    request = make_request(
        photo, advisor, measurements, findings, sees=engine.sees, purpose=purpose, seed=seed
    )
    started, answering = time.monotonic(), Answering(engine)
    answer = yield from answering.run(request)
    yield Progress(phase=Phase.FINALIZING)
    if not engine.sees:
        _check_choice(answer, findings, advisor)
    yield build_report(
        answer,
        advisor=advisor.id,
        advisor_name=advisor.name,
        evidence={
            finding.dimension: (*_find_disagreements(answer, finding, engine), *finding.evidence)
            for finding in findings
        },
        measurements=asdict(measurements),
        weights=advisor.weights,
        purpose=purpose,
        choices=[choice for finding in findings for choice in finding.choices],
        engine=_make_figures(engine, answering.last, time.monotonic() - started),
        technical_notes=[
            *photo.notes,
            *list_facts(measurements, findings).splitlines(),
            *answering.notes,
        ],
    )


def _find_disagreements(answer: Answer, finding: Finding, engine: Engine) -> tuple[str, ...]:
    """Return a sentence if a vision model praises a dimension that was measured to be faulty."""
    if not engine.sees or finding.severity is not Severity.FAULT or finding.score is None:
        return ()
    praised = (d for d in answer.dimensions if d.name == finding.dimension and d.score is not None)
    return tuple(
        f"the model gives {d.score:g}, what was measured speaks against it: "
        f"{finding.id.replace('_', ' ')} ({finding.score:g} of 10)"
        for d in praised
        if d.score and d.score - finding.score >= DISAGREEING
    )


def _check_choice(answer: Answer, findings: tuple[Finding, ...], advisor: Advisor) -> None:
    """Raise ``AnswerError`` if an engine without vision wrote a sentence that was not offered."""
    allowed = {finding.dimension: sentences(finding, advisor) for finding in findings}
    for dimension in answer.dimensions:
        phrasing = allowed[dimension.name]
        if (
            dimension.comment not in phrasing.comments
            or dimension.recommendation not in phrasing.recommendations
        ):
            raise AnswerError(
                f"The model does not see, and of {dimension.name} it said something that was not "
                "measured. Use an engine that keeps to a schema, such as llamacpp:."
            )


def _make_figures(engine: Engine, last: Token, seconds: float) -> EngineFigures:
    return EngineFigures(
        url=engine.url,
        model=engine.model,
        sees=engine.sees,
        seconds=round(seconds, 3),
        **last.figures(),
    )
