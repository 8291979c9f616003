"""Stalled engines are ended; engines that cannot report progress are waited for."""

from collections.abc import Generator, Iterator

import pytest

from mondrian.engines import Basis, Engine, Output, Phase, Progress, Request
from mondrian.engines.watched import Meter, WatchedEngine
from mondrian.errors import EngineStalled

ASK = Request(system="", prompt="")


class Silent:
    """An engine that says the same thing again and again, each time a quarter of a second later on
    its own clock."""

    url = model = "silent:"
    sees = has_adapter = False
    slots, status = 1, "ready"

    def __init__(self, item: Progress) -> None:
        self.seconds = 0.0
        self._item = item

    def load(self) -> None:
        """See ``Engine.load``."""

    def close(self) -> None:
        """See ``Engine.close``."""

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """See ``Engine.stream``."""
        while self.seconds < 1000:
            yield self._item
            self.seconds += 0.25


@pytest.mark.parametrize(
    ("silence", "stalled_seconds"),
    [
        (Progress(phase=Phase.PREFILL), 40),  # as most servers read a prompt
        (Progress(phase=Phase.PREFILL, done=1, total=2, basis=Basis.MEASURED), 10),
        (Progress(phase=Phase.LOADING), 10),
    ],
)
def test_a_silence_has_a_limit_and_a_prefill_that_nothing_is_known_of_four_times_as_much(
    silence: Progress, stalled_seconds: float
) -> None:
    engine = Silent(silence)
    with pytest.raises(EngineStalled, match=f"no progress for {stalled_seconds} seconds"):
        list(_watched(engine))
    assert engine.seconds == stalled_seconds + 0.25


def test_to_wait_for_another_request_is_no_stall() -> None:
    engine = Silent(Progress(phase=Phase.WAITING))
    assert len(list(_watched(engine))) == 4000


def _watched(engine: Silent) -> Iterator[Output]:
    assert isinstance(engine, Engine)
    watched = WatchedEngine(
        engine, Meter(), lambda: None, stall_seconds=10, clock=lambda: engine.seconds
    )
    return watched.stream(ASK)
