"""What clients get: updates with all figures, and the report as it grows."""

import itertools
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pytest

from mondrian.answers import DIMENSIONS, read_answer
from mondrian.critiques.pacing import Pacer, Text, Update
from mondrian.engines import Phase, Token
from mondrian.engines.base import Basis
from mondrian.jobs.events import AdvisorEvents, build_update_fields
from mondrian.jobs.job import EventType, Job
from mondrian.jobs.store import Store
from mondrian.reports import EngineFigures, Report, build_report
from mondrian.stream.sse import encode_thinking

TOKEN = Token(
    text="a",
    generation_tokens=150,
    generation_tps=44.06,
    prompt_tokens=1024,
    prompt_tps=512.25,
    cached_tokens=768,
    peak_memory_gb=5.5,
    finish_reason="length",
)


def test_every_figure_of_a_token_is_told() -> None:
    pacer = Pacer(interval_seconds=5.0, started=100.0, sees=True)
    pacer.record(TOKEN, 100.0)
    [update] = [item for item in pacer.emit(100.0) if isinstance(item, Update)]
    told = build_update_fields(update)
    for name, figure in asdict(TOKEN).items():
        assert name == "text" or figure in told.values(), name
    assert told["prompt_tokens_per_second"] == 512.25
    assert told["cached_tokens"] == 768
    assert told["finish_reason"] == "length"


def test_every_update_has_the_same_fields(store: Store) -> None:
    """Whether the worker, the API's clock or an outside advisor speaks."""
    told = build_update_fields(
        Update(phase=Phase.LOADING, thinking="", elapsed_seconds=0, percent=0, basis=Basis.UNKNOWN)
    )
    frame = encode_thinking(uuid4(), "Waiting").wire.decode().partition("data: ")[2]
    job = Job(id=uuid4(), owner="anna", filename="f", photo_key="k", advisors=("ansel",))
    store.add(job)
    store.add_thinking(job.id, "A thought")
    [*_, outside] = store.read_events(job.id, 0, types=[EventType.THINKING_UPDATE])
    for each in (frame, outside.payload):
        assert set(json.loads(each)) - {"type", "job_id"} == set(told)


def as_json(score: int = 6) -> str:
    """An answer whose last word is its last dimension."""
    dimension = {"score": score, "comment": "Seen. And felt.", "recommendation": "Go on. Go far."}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    return json.dumps({"image_description": "A photo.", "dimensions": dimensions})


def as_markdown(score: int = 6) -> str:
    """The same in sections, each with a recommendation of two sentences."""
    return "Description: A photo.\n" + "".join(
        f"## {name} ({score}/10)\nSeen. And felt.\n\nRecommendation: Go on. Go far.\n"
        for name in DIMENSIONS
    )


def report_of(text: str) -> Report:
    figures = EngineFigures(url="e", model="m", sees=True, tokens=1, seconds=1.0)
    seen = dict.fromkeys(DIMENSIONS, ("It was measured.",))
    return build_report(
        read_answer(text), advisor="ansel", evidence=seen, measurements={}, engine=figures
    )


class Growing:
    """An answer in small pieces, on a clock of its own, and its events."""

    def __init__(self, read_seconds: float = 0.0) -> None:
        self.now = 100.0
        self.told: list[tuple[float, dict[str, Any]]] = []
        spent = itertools.count(step=read_seconds)
        self.events = AdvisorEvents("ansel", clock=lambda: self.now, cpu_clock=lambda: next(spent))

    def write(self, text: str, seconds: float) -> None:
        pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
        for piece in pieces:
            self.now += seconds / len(pieces)
            self._keep(Text(text=piece, offset=0))

    def finish(self, text: str) -> int:
        """How many parts were left."""
        before = len(self.told)
        self._keep(report_of(text))
        return len(self.told) - before

    def _keep(self, item: Text | Report) -> None:
        parts = [e for e in self.events.encode(item) if e.type is EventType.REPORT_PARTIAL]
        self.told += [(self.now, dict(part.fields)) for part in parts]

    def scores(self) -> list[float]:
        """The last score of each dimension."""
        last = {p["dimension"]["name"]: p["dimension"] for _, p in self.told if "dimension" in p}
        assert {each["comment"] for each in last.values()} == {"Seen. And felt."}
        assert {each["recommendation"] for each in last.values()} == {"Go on. Go far."}
        return [last[name]["score"] for name in DIMENSIONS]


@pytest.mark.parametrize("write", [as_json, as_markdown])
@pytest.mark.parametrize("seconds", [0.2, 2.0, 8.0, 60.0])
def test_every_dimension_is_told_in_the_end(write: Callable[[], str], seconds: float) -> None:
    growing = Growing()
    growing.write(write(), seconds)
    times = [at for at, _ in growing.told]
    assert all(b - a >= 0.499 for a, b in itertools.pairwise(times))
    assert len(times) >= seconds - 1
    left = growing.finish(write())
    assert growing.scores() == [6] * 8
    assert left <= (1 if seconds == 60 else 9)
    assert {"image_description": "A photo."}.items() <= next(
        part for _, part in growing.told if "image_description" in part
    ).items()
    complete = [p for _, p in growing.told if p.get("dimension", {}).get("evidence") == []]
    assert [part["n"] for part in complete] == list(range(1, 9))  # each once, and whole


@pytest.mark.parametrize(("read_seconds", "rest"), [(0.001, 0.5), (0.005, 1.0), (0.1, 2.0)])
def test_an_answer_that_takes_long_to_read_is_read_less_often(
    read_seconds: float, rest: float
) -> None:
    growing = Growing(read_seconds)
    growing.write(as_json(), 60.0)
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(growing.told)]
    assert min(gaps) == pytest.approx(rest, abs=0.3)  # a piece comes four times a second
    growing.finish(as_json())
    assert growing.scores() == [6] * 8


def test_what_was_told_of_a_draft_is_corrected() -> None:
    """Some templates open the thinking in the prompt: only its end shows that it was one."""
    growing = Growing()
    growing.write(as_json(3), 20.0)
    growing.write("</think>" + as_json(6), 3.0)
    growing.finish(as_json(6))
    assert growing.scores() == [6] * 8


def test_after_a_repair_all_is_told_anew() -> None:
    growing = Growing()
    growing.write(as_json(6), 20.0)
    repairing = Update(
        phase=Phase.REPAIRING, thinking="", elapsed_seconds=0, percent=0, basis=Basis.UNKNOWN
    )
    assert [each.type for each in growing.events.encode(repairing)] == ["thinking_update"]
    growing.told.clear()
    growing.write(as_json(6), 1.0)
    growing.finish(as_json(6))
    assert growing.scores() == [6] * 8


def test_a_part_that_stands_is_not_told_twice() -> None:
    growing = Growing()
    growing.write(as_json(), 60.0)
    growing.finish(as_json())
    assert growing.finish(as_json()) == 0
