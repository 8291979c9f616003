"""Percent and expected time of whole jobs: the parts put together, and a worker with a history."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mondrian.answers import DIMENSIONS
from mondrian.critiques.history import TimingRecord
from mondrian.critiques.job_progress import JobProgress
from mondrian.critiques.pacing import Pacer, Update
from mondrian.engines import Phase, Progress, Token, open_engine
from mondrian.engines.base import Basis
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.working import add_job, at_work, log_of, make_worker, recording, wait_for_end

ADVISORS = ("ansel", "okeefe", "gogh")


def row(advisor: str, **changes: Any) -> TimingRecord:
    """Of a critique of 100 s; the first of a job loads the model for 20 s before."""
    usual = TimingRecord(
        engine="e",
        model="m",
        advisor=advisor,
        megapixels=12.0,
        measure_seconds=None,
        load_seconds=0.0,
        prefill_seconds=10.0,
        generation_tokens=900,
        seconds=100.0,
    )
    return replace(usual, **changes)


def job_progress(*history: TimingRecord, advisors: tuple[str, ...] = ADVISORS) -> JobProgress:
    engine: Any = SimpleNamespace(url="e", model="m", status="unloaded")
    return JobProgress(advisors, 12.0, engine, history)


def told(
    job_progress: JobProgress, place: int, item: Progress | Token, seconds: float = 0.0
) -> Update:
    """What the job's update says, ``seconds`` into ``item``, which begins its part."""
    update = Update(
        phase=Phase.MEASURING, thinking="", elapsed_seconds=seconds, percent=0.0,
        basis=Basis.UNKNOWN,
    )  # fmt: skip
    if place:
        estimator = job_progress.begin(place)
        estimator.record(item, 0.0)
        seen = estimator.estimate(seconds)
        update = replace(
            update, eta_seconds=seen.eta_seconds, percent=99 * seen.share, basis=seen.basis
        )
    return job_progress.scale_to_job(update, place)


FIRST = {"measure_seconds": 2.0, "load_seconds": 20.0, "seconds": 120.0}
PREFILL = Progress(phase=Phase.PREFILL)


def test_the_time_is_that_of_all_advisors() -> None:
    each = job_progress(*[row("ansel", **FIRST), row("okeefe"), row("gogh")] * 3)
    measuring = told(each, 0, PREFILL)
    assert measuring.eta_seconds == pytest.approx(2 + 20 + 300)
    assert measuring.basis is Basis.MEASURED
    assert measuring.percent == 0
    loading = told(each, 1, Progress(phase=Phase.LOADING), 5.0)
    assert loading.eta_seconds == pytest.approx(15 + 300)
    prefill = told(each, 1, PREFILL)
    assert prefill.eta_seconds == pytest.approx(300)
    assert prefill.percent == pytest.approx(99 * 22 / 322, abs=0.2)
    assert told(each, 2, PREFILL).eta_seconds == pytest.approx(200)
    last = told(each, 3, PREFILL)
    assert last.eta_seconds == pytest.approx(100)
    assert last.percent == pytest.approx(99 * 222 / 322, abs=0.2)


def test_a_slow_engine_is_slow_for_all_advisors() -> None:
    each = job_progress(*[row(advisor) for advisor in ADVISORS] * 3)
    token = Token(text="a", generation_tokens=10_000, generation_tps=5.0)  # twice as slow
    update = told(each, 2, token)
    assert update.eta_seconds == pytest.approx(10 + 180 + 9 * 2, rel=0.1)


def test_who_has_no_history_is_expected_to_take_as_long_as_the_present_one() -> None:
    each = job_progress()
    assert told(each, 0, PREFILL).basis is Basis.UNKNOWN
    unknown = told(each, 1, PREFILL)
    assert (unknown.eta_seconds, unknown.basis) == (None, Basis.UNKNOWN)
    each.add(row("ansel"))
    second = told(each, 2, PREFILL)
    assert second.eta_seconds == pytest.approx(200)
    assert second.basis is Basis.ESTIMATED
    assert second.percent == pytest.approx(99 / 3, abs=1.5)


SLOW = [*[50] + [100] * 7, 400]  # the last dimension is four times as long as usual


def writing(lengths: list[int]) -> Iterator[Token]:
    count = 0
    for name, length in zip(("image_description", *DIMENSIONS), lengths, strict=True):
        for text in [f'"{name}": "', *["word "] * (length - 1)]:
            count += 1
            yield Token(text=text, generation_tokens=count, generation_tps=1.0)


@pytest.mark.parametrize("has_history", [True, False])
@pytest.mark.parametrize("lengths", [SLOW, [400, *SLOW[1:]], [50, 400, *SLOW[2:8], 20]])
@pytest.mark.parametrize(
    ("advisors", "tokens_per_second"), [(1, 2.0), (1, 40.0), (3, 2.0), (9, 2.0), (9, 5.0)]
)
def test_percent_moves_within_two_intervals(
    advisors: int, tokens_per_second: float, lengths: list[int], has_history: bool
) -> None:
    """At the default interval, on slow engines, with parts much longer than usual."""
    names = tuple(f"advisor{n}" for n in range(advisors))
    history = [row(name, marks=range(100, 900, 100)) for name in names] * 3
    each, percents = job_progress(*history[: has_history * 99], advisors=names), list[float]()
    for place in range(1, advisors + 1):
        pacer = Pacer(interval_seconds=5.0, started=0.0, sees=True, estimator=each.begin(place))
        for n, token in enumerate(writing(lengths), start=1):
            now = n / tokens_per_second
            pacer.record(token, now)
            told = [item for item in pacer.emit(now) if isinstance(item, Update)]
            percents += [each.scale_to_job(update, place).percent for update in told]
        each.add(row(names[place - 1], marks=range(100, 900, 100)))
    assert percents == sorted(percents)
    assert percents[-1] < 99
    # two intervals at most: of any three in a row two differ
    assert all(before < after for before, after in zip(percents, percents[2:], strict=False))


@pytest.mark.slow
def test_the_sixth_job_of_a_kind_knows_its_time_and_the_first_does_not(
    store: Store, database: str, tmp_path: Path
) -> None:
    lines = ({"phase": "prefill"}, {"after": 0.2, "phase": "prefill"})
    url = recording(tmp_path, *lines, pause=0.004)
    photos = PhotoStore.open((tmp_path / "photos").as_uri())
    with closing(open_engine(url)) as engine:
        worker = make_worker(store, photos, engine, database, home=tmp_path, update_interval=0.1)
        with at_work(worker):
            jobs = []
            for _ in range(6):
                jobs.append(add_job(store, photos, width=96, height=64))
                wait_for_end(store, jobs[-1])
    first, *_, sixth = [[each for kind, each in log_of(store, job) if kind == "thinking_update"]
                        for job in jobs]  # fmt: skip
    before = [each for each in first if each["phase"] in ("measuring", "prefill")]
    assert {(each["eta_seconds"], each["basis"]) for each in before} == {(None, "unknown")}
    assert "measured" not in {each["basis"] for each in first}
    assert {each["basis"] for each in sixth} == {"measured"}
    assert all(0 <= each["eta_seconds"] < 60 for each in sixth)
    assert sixth[0]["eta_seconds"] > sixth[-1]["eta_seconds"]
    figures = store.read_history(url, engine.model)
    assert len(figures) == 6
    assert all(len(each.marks) == 8 and each.is_first for each in figures)
    assert all((each.prefill_seconds or 0) >= 0.2 for each in figures)
