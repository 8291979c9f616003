"""The heart, on a real photo and on engines that ship."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mondrian import Engine, Photo, Report, Text, Update, critique, open_engine, read_photo
from mondrian.advisors import load_advisors, sentences
from mondrian.answers import DIMENSIONS
from mondrian.critiques.prompts import make_request
from mondrian.critiques.repair import Answering, repair
from mondrian.engines import Phase, Request, Token
from mondrian.engines.replay import record
from mondrian.errors import AnswerError, EngineFailed, UnknownAdvisor
from mondrian.findings import find, list_facts, write_brief
from mondrian.measurements import Measurements, measure
from mondrian.photos.notes import Note


@pytest.fixture(scope="module")
def photo() -> Photo:
    import skimage

    return read_photo(Path(skimage.__file__).parent / "data" / "coffee.png")


@pytest.fixture(scope="module")
def measurements(photo: Photo) -> Measurements:
    return measure(photo)


@pytest.fixture(scope="module")
def smollm2(home: Path) -> Iterator[Engine]:
    with closing(open_engine("llamacpp:smollm2-135m", home=home)) as engine:
        yield engine


def answer(score: int = 6) -> str:
    dimension = {"score": score, "comment": "Seen.", "recommendation": "Go on."}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    return json.dumps({"image_description": "A photo.", "dimensions": dimensions})


def play(folder: Path, *lines: Mapping[str, object], query: str = "") -> Engine:
    path = folder / "recording.jsonl"
    record(path, lines)
    return open_engine(f"replay:{path}{query}")


Timed = list[tuple[float, Update | Text | Report]]


@pytest.fixture(scope="module")
def embedded(photo: Photo, smollm2: Engine) -> Timed:
    """One critique by the embedded model: each event and when it came."""
    events = critique(photo, "weston", smollm2, interval_seconds=0.5)
    return [(time.monotonic(), event) for event in events]


def test_the_embedded_model_critiques_a_photo(embedded: Timed, measurements: Measurements) -> None:
    report = embedded[-1][1]
    assert isinstance(report, Report)
    assert [dimension.name for dimension in report.dimensions] == list(DIMENSIONS)
    assert not report.salvaged
    assert report.engine.tokens > 100
    assert report.engine.tokens_per_second
    advisor = load_advisors()["weston"]
    for dimension, finding in zip(report.dimensions, find(measurements), strict=True):
        true = sentences(finding, advisor)
        assert dimension.comment in true.comments
        assert dimension.recommendation in true.recommendations
        assert dimension.score == finding.score
        assert dimension.evidence == finding.evidence


def test_updates_come_on_time(embedded: Timed) -> None:
    times = [now for now, event in embedded if isinstance(event, Update)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) <= 2.0  # the interval, and what a busy machine adds
    updates = [event for _, event in embedded if isinstance(event, Update)]
    phases = list(dict.fromkeys(update.phase for update in updates))
    assert phases == [phase for phase in Phase if phase in phases]
    assert phases[-1] is Phase.FINALIZING
    percents = [update.percent for update in updates]
    assert percents == sorted(percents)


def test_text_joins_to_the_answer(embedded: Timed) -> None:
    texts = [event for _, event in embedded if isinstance(event, Text)]
    answer = json.loads("".join(text.text for text in texts))
    assert len(answer["dimensions"]) == 8


def test_an_engine_that_sees_gets_the_photo_and_the_facts(
    photo: Photo, measurements: Measurements
) -> None:
    findings, advisor = find(measurements), load_advisors()["okeefe"]
    request = make_request(photo, advisor, measurements, findings, sees=True)
    assert request.photo is not None
    assert read_photo(request.photo).width == min(photo.width, 1320)
    assert advisor.prompt in request.prompt
    assert f"{photo.width}×{photo.height}" in request.prompt


@pytest.mark.parametrize("sees", [True, False])
def test_what_advisors_have_in_common_comes_first(
    photo: Photo, measurements: Measurements, sees: bool
) -> None:
    findings, advisors = find(measurements), load_advisors()
    asked = [
        make_request(photo, each, measurements, findings, sees=sees) for each in advisors.values()
    ]
    assert len({(request.system, request.photo) for request in asked}) == 1
    told = list_facts(measurements, findings) if sees else write_brief(findings)
    [common] = {request.prompt.partition(told)[0] for request in asked}
    own = [request.prompt.removeprefix(common + told) for request in asked]
    assert len(set(own)) == len(advisors)
    assert all(advisor.name in text for advisor, text in zip(advisors.values(), own, strict=True))


def test_an_engine_that_does_not_see_gets_a_short_prompt(
    photo: Photo, measurements: Measurements
) -> None:
    """On a slow CPU every token of the prompt is waited for."""
    for advisor in load_advisors().values():
        request = make_request(photo, advisor, measurements, find(measurements), sees=False)
        assert request.photo is None
        assert len(request.system + request.prompt) < 900


def test_an_engine_that_sees_is_read(photo: Photo, tmp_path: Path) -> None:
    words = "```json\n" + answer(7) + "\n```"
    with closing(play(tmp_path, {"text": words, "tokens": 90}, {"finish": "stop"})) as engine:
        report = list(critique(photo, "ansel", engine))[-1]
    assert isinstance(report, Report)
    assert report.engine.sees
    assert report.engine.finish_reason == "stop"
    assert report.overall_score == 7
    assert report.salvaged


def test_how_the_photo_was_read_is_a_technical_note(photo: Photo, tmp_path: Path) -> None:
    engine = play(tmp_path, {"text": answer()}, {"finish": "stop"})
    noted = replace(photo, notes=(Note.RAW_PREVIEW,))
    assert critique_report(noted, engine).technical_notes[0] == Note.RAW_PREVIEW
    assert Note.RAW_PREVIEW not in critique_report(photo, engine).technical_notes


def critique_report(photo: Photo, engine: Engine) -> Report:
    [report] = [item for item in critique(photo, "ansel", engine) if isinstance(item, Report)]
    return report


def test_an_engine_that_does_not_see_cannot_invent(photo: Photo, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"text": answer(), "tokens": 90}, {"finish": "stop"}]
    with (
        closing(play(tmp_path, *lines, query="?sees=false")) as engine,
        pytest.raises(AnswerError, match="not measured"),
    ):
        list(critique(photo, "ansel", engine))


def test_an_answer_that_cannot_be_read_is_an_error(photo: Photo, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"text": "I like it.", "tokens": 3}, {"finish": "stop"}]
    with closing(play(tmp_path, *lines)) as engine, pytest.raises(AnswerError):
        list(critique(photo, "ansel", engine))


def test_an_answer_that_cannot_be_read_is_asked_for_again(photo: Photo, tmp_path: Path) -> None:
    """The recording holds two answers: the second is the repair."""
    lines: list[dict[str, object]] = [
        {"text": '<think>I like it. {"name": "Lighting", "score": 3, "comm', "tokens": 9},
        {"finish": "stop"},
        {"after": 0.1, "phase": "prefill"},
        {"text": answer(7), "tokens": 90},
        {"finish": "stop"},
    ]
    with closing(play(tmp_path, *lines)) as engine:
        events = list(critique(photo, "ansel", engine, interval_seconds=60))
    report = events[-1]
    assert isinstance(report, Report)
    assert report.overall_score == 7
    assert report.salvaged
    assert "asked for again" in report.technical_notes[-1]
    assert report.engine.tokens == 99
    updates = [event for event in events if isinstance(event, Update)]
    phases = [phase for phase, _ in itertools.groupby(update.phase for update in updates)]
    assert phases[-3:] == [Phase.REPAIRING, Phase.PREFILL, Phase.FINALIZING]
    assert any(update.thinking.startswith("Repairing an answer") for update in updates)
    percents = [update.percent for update in updates]
    assert percents == sorted(percents)
    texts = [event for event in events if isinstance(event, Text)]
    assert "".join(text.text for text in texts) == f"{lines[0]['text']}{answer(7)}"
    assert [text.offset for text in texts] == [0, len(str(lines[0]["text"]))]


def test_figures_add_up_over_both_answers() -> None:
    tokens = [
        Token(text="I like it.", generation_tokens=3, prompt_tokens=100, cached_tokens=10),
        Token(text=answer(), generation_tokens=90, prompt_tokens=120, cached_tokens=100),
    ]

    class Twice:
        """An engine that gives one token for each request."""

        def stream(self, request: Request) -> Iterator[Token]:
            yield tokens.pop(0)

    engine: Any = Twice()
    answering = Answering(engine)
    list(answering.run(Request(system="", prompt="")))
    last = answering.last
    assert (last.generation_tokens, last.prompt_tokens, last.cached_tokens) == (93, 220, 110)


def test_the_second_request_is_the_first_one_with_the_answer_below_it(
    photo: Photo, measurements: Measurements
) -> None:
    """So an engine keeps what it has read, and one that sees looks at the photo again."""
    advisor = load_advisors()["weston"]
    first = make_request(photo, advisor, measurements, find(measurements), sees=True)
    second = repair(first, "I like {it}." + "!" * 9000)
    assert second.prompt.startswith(first.prompt)
    assert "I like {it}." in second.prompt[len(first.prompt) :]
    assert len(second.prompt) < len(first.prompt) + 5000
    assert (second.photo, second.schema) == (first.photo, first.schema)


def test_a_loop_is_ended_and_what_was_complete_is_kept(photo: Photo, tmp_path: Path) -> None:
    """Only the test ends the recording: its next line is hours away."""
    whole = answer(7)
    begun = whole[: whole.index("Color Harmony")] + 'Color Harmony", "score": 7, "comment": "It '
    loop = [{"text": "glows and glows and ", "tokens": 5}] * 60
    lines = [{"text": begun, "tokens": 60}, *loop, {"after": 9999, "finish": "stop"}]
    with closing(play(tmp_path, *lines)) as engine:
        *events, report = critique(photo, "ansel", engine)
    assert isinstance(report, Report)
    assert [dimension.name for dimension in report.dimensions] == list(DIMENSIONS[:3])
    assert report.salvaged
    assert "repeated itself" in report.technical_notes[-1]
    assert 60 < report.engine.tokens < 360
    shown = "".join(event.text for event in events if isinstance(event, Text))
    assert (begun + "glows and glows and " * 60).startswith(shown)
    assert len(shown) >= len(begun) + 240


def test_an_engines_error_comes_through(photo: Photo, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [{"text": "{", "tokens": 1}, {"error": "out of memory"}]
    with closing(play(tmp_path, *lines)) as engine:
        events = critique(photo, "ansel", engine)
        with pytest.raises(EngineFailed, match="out of memory"):
            list(events)


def test_an_unknown_advisor_is_refused(photo: Photo, tmp_path: Path) -> None:
    with closing(play(tmp_path, {"finish": "stop"})) as engine, pytest.raises(UnknownAdvisor):
        critique(photo, "nobody", engine)


def test_closing_stops_the_engine(photo: Photo, smollm2: Engine) -> None:
    with closing(critique(photo, "ansel", smollm2)) as events:
        next(event for event in events if isinstance(event, Text))
    # the engine is free again: a request does not have to wait for the old one to end
    with closing(critique(photo, "ansel", smollm2)) as events:
        phases = [e.phase for e in itertools.islice(events, 3) if isinstance(e, Update)]
    assert Phase.WAITING not in phases


def test_threads_share_an_engine(photo: Photo, measurements: Measurements, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"phase": "prefill"},
        {"after": 0.3, "text": answer(), "tokens": 9},
        {"finish": "stop"},
    ]
    reports: list[object] = []
    with closing(play(tmp_path, *lines)) as engine:

        def work() -> None:
            events = critique(photo, "ansel", engine, measurements=measurements)
            reports.append(list(events)[-1])

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [isinstance(report, Report) for report in reports] == [True] * 3


def test_the_documented_line_for_asyncio(
    photo: Photo, measurements: Measurements, tmp_path: Path
) -> None:
    from starlette.concurrency import iterate_in_threadpool

    lines: list[dict[str, object]] = [
        {"phase": "prefill"},
        {"after": 0.5, "text": answer(), "tokens": 9},
        {"finish": "stop"},
    ]

    async def run(engine: Engine) -> tuple[list[object], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        events = critique(photo, "ansel", engine, measurements=measurements)
        seen: list[object] = [event async for event in iterate_in_threadpool(events)]
        ticking.cancel()
        return seen, ticks

    with closing(play(tmp_path, *lines)) as engine:
        events, ticks = asyncio.run(run(engine))
    assert isinstance(events[-1], Report)
    assert ticks > 5  # the event loop went on
