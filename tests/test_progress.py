"""Percent and expected time, on a clock that the tests move."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mondrian.answers import DIMENSIONS
from mondrian.answers.outline import Outline
from mondrian.critiques.history import TimingRecord, find_typical
from mondrian.critiques.progress import Estimate, ProgressEstimator
from mondrian.engines import Phase, Progress, Token
from mondrian.engines.base import Basis

Timed = tuple[float, Progress | Token]

JSON = "".join(f'{{"name": "{name}", "score": 6, "comment": "So."}},\n' for name in DIMENSIONS)
FORMS = {
    "json": JSON,
    "name last": "".join(f'{{"score":6,"comment":"So.","name":"{name}"}},' for name in DIMENSIONS),
    "names as keys": "".join(f"'{name}' : {{'score': 6}}, " for name in DIMENSIONS),
    "fenced": f"Here you are:\n```json\n{JSON}```",
    "spelt otherwise": JSON.replace(" & ", "_and_").replace("Color", "Colour").lower(),
    "headings": "".join(f"## {n}. {name} (6/10)\nSo.\n" for n, name in enumerate(DIMENSIONS)),
    "bold": "".join(f"**{name}**: 6/10. So.\n" for name in DIMENSIONS),
    "table": "".join(f"| {name} | 6 | So. |\n" for name in DIMENSIONS),
    "thought before": f"<think>First {JSON}</think>{JSON}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_dimensions_are_counted_as_they_come(form: str, size: int) -> None:
    outline, text, counts = Outline(), FORMS[form], list[int]()
    for start in range(0, len(text), size):
        outline.append(text[start : start + size])
        counts.append(outline.begun)
    assert counts[-1] == 8
    if size == 1 and form != "thought before":
        assert sorted(set(counts)) == list(range(9))
        assert counts == sorted(counts)


@pytest.mark.parametrize(
    "text",
    [
        '"comment": "The Composition, the Lighting and the Visual Balance are good."',
        '"comment": "Composition and light are in harmony, and depth is what we want here."',
        '<think>"Composition": fine\n"Lighting": fine\n',
        '{"image_description": "A lighthouse at dusk, in depth."',
    ],
)
def test_names_in_prose_and_thought_do_not_count(text: str) -> None:
    outline = Outline()
    outline.append(text)
    assert outline.begun == 0


def figures(**changes: Any) -> TimingRecord:
    """Of a critique of 10 s prefill and 90 s of answer, 10 before its dimensions."""
    usual = TimingRecord(
        engine="e",
        model="m",
        advisor="ansel",
        megapixels=12.0,
        prompt_tokens=1000,
        measure_seconds=1.0,
        load_seconds=0.0,
        encode_seconds=0.0,
        prefill_seconds=10.0,
        generation_tokens=900,
        marks=[100 + 100 * n for n in range(8)],
        seconds=100.0,
    )
    return replace(usual, **changes)


def usual_of(*rows: TimingRecord, **asked: Any) -> Any:
    kind: dict[str, Any] = {"engine": "e", "advisor": "ansel", "megapixels": 12.0}
    return find_typical(rows, **kind | asked)


def test_the_median_of_a_kind_is_measured() -> None:
    slept = figures(seconds=9000.0, prefill_seconds=5000.0)
    usual = usual_of(slept, figures(), figures(generation_tokens=1000, seconds=110.0))
    assert usual.basis is Basis.MEASURED
    assert usual.prefill_seconds == 10.0
    assert usual.token_seconds == pytest.approx(0.1)
    assert sum(usual.lengths) == pytest.approx(900)
    assert len(usual.lengths) == 9


@pytest.mark.parametrize(
    "other", [{"megapixels": 1.0}, {"advisor": "gogh"}, {"engine": "e?threads=1"}]
)
def test_another_kind_is_an_estimate(other: dict[str, Any]) -> None:
    rows = [figures(**other)] * 5
    assert usual_of(*rows).basis is Basis.ESTIMATED
    assert usual_of(*[figures()] * 3, *rows).basis is Basis.MEASURED
    assert usual_of(*[figures()] * 2).basis is Basis.ESTIMATED  # too few to be sure


def test_nothing_is_known_without_history() -> None:
    assert usual_of() is None
    assert usual_of(figures(generation_tokens=0)) is None


def test_those_that_follow_find_the_photo_in_the_cache() -> None:
    rows = [figures(), figures(measure_seconds=None, prefill_seconds=1.0)] * 3
    assert usual_of(*rows).prefill_seconds == 10.0
    assert usual_of(*rows, is_first=False).prefill_seconds == 1.0


def test_answers_in_other_words_have_one_part() -> None:
    usual = usual_of(*[figures(marks=[])] * 3)
    assert usual.lengths == (900.0,)


def prefill(seconds: float, tokens: int = 1000, start: float = 0.0) -> Iterator[Timed]:
    for done in range(0, tokens + 1, 100):
        yield (
            start + seconds * done / tokens,
            Progress(phase=Phase.PREFILL, done=done, total=tokens),
        )


def writing(lengths: list[int], token_seconds: float, start: float) -> Iterator[Timed]:
    """An answer in parts of so many tokens; the first has no dimension."""
    count = 0
    names = ("image_description", *DIMENSIONS)
    for name, length in zip(names, lengths, strict=True):
        for text in [f'"{name}": "', *["word "] * (length - 1)]:
            count += 1
            speed = 1 / token_seconds if count > 1 else None
            yield (
                start + count * token_seconds,
                Token(text=text, generation_tokens=count, generation_tps=speed),
            )


def follow(
    estimator: ProgressEstimator, items: Iterator[Timed], every: float
) -> list[tuple[float, Estimate]]:
    """The estimates at regular times."""
    told, due = list[tuple[float, Estimate]](), 0.0
    for now, item in items:
        while due < now:
            told.append((due, estimator.estimate(due)))
            due += every
        estimator.record(item, now)
    return [*told, (now, estimator.estimate(now))]


def a_course(**known: Any) -> ProgressEstimator:
    return ProgressEstimator(usual_of(*[figures()] * 5), is_loaded=True, is_measured=True, **known)


def test_a_usual_critique_goes_as_foretold() -> None:
    def items() -> Iterator[Timed]:
        yield from prefill(10.0)
        yield from writing([100] * 9, 0.1, 10.0)

    for now, estimate in follow(a_course(), items(), 1.0)[1:]:
        assert estimate.eta_seconds == pytest.approx(100 - now, abs=2.0)
        assert estimate.share == pytest.approx(now / 100, abs=0.03)
        assert estimate.basis is Basis.MEASURED


def test_a_slow_prefill_and_a_fast_answer_are_noticed_at_once() -> None:
    estimator = a_course()
    told = dict(follow(estimator, prefill(40.0), 1.0))
    assert told[1.0].eta_seconds == pytest.approx(99, abs=3)  # nothing is known yet
    assert told[20.0].eta_seconds == pytest.approx(20 + 90, abs=11)
    assert told[36.0].eta_seconds == pytest.approx(4 + 90, abs=3)
    told = dict(follow(estimator, writing([100] * 9, 0.05, 40.0), 1.0))
    assert told[50.0].eta_seconds == pytest.approx(35, abs=6)
    assert told[80.0].eta_seconds == pytest.approx(5, abs=1)


def test_a_load_that_takes_longer_is_not_over_until_it_is() -> None:
    estimator = ProgressEstimator(usual_of(*[figures(load_seconds=10.0, seconds=110.0)] * 3))
    estimator.record(Progress(phase=Phase.LOADING), 0.0)
    etas = [estimator.estimate(now).eta_seconds for now in (0.0, 5.0, 10.0, 60.0)]
    assert etas == pytest.approx([110, 105, 101, 106])
    estimator.record(Progress(phase=Phase.LOADING, done=2, total=100), 60.0)
    estimator.record(Progress(phase=Phase.LOADING, done=50, total=100), 108.0)
    assert estimator.estimate(108.0).eta_seconds == pytest.approx(100 + 30, abs=2)


def test_without_history_only_the_answer_tells() -> None:
    estimator = ProgressEstimator(is_loaded=True, is_measured=True)
    told = follow(estimator, prefill(10.0), 1.0)
    told += follow(estimator, writing([100] * 9, 0.1, 10.0), 1.0)
    assert all(each.eta_seconds is None and each.basis is Basis.UNKNOWN for _, each in told[:30])
    late = {now: each for now, each in told if now >= 45}
    assert {each.basis for each in late.values()} == {Basis.ESTIMATED}
    for now, each in late.items():
        assert each.eta_seconds == pytest.approx(100 - now, abs=2.0)


def test_an_engine_that_says_nothing_more_is_waited_for() -> None:
    estimator = a_course()
    follow(estimator, writing([100] * 5 + [1] * 4, 0.1, 0.0), 10.0)
    before, after = estimator.estimate(50.0), estimator.estimate(80.0)
    assert before.eta_seconds
    assert after.eta_seconds
    assert after.eta_seconds > before.eta_seconds
    assert after.share == before.share


def test_how_long_others_take_is_not_known() -> None:
    estimator = a_course()
    estimator.record(Progress(phase=Phase.WAITING), 0.0)
    assert estimator.estimate(5.0) == Estimate(0.0, None, Basis.UNKNOWN)


@pytest.mark.parametrize("has_history", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_percent_never_goes_back_and_every_interval_moves_it(seed: int, has_history: bool) -> None:
    """Also when parts are a tenth or four times as long as usual, and speeds five times off."""
    rng = random.Random(seed)
    lengths = [max(2, round(100 * rng.choice([0.1, 0.5, 1, 1, 2, 4]))) for _ in range(9)]
    token_seconds = 0.1 * rng.choice([0.3, 1.0, 5.0])
    estimator = a_course() if has_history else ProgressEstimator(is_loaded=True, is_measured=True)
    start = 10 * rng.choice([0.3, 1, 3])
    told = follow(estimator, prefill(start), 5.0)
    told += follow(estimator, writing(lengths, token_seconds, start), 5.0)
    percents = [round(99 * estimate.share, 3) for _, estimate in told]
    assert percents == sorted(percents)
    wrote = [round(99 * each.share, 3) for now, each in told if now > start]
    # two intervals at most: of any three in a row two differ
    assert all(before < after for before, after in zip(wrote, wrote[2:], strict=False))
    assert wrote[-1] < 99


def test_an_engine_that_counts_no_tokens_moves_on_as_well() -> None:
    estimator = a_course()
    for now in range(200):
        estimator.record(Token(text='"Lighting": ' if now == 50 else "word "), float(now))
    assert estimator.marks == (51,)
    assert estimator.estimate(200.0).share > 0.2


@pytest.mark.parametrize("before", [0, 702])
def test_a_second_answer_has_what_the_first_one_left(before: int) -> None:
    """Whether the engine's tokens are counted on or from the beginning."""
    estimator = a_course()
    first = follow(estimator, writing([100] * 7 + [0, 0], 0.1, 0.0), 5.0)[-1][1]
    estimator.record(Progress(phase=Phase.REPAIRING), 70.0)
    repairing = estimator.estimate(70.0)
    assert repairing.share == first.share
    assert repairing.eta_seconds == pytest.approx(100, abs=3)
    items = [
        (now, replace(item, generation_tokens=item.generation_tokens + before))
        for now, item in writing([100] * 9, 0.1, 70.0)
        if isinstance(item, Token)
    ]
    told = dict(follow(estimator, iter(items), 5.0))
    assert told[115.0].share == pytest.approx((first.share + 1) / 2, abs=0.05)
    assert told[115.0].eta_seconds == pytest.approx(45, abs=5)


def test_an_engine_that_starts_over_does_not_go_back() -> None:
    estimator = a_course()
    before = follow(estimator, writing([100] * 9, 0.1, 0.0), 10.0)[-1][1]
    again = follow(estimator, prefill(10.0, start=90.0), 10.0)[-1][1]
    assert again.share >= before.share
    assert again.eta_seconds == pytest.approx(90, abs=5)
    follow(estimator, writing([10] * 9, 0.1, 100.0), 10.0)
    assert estimator.marks == tuple(range(11, 90, 10))
