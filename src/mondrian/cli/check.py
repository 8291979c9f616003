"""``mondrian check``: are updates on time, and is the job done?"""

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian.cli.app import INTERRUPTED
from mondrian.cli.jobs import connect
from mondrian.cli.live import describe_line
from mondrian.cli.options import Group, command
from mondrian.cli.submitting import choose_advisor

if TYPE_CHECKING:
    from mondrian.client import StreamEvent
    from mondrian.settings import Settings

SLACK_SECONDS = 0.5
COUNTED = frozenset(
    {"connected", "status_update", "thinking_update", "analysis_complete", "error", "done"}
)
"""The events between which no more than the interval and ``SLACK_SECONDS`` may pass."""


@dataclass(kw_only=True)
class Cadence:
    """The times of a job's events, in seconds on ``clock``, and their content. ``is_cut`` tells
    that the job was cancelled after as many updates as were asked for."""

    clock: Callable[[], float] = time.monotonic
    updates: int = 0
    status: str = "unknown"
    is_cut: bool = False
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    _times: list[float] = field(default_factory=list)

    def record(self, event: "StreamEvent") -> None:
        """Record ``event``, which was just received."""
        if event.type in COUNTED:
            self._times.append(self.clock())
        if event.type == "thinking_update":
            self.updates += 1
        elif event.type == "error":
            self.error = event.fields["error"]["message"]
        elif event.type == "analysis_complete":
            self.figures = event.fields["report"]["engine"]
        elif event.type == "done":
            self.status = event.fields["status"]

    @property
    def seconds(self) -> float:
        """From the first event to the newest."""
        return self._times[-1] - self._times[0] if self._times else 0.0

    @property
    def gaps(self) -> list[float]:
        """The seconds between each two events."""
        return [after - before for before, after in pairwise(self._times)]

    @property
    def longest_gap(self) -> float:
        """The longest silence, in seconds."""
        return max(self.gaps, default=0.0)

    @property
    def mean_gap(self) -> float:
        """The mean silence, in seconds."""
        return sum(self.gaps) / len(self.gaps) if self.gaps else 0.0

    def make_summary(self, interval_seconds: float) -> dict[str, Any]:
        """Return the figures; all times in seconds."""
        return {
            "updates": self.updates,
            "seconds": round(self.seconds, 3),
            "interval": interval_seconds,
            "mean_gap": round(self.mean_gap, 3),
            "longest_gap": round(self.longest_gap, 3),
            "tokens": self.figures.get("tokens"),
            "tokens_per_second": self.figures.get("tokens_per_second"),
            "status": "cancelled" if self.is_cut else self.status,
            "complaints": self.find_complaints(interval_seconds),
        }

    def find_complaints(self, interval_seconds: float) -> list[str]:
        """Return the promises that the server broke."""
        found = []
        if self.longest_gap > interval_seconds + SLACK_SECONDS:
            found.append(
                f"there were {self.longest_gap:.1f} s of silence, and "
                f"{interval_seconds + SLACK_SECONDS:g} s is the most"
            )
        if self.status != "done" and not self.is_cut:
            found.append(f"the job ended as {self.status}: {self.error}".rstrip(": "))
        return found


@command("advisor", "server", "key", group=Group.CLIENT)
def check(
    settings: "Settings",
    photo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The photo; a cup of coffee by default.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Cancel the job after so many updates, and judge those."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Submit a photo and measure: exit 0 if updates came on time and the job is done (or was
    cancelled after ``--count`` updates), else 1."""
    cadence = Cadence()
    with connect(settings) as client:
        interval = client.update_interval()
        job = client.submit(photo or make_sample(), advisor=choose_advisor(settings))["job_id"]
        try:
            for event in client.watch(job):
                cadence.record(event)
                if event.type == "thinking_update" and not as_json:
                    print(describe_line(event.fields, cadence.seconds), flush=True)
                if cadence.updates == count and cadence.status == "unknown":
                    client.cancel(job)
                    cadence.is_cut = True
                    break
        except KeyboardInterrupt:
            client.cancel(job)
            sys.exit(INTERRUPTED)
    print(json.dumps(cadence.make_summary(interval)) if as_json else _summarize(cadence, interval))
    if complaints := cadence.find_complaints(interval):
        print(f"mondrian: {'; '.join(complaints)}.", file=sys.stderr)
        sys.exit(1)


def make_sample() -> Path:
    """Return the photo of a cup of coffee that comes with scikit-image."""
    found = importlib.util.find_spec("skimage")
    assert found
    assert found.origin
    return Path(found.origin).parent / "data" / "coffee.png"


def _summarize(cadence: Cadence, interval: float) -> str:
    tokens, speed = cadence.figures.get("tokens"), cadence.figures.get("tokens_per_second")
    written = f"{tokens} tokens" if tokens else "no tokens"
    written += f" at {speed:.1f} tokens/s" if speed else ""
    return (
        f"{cadence.updates} updates in {cadence.seconds:.1f} s at an interval of {interval:g} s; "
        f"gap {cadence.mean_gap:.1f} s in the mean, {cadence.longest_gap:.1f} s at the longest; "
        f"{written}; {'cancelled' if cadence.is_cut else cadence.status}."
    )
