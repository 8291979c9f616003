"""One photo before several advisors, on engines that play recordings."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mondrian import Report, Text, Update, open_engine
from mondrian.advisors import load_advisors
from mondrian.critiques.panel import Panel
from mondrian.engines import Engine, Phase
from mondrian.engines.replay import record
from mondrian.errors import EngineError
from mondrian.measurements.reading import MeasuredPhoto, read_measured
from support.working import answer, jpeg, wait_for

Sit = Callable[..., Iterator[Update | Text | Report]]

DEADLINE_SECONDS = 30.0
ADVISORS = ("ansel", "okeefe", "weston")


@pytest.fixture
def sit(tmp_path: Path) -> Iterator[Sit]:
    """Begin a sitting of some advisors, on a recording of these lines, or of an answer."""
    engines = list[Engine]()

    def sit(
        *lines: Mapping[str, object], advisors: Sequence[str] = ("ansel",), **changes: Any
    ) -> Iterator[Update | Text | Report]:
        said = [{"after": 0.01, "text": each, "tokens": 20} for each in _pieces(answer())]
        record(tmp_path / "recording.jsonl", lines or [*said, {"finish": "stop"}])
        known = load_advisors()
        fields: dict[str, Any] = {
            "look": lambda _: read_measured(jpeg()),
            "advisors": [known[name] for name in advisors],
            "write": None,
            "interval": 0.1,
            "stall": 300.0,
        }
        if "engine" not in changes:
            changes["engine"] = open_engine(f"replay:{tmp_path / 'recording.jsonl'}")
        engines.append(changes["engine"])
        return Panel(**fields | changes).run()

    yield sit
    for engine in engines:
        engine.close()


def _pieces(text: str) -> list[str]:
    return [text[start : start + 80] for start in range(0, len(text), 80)]


def test_percent_and_time_are_of_all_advisors(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = list[MeasuredPhoto]()

    def look(_: object) -> MeasuredPhoto:
        measured.append(read_measured(jpeg()))
        return measured[-1]

    monkeypatch.delattr("mondrian.critiques.single.measure")
    events = list(sit(advisors=ADVISORS, look=look))
    assert len(measured) == 1
    assert [each.advisor for each in events if isinstance(each, Report)] == list(ADVISORS)
    updates = [each for each in events if isinstance(each, Update)]
    for figures in ([each.percent for each in updates], [each.elapsed_seconds for each in updates]):
        assert figures == sorted(figures)
    ends = [each.percent for each in updates if each.phase is Phase.FINALIZING]
    assert ends == pytest.approx([34, 67, 99], abs=2)
    later = updates[[each.phase for each in updates].index(Phase.FINALIZING) + 1 :]
    assert all(each.eta_seconds is not None for each in later)  # the first one showed it


def test_an_engine_that_hangs_is_ended(sit: Sit) -> None:
    events = sit({"phase": "prefill", "done": 1, "total": 9}, {"hang": True}, stall=1.0)
    with pytest.raises(EngineError, match="no progress for 1 seconds"):
        list(events)


def test_reading_the_photo_is_told(sit: Sit) -> None:
    go_on = threading.Event()

    def slow(_: object) -> MeasuredPhoto:
        assert go_on.wait(DEADLINE_SECONDS)
        return read_measured(jpeg())

    with closing(sit(look=slow)) as events:  # type: ignore[type-var]
        told = list(itertools.islice(events, 4))
        go_on.set()
        rest = list(events)
    assert all(isinstance(each, Update) and each.phase is Phase.MEASURING for each in told)
    assert isinstance(rest[-1], Report)


def test_who_leaves_wants_no_photo(sit: Sit) -> None:
    seen = threading.Event()

    def stuck(is_wanted: Callable[[], bool]) -> MeasuredPhoto:
        wait_for(lambda: not is_wanted())
        seen.set()
        raise AssertionError("nobody hears this")

    with closing(sit(look=stuck)) as events:  # type: ignore[type-var]
        next(events)
    assert seen.wait(DEADLINE_SECONDS)


def test_writing_files_is_told(sit: Sit) -> None:
    go_on, written = threading.Event(), list[Sequence[Report]]()

    def slow(photo: MeasuredPhoto, reports: Sequence[Report]) -> None:
        assert go_on.wait(DEADLINE_SECONDS)
        written.append(reports)

    events = sit(write=slow)
    report = next(each for each in events if isinstance(each, Report))
    told = list(itertools.islice(events, 4))
    assert all(isinstance(each, Update) and each.phase is Phase.FINALIZING for each in told)
    assert not written
    go_on.set()
    list(events)
    assert written == [[report]]


def test_an_adapter_is_used(sit: Sit, tmp_path: Path) -> None:
    """It was asked for by whoever opened the engine with it."""
    asked = list[bool]()
    (tmp_path / "recording.jsonl").touch()

    class Adapted:
        """An engine with an adapter."""

        def __init__(self) -> None:
            self._engine = open_engine(f"replay:{tmp_path / 'recording.jsonl'}")
            self.has_adapter = True

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

        def stream(self, request: Any) -> Any:
            asked.append(request.adapter)
            return self._engine.stream(request)

    list(sit(engine=Adapted()))
    assert asked == [True]


def test_an_engine_serves_one_sitting_after_the_other(sit: Sit, tmp_path: Path) -> None:
    (tmp_path / "recording.jsonl").touch()
    engine = open_engine(f"replay:{tmp_path / 'recording.jsonl'}")
    events = sit({"phase": "prefill"}, {"after": 9999, "finish": "stop"}, engine=engine)
    assert any(isinstance(each, Update) and each.phase is Phase.PREFILL for each in events)
    events.close()  # type: ignore[attr-defined]
    assert isinstance(list(sit(engine=engine))[-1], Report)
