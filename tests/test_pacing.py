import itertools
import re
import threading
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mondrian.answers import DIMENSIONS
from mondrian.critiques.pacing import PATIENCE_SECONDS, Pacer, Text, Update, pace
from mondrian.engines import Phase, Progress, Request, Token, open_engine
from mondrian.engines.replay import record
from mondrian.errors import EngineFailed


def token(text: str, count: int, tps: float | None = 40.0, finish: str | None = None) -> Token:
    return Token(text=text, generation_tokens=count, generation_tps=tps, finish_reason=finish)


def pacer(interval: float = 5.0, *, sees: bool = True) -> Pacer:
    return Pacer(interval_seconds=interval, started=100.0, sees=sees)


def lines(pacer: Pacer, now: float) -> list[str]:
    return [item.thinking for item in pacer.emit(now) if isinstance(item, Update)]


def test_a_phase_is_told_at_once_and_then_every_interval() -> None:
    p = pacer()
    p.record(Progress(phase=Phase.LOADING), 100.0)
    assert p.compute_due() <= 100.0
    assert lines(p, 100.0) == ["Loading model... (0 s)"]
    assert p.compute_due() == 105.0
    assert lines(p, 104.9) == []
    assert lines(p, 105.0) == ["Loading model... (5 s)"]
    p.record(Progress(phase=Phase.PREFILL, done=128, total=1024), 107.0)
    assert lines(p, 107.0) == ["Looking at the photo... (prompt 128/1024 tokens)"]
    p.record(Progress(phase=Phase.PREFILL, done=256, total=1024), 108.0)
    assert lines(p, 108.0) == []
    assert p.compute_due() == 112.0


def test_who_waits_for_a_photo_that_is_retried_alone_is_told_so() -> None:
    p = pacer()
    p.record(Progress(phase=Phase.WAITING, is_reserved=True), 100.0)
    said = "Waiting for the engine, which retries another photo alone... (3 s)"
    assert lines(p, 103.0) == [said]


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_line(phase: Phase) -> None:
    p = pacer()
    p.record(token("a", 1) if phase is Phase.GENERATING else Progress(phase=phase), 100.0)
    (line,) = lines(p, 100.0)
    assert re.fullmatch(r"[A-Z][a-z ]+\.\.\.( \(.+\))?", line)


def test_an_engine_that_does_not_see_never_looks_at_the_photo() -> None:
    p = pacer(sees=False)
    p.record(Progress(phase=Phase.PREFILL, done=1, total=2), 100.0)
    assert lines(p, 100.0) == ["Reading the measurements... (prompt 1/2 tokens)"]


def test_tokens_are_told_in_the_words_that_clients_match() -> None:
    p = pacer()
    p.record(token("a", 1, tps=None), 100.0)
    assert lines(p, 100.0) == []  # no speed yet: nothing true to say
    p.record(token("b", 150, tps=44.06), 100.02)
    assert lines(p, 100.02) == ["Generating analysis... (150 tokens, 44.1 tps)"]


def test_an_engine_without_a_speed_is_told_at_the_interval() -> None:
    p = pacer()
    p.record(token("a", 3, tps=None), 100.0)
    (line,) = lines(p, 105.0)
    match = re.search(r"\((\d+) tokens,\s*([\d.]+) tps\)", line)
    assert match
    assert match[1] == "3"


def test_text_goes_out_ten_times_a_second_and_joins_to_the_answer() -> None:
    p = pacer()
    said: list[Text] = []
    words = [f"wörd{n} " for n in range(1000)]
    for n, word in enumerate(words):
        now = 100.0 + n / 1000
        p.record(token(word, n + 1), now)
        said += [item for item in p.emit(now) if isinstance(item, Text)]
    said += p.flush(101.0)
    assert "".join(item.text for item in said) == "".join(words)
    assert 9 <= len(said) <= 12
    assert [i.offset for i in said] == [
        0, *itertools.accumulate(len(i.text) for i in said[:-1])
    ]  # fmt: skip


@pytest.mark.parametrize(("ticks_a_token", "most"), [(5, 52), (10, 27), (100, 11)])
def test_text_of_a_slow_engine_comes_in_portions_and_twice_a_second(
    ticks_a_token: int, most: int
) -> None:
    p, waits, waiting_since = pacer(interval=60.0), list[float](), 0.0
    for tick in range(1000):
        now = 100.0 + tick / 100
        if tick % ticks_a_token == 0:
            p.record(token("word ", 1), now)
            waiting_since = waiting_since or now
        if any(isinstance(item, Text) for item in [*p.emit(now)]):
            waits.append(now - waiting_since)
            waiting_since = 0.0
    assert max(waits) <= PATIENCE_SECONDS + 0.011
    assert 10 <= len(waits) <= most


def test_text_comes_before_the_update_that_counts_it() -> None:
    p = pacer()
    p.record(token("a", 1), 100.0)
    first, second = p.emit(100.0)
    assert isinstance(first, Text)
    assert isinstance(second, Update)
    assert second.tokens == 1


def test_percent_grows_with_the_answer_and_never_goes_back() -> None:
    p = pacer(interval=1.0)
    percents: list[float] = []

    def tick(now: float) -> None:
        percents.extend(i.percent for i in p.emit(now) if isinstance(i, Update))

    now = 100.0
    for phase in (Phase.MEASURING, Phase.LOADING, Phase.PREFILL):
        p.record(Progress(phase=phase, done=1, total=2), now)
        tick(now)
        now += 1
    for n, name in enumerate(DIMENSIONS, start=1):
        for part in (f'{{"name": "{name[:5]}', f'{name[5:]}", "recommendation": "y"}}'):
            p.record(token(part, n * 100), now)  # cut inside the name
        tick(now)
        now += 1
    p.record(Progress(phase=Phase.LOADING), now)  # an engine that starts over
    tick(now)
    assert percents == sorted(percents)
    assert percents[3] > percents[2]
    assert 85 < percents[-1] < 100


Work = Generator[Progress | Token | str, None, None]


def run(work: Work, interval: float = 1.0) -> Generator[Update | Text | str, None, None]:
    return pace(work, interval_seconds=interval, sees=True)


def test_a_silence_is_filled_on_time() -> None:
    def work() -> Work:
        yield Progress(phase=Phase.PREFILL)
        time.sleep(3.0)
        yield token("a", 1, finish="stop")

    times = [time.monotonic() for _ in run(work(), interval=0.2)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) >= 6
    assert max(gaps) < 1.5  # half of the silence: a busy machine is late


def test_other_items_pass_through_after_the_text_before_them() -> None:
    def work() -> Work:
        yield token("a", 1)
        yield token("b", 2, finish="stop")
        yield "the report"

    items = [item for item in run(work()) if not isinstance(item, Update)]
    assert "".join(map(str, items)) == "abthe report"
    assert items[-1] == "the report"


def test_an_error_comes_after_the_text_before_it() -> None:
    def work() -> Work:
        yield token("partial", 1)
        raise EngineFailed("out of memory")

    stream = run(work())
    items: list[Any] = []
    with pytest.raises(EngineFailed, match="out of memory"):
        for item in stream:
            items.append(item)
    assert "partial" in [item.text for item in items if isinstance(item, Text)]


def test_closing_closes_the_work() -> None:
    closed = threading.Event()

    def work() -> Work:
        try:
            for n in itertools.count(1):
                yield token("a", n)
                time.sleep(0.01)
        finally:
            closed.set()

    with closing(run(work())) as stream:
        next(stream)
    assert closed.wait(2)


def test_closing_does_not_wait_for_work_that_is_stuck() -> None:
    release = threading.Event()

    def work() -> Work:
        yield Progress(phase=Phase.PREFILL)
        release.wait(20)

    started = time.monotonic()
    with closing(run(work())) as stream:
        next(stream)
    assert time.monotonic() - started < 5
    release.set()


@pytest.mark.slow
def test_no_gap_in_twenty_seconds_of_silence(tmp_path: Path) -> None:
    """At interval 1 no two updates are more than 1.5 s apart, through a real engine child."""
    path = tmp_path / "silence.jsonl"
    silence: list[dict[str, object]] = [
        {"phase": "prefill"},
        {"after": 20, "text": "a", "tokens": 1},
        {"finish": "stop"},
    ]
    record(path, silence)
    with closing(open_engine(f"replay:{path}")) as engine:
        stream = engine.stream(Request(system="", prompt=""))
        paced = pace(stream, interval_seconds=1.0, sees=False)
        times = [time.monotonic() for item in paced if isinstance(item, Update)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) >= 19
    assert max(gaps) <= 1.5
