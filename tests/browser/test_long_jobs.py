"""A job of twenty minutes, sped up: the page needs no more memory late than early."""

from collections.abc import Iterator
from typing import Any

from playwright.sync_api import CDPSession, expect

from mondrian.answers import DIMENSIONS
from mondrian.jobs.job import Entry, EventType
from support.browser import Visiting
from support.service import Service

MINUTES = 20
HALF = MINUTES // 2
SETTLED = 5
"""From this minute on all cards are written upon."""


def test_memory_is_flat_over_twenty_minutes(visit: Visiting, service: Service) -> None:
    job = service.send(advisor="ansel")
    claim = service.claim()
    visiting = visit(service.url)
    page = visiting.open(f"/jobs/{job}")
    session = visiting.context.new_cdp_session(page)
    bytes_, nodes, listeners = list[int](), list[int](), list[int]()
    for minute in range(MINUTES):
        service.store.append(claim, list(happen(minute)))
        expect(page.locator("#thinking")).to_have_text(f"{tell(minute * 60 + 55)}")
        counted = count(session)
        bytes_.append(counted["usedSize"])
        nodes.append(counted["nodes"])
        listeners.append(counted["jsEventListeners"])
        page.evaluate("dispatchEvent(new Event('online'))")  # another network: a new line
        expect(page.locator("#lost")).to_be_hidden()
    assert max(nodes[SETTLED:]) <= nodes[SETTLED] + 50
    assert max(listeners[SETTLED:]) <= listeners[SETTLED] + 10
    assert min(bytes_[-3:]) < min(bytes_[HALF : HALF + 3]) + 100_000
    service.finish(claim)
    expect(page.locator(".plate")).to_be_visible()


def happen(minute: int) -> Iterator[Entry]:
    """What a job logs in a minute: two parts a second, and an update every five."""
    for second in range(minute * 60, minute * 60 + 60):
        for half in (0, 1):
            number = second * 2 + half
            dimension = {
                "name": DIMENSIONS[number % len(DIMENSIONS)],
                "score": None if number % 3 else 6.5,
                "comment": f"At {second} s. " + "A long remark. " * (number % 60),
                "recommendation": f"Wait {number} times.",
            }
            part = {"advisor": "ansel", "attempt": 1, "n": 1, "m": 8, "dimension": dimension}
            yield Entry(EventType.REPORT_PARTIAL, part)
        if second % 5 == 0:
            yield Entry(EventType.THINKING_UPDATE, update(second))


def tell(second: int) -> str:
    return f"Generating analysis... ({second * 12} tokens, 12.0 tps)"


def update(second: int) -> dict[str, Any]:
    return {
        "thinking": tell(second),
        "phase": "generating",
        "tokens": second * 12,
        "tokens_per_second": 12.0,
        "prompt_tokens": 900,
        "peak_memory_gb": 3.5,
        "elapsed_seconds": float(second),
        "eta_seconds": MINUTES * 60.0 - second,
        "percent": second / (MINUTES * 60) * 99,
        "basis": "measured",
        "queue_position": None,
        "attempt": 1,
    }


def count(session: CDPSession) -> dict[str, int]:
    """Return what the page holds: bytes of its heap, nodes, listeners."""
    session.send("HeapProfiler.collectGarbage")
    counters: dict[str, int] = session.send("Memory.getDOMCounters")
    usage: dict[str, int] = session.send("Runtime.getHeapUsage")
    return counters | usage
