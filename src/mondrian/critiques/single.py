"""The heart: a photo, an advisor and an engine become updates, text and one report.

No store, no server, no network of its own. ``critique`` is two layers: ``_work`` does the steps,
``pacing.pace`` makes them talk on time.
"""

import time
from collections.abc import Generator
from dataclasses import asdict

from mondrian.advisors import Advisor, find_advisor, load_advisors, sentences
from mondrian.answers import Answer
from mondrian.critiques.pacing import Text, Update, pace
from mondrian.critiques.progress import ProgressEstimator
from mondrian.critiques.prompts import ask
from mondrian.critiques.repair import Answering
from mondrian.engines.base import Engine, Phase, Progress, Token
from mondrian.errors import AnswerError
from mondrian.findings import Finding, Severity, facts, find
from mondrian.measurements import Measurements, measure
from mondrian.measurements.reading import MeasuredPhoto
from mondrian.photos import Photo
from mondrian.reports import EngineFigures, Report, build_report

DISAGREEING = 3.0
"""So many points must a model's score lie above a measured one to be contradicted."""


def critique(
    photo: Photo | MeasuredPhoto,
    advisor: Advisor | str,
    engine: Engine,
    *,
    interval_seconds: float = 5.0,
    measurements: Measurements | None = None,
    seed: int | None = None,
    estimator: ProgressEstimator | None = None,
) -> Generator[Update | Text | Report, None, None]:
    """Critique ``photo`` in the spirit of ``advisor`` (or the advisor of that id) on ``engine``.

    Yields an ``Update`` at each change of phase and every ``interval_seconds`` in every phase,
    ``Text`` as it is generated, and last the ``Report``. Closing the generator stops the work.
    ``measurements`` of the same photo, or a ``MeasuredPhoto``, save measuring it again; ``seed``
    makes an engine repeat itself as far as it can. ``estimator`` may know how long such a critique
    usually takes, and records this one; without one the updates give no time until part of the
    answer is there.

    Raises ``UnknownAdvisor``, ``EngineError``, or ``AnswerError`` for an answer that cannot be
    read, and neither can the second one that the engine is then asked for.
    """
    if isinstance(advisor, str):
        advisor = find_advisor(advisor, load_advisors())
    work = _work(photo, advisor, engine, measurements, seed)
    return pace(work, interval_seconds=interval_seconds, sees=engine.sees, estimator=estimator)


def _work(
    photo: Photo | MeasuredPhoto,
    advisor: Advisor,
    engine: Engine,
    measurements: Measurements | None,
    seed: int | None,
) -> Generator[Progress | Token | Report, None, None]:
    yield Progress(phase=Phase.MEASURING)
    if isinstance(photo, MeasuredPhoto):
        measurements = photo.measurements
    elif measurements is None:
        measurements = measure(photo)
    findings = find(measurements)
    request = ask(photo, advisor, measurements, findings, sees=engine.sees, seed=seed)
    started, answering = time.monotonic(), Answering(engine)
    answer = yield from answering.ask(request)
    yield Progress(phase=Phase.FINALIZING)
    if not engine.sees:
        _check_choice(answer, findings, advisor)
    yield build_report(
        answer,
        advisor=advisor.id,
        advisor_name=advisor.name,
        evidence={
            finding.dimension: (*_disagreements(answer, finding, engine), *finding.evidence)
            for finding in findings
        },
        measurements=asdict(measurements),
        weights=advisor.weights,
        engine=_figures(engine, answering.last, time.monotonic() - started),
        technical_notes=[
            *photo.notes,
            *facts(measurements, findings).splitlines(),
            *answering.notes,
        ],
    )


def _disagreements(answer: Answer, finding: Finding, engine: Engine) -> tuple[str, ...]:
    """Return what to say where an engine that sees praises what was measured to be faulty."""
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
    """An engine that does not see may say nothing but what it was given to choose from."""
    true = {finding.dimension: sentences(finding, advisor) for finding in findings}
    for dimension in answer.dimensions:
        said = true[dimension.name]
        if (
            dimension.comment not in said.comments
            or dimension.recommendation not in said.recommendations
        ):
            raise AnswerError(
                f"The model does not see, and of {dimension.name} it said something that was not "
                "measured. Use an engine that keeps to a schema, such as llamacpp:."
            )


def _figures(engine: Engine, last: Token, seconds: float) -> EngineFigures:
    return EngineFigures(
        url=engine.url,
        model=engine.model,
        sees=engine.sees,
        seconds=round(seconds, 3),
        **last.figures(),
    )
