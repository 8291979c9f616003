"""How late updates come: the real engine on cores - 1 threads, interval 1, lateness at p99.

An update is late by what the time since the last one exceeds the interval. The limit is 100 ms.
Beside it, as what this machine can do at that moment: a bare thread that sleeps the interval.
"""

import argparse
import itertools
import sys
import threading
import time
from contextlib import closing

from mondrian.critiques.pacing import Update, pace
from mondrian.engines import Engine, Request, open_engine

LIMIT_SECONDS = 0.100
INTERVAL_SECONDS = 1.0


def main() -> None:
    """Print p50, p99 and the worst lateness of the clock and of the bare thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    seconds = parser.parse_args().seconds
    stop, bare = threading.Event(), list[float]()
    sleeper = threading.Thread(target=sleep, args=(stop, bare))
    with closing(open_engine("llamacpp:smollm2-135m?max_tokens=4000")) as engine:
        sleeper.start()
        late = list[float]()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            request = Request(system="You are a poet.", prompt="Light falls. " * 150)
            late += lateness(request, engine, deadline)
        stop.set()
        sleeper.join()
    holds = percentile(late, 99) <= LIMIT_SECONDS
    verdict = "holds" if holds else "MISSED"
    print(f"updates     {summary(late)} (limit {LIMIT_SECONDS * 1000:.0f} ms at p99: {verdict})")
    print(f"bare thread {summary(bare)}")
    if not holds:
        sys.exit(1)


def lateness(request: Request, engine: Engine, deadline: float) -> list[float]:
    """By how many seconds each update at the interval came late, in one generation."""

    times = []
    work = engine.stream(request)
    with closing(pace(work, interval_seconds=INTERVAL_SECONDS, sees=False)) as events:
        for event in events:
            if isinstance(event, Update):
                times.append(time.monotonic())
            if time.monotonic() > deadline:
                break
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # a shorter gap belongs to a change of phase, which is told at once
    return [gap - INTERVAL_SECONDS for gap in gaps if gap >= INTERVAL_SECONDS]


def sleep(stop: threading.Event, late: list[float]) -> None:
    """Note how late a bare wait of the interval returns."""
    while not stop.is_set():
        started = time.monotonic()
        stop.wait(INTERVAL_SECONDS)
        if not stop.is_set():
            late.append(time.monotonic() - started - INTERVAL_SECONDS)


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that ``percent`` of ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def summary(values: list[float]) -> str:
    """The figures in milliseconds."""
    p50, p99, worst = (percentile(values, p) * 1000 for p in (50, 99, 100))
    return f"n {len(values)}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms"


if __name__ == "__main__":
    main()
