"""Show a running critique: on a terminal by a live line, elsewhere by a line per update.

The input is the events that clients get (docs/events.md), of this process or of a server.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text as Line

from mondrian.answers import show_name
from mondrian.cli.terminal import draw_bar
from mondrian.engines.base import Phase
from mondrian.errors import printable

LEAST_TOKENS = 10
"""The speed of fewer says nothing."""

_GENERATED = re.compile(r"\((\d+) tokens, [\d.]+ tps\)")
_PART = re.compile(r"\d+/(\d+) tokens")
_SECONDS = re.compile(r"\(\d+ s\)$")
_NOBODYS = frozenset({"measuring", "queued"})


@contextmanager
def open_display(
    console: Console, names: Sequence[str] = (), place: int = 1
) -> Iterator["Display"]:
    """Yield a ``Display`` on ``console`` of the critique by the advisor at ``place`` in
    ``names``."""
    display = (LiveDisplay if console.is_terminal else Display)(console, names, place)
    try:
        yield display
    except BaseException:
        display.close(is_done=False)
        raise
    display.close()


class Display:
    """Show the progress of a critique, a line per update: for logs and pipes."""

    def __init__(self, console: Console, names: Sequence[str] = (), place: int = 1) -> None:
        self._console = console
        self._names = names
        self._place = place
        self.last: Mapping[str, Any] | None = None
        self._has_failed = False

    def show(self, type_: str, fields: Mapping[str, Any]) -> None:
        """Show an event, if it has something to show."""
        match type_:
            case "thinking_update":
                before, self.last = self.last, fields
                self._update(fields, before)
            case "report_partial":
                self._judge(fields)
            case "status_update":
                self._place = fields["job_data"].get("current_advisor") or self._place
            case "attempt":
                self._forget()
            case "error":
                self._has_failed = True

    def close(self, *, is_done: bool = True) -> None:
        """Show the end."""
        if self.last and is_done and self._is_finished():
            done = {**self.last, "thinking": "Done", "eta_seconds": None}
            if self._place >= len(self._names):
                done["percent"] = 100
            self._update(done, self.last)

    def _update(self, fields: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        self._console.print(
            Line(describe_line(fields, who=self._find_advisor(fields))), soft_wrap=True
        )

    def _judge(self, fields: Mapping[str, Any]) -> None: ...

    def _forget(self) -> None: ...

    def _is_finished(self) -> bool:
        """Return whether the last that was heard is that the report is written."""
        is_last = self.last is not None and self.last.get("phase") == Phase.FINALIZING
        return is_last and not self._has_failed

    def _find_advisor(self, fields: Mapping[str, Any]) -> str:
        """Return whose critique an update is about; empty while it is of no advisor."""
        if fields.get("phase") in _NOBODYS or not 0 < self._place <= len(self._names):
            return ""
        count = len(self._names)
        part = f" ({self._place} of {count})" if count > 1 else ""
        return f"{printable(self._names[self._place - 1])}{part}"


class LiveDisplay(Display):
    """Shows the same on a terminal: one line per phase, the current one alive, and below it the
    dimensions as they are judged."""

    def __init__(self, console: Console, names: Sequence[str] = (), place: int = 1) -> None:
        super().__init__(console, names, place)
        self._judged: dict[str, float | None] = {}
        self._past: list[Line] = []
        self._began = 0.0
        self._spinner = Spinner("dots", style="yellow")
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def close(self, *, is_done: bool = True) -> None:
        """Leave what was done on the screen."""
        self._end_phase(self.last, None, is_done=is_done and not self._has_failed)
        self._live.update(Group(*self._past))
        self._live.stop()

    def _update(self, fields: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        if not before or before.get("phase") != fields.get("phase"):
            self._end_phase(before, fields)
            self._began = fields.get("elapsed_seconds") or self._began
        if fields.get("phase") == Phase.REPAIRING:
            self._judged.clear()
        rest = ", ".join(filter(None, [_describe_percent(fields), describe_left(fields)]))
        sentence = _name_advisor(self._find_advisor(fields), describe_step(fields))
        self._spinner.update(text=Line(f" {sentence}   {rest}"))
        self._live.start()
        self._live.update(self._draw())

    def _judge(self, fields: Mapping[str, Any]) -> None:
        dimension = fields.get("dimension") or {}
        if isinstance(dimension.get("score"), int | float):
            self._judged[show_name(printable(dimension["name"]))] = dimension["score"]
            self._live.update(self._draw())

    def _forget(self) -> None:
        self._judged.clear()

    def _end_phase(
        self,
        last: Mapping[str, Any] | None,
        following: Mapping[str, Any] | None,
        *,
        is_done: bool = True,
    ) -> None:
        """Tick off the phase whose last update was ``last``."""
        if not last:
            return
        words = describe_past(last, following, self._began)
        if is_done and following is None and self._is_finished():
            words = "Done"
        at = (following or last).get("elapsed_seconds")
        when = "" if at is None else f"   at {at:.1f} s"
        mark = ("✓ ", "green") if is_done else ("· ", "yellow")
        self._past.append(
            Line.assemble(mark, _name_advisor(self._find_advisor(last), words), (when, "dim"))
        )

    def _draw(self) -> Group:
        judged = [
            Line.assemble("   ", draw_bar(score), f" {score:4.1f}  ", (name, "bold"))
            for name, score in self._judged.items()
            if score is not None
        ]
        return Group(*self._past, self._spinner, *judged)


def describe_line(fields: Mapping[str, Any], seconds: float | None = None, *, who: str = "") -> str:
    """Return one line for a thinking update: when, how far, what, and the time that is left.
    ``seconds`` is when, by default the job's own time."""
    at = fields.get("elapsed_seconds") if seconds is None else seconds
    when = " " * 8 if at is None else f"{at:6.1f} s"
    percent = _describe_percent(fields) or "   %"
    left = describe_left(fields)
    return (
        f"{when}  {percent:>5}  {_name_advisor(who, describe_step(fields))}{left and f'  {left}'}"
    )


def describe_step(fields: Mapping[str, Any]) -> str:
    """Return an update's sentence as a terminal has it: without the speed of a few tokens."""
    return _GENERATED.sub(
        lambda found: _count(int(found[1]), found[0]), printable(_get_thinking(fields))
    )


def describe_past(
    fields: Mapping[str, Any], following: Mapping[str, Any] | None, began: float
) -> str:
    """Return the sentence of a phase whose last update was ``fields`` and which began at ``began``
    seconds, with the figures that it ended with: those of the update that came after it."""
    words = describe_step(fields)
    if following is None:
        return words
    tokens, speed = following.get("tokens"), following.get("tokens_per_second")
    if fields.get("phase") == Phase.GENERATING and tokens:
        shown = f"({tokens} tokens, {speed:.1f} tps)" if speed else f"({tokens} tokens)"
        return _GENERATED.sub(_count(tokens, shown), printable(_get_thinking(fields)))
    if at := following.get("elapsed_seconds"):
        words = _SECONDS.sub(f"({max(0.0, at - began):.0f} s)", words)
    return _PART.sub(lambda found: f"{found[1]}/{found[1]} tokens", words)


def describe_left(fields: Mapping[str, Any]) -> str:
    """Return the time that is left in words; empty where it is not known."""
    eta = fields.get("eta_seconds")
    return "" if eta is None else f"{describe_seconds(eta)} left"


def describe_seconds(seconds: float) -> str:
    """Return a time that was estimated, no more exactly than it can be: ``about 40 s``."""
    if seconds < 5:
        return "a few seconds"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def describe_stop(display: Display) -> str:
    """Return what was done until a critique was stopped."""
    if not (fields := display.last):
        return "Stopped before anything was done."
    tokens = f", {_count(fields['tokens'])[1:-1]}" if fields.get("tokens") else ""
    seconds = fields.get("elapsed_seconds") or 0.0
    doing = Phase(fields["phase"]).doing
    return f"Stopped while {doing} after {seconds:.1f} s{tokens}. No report was written."


def _get_thinking(fields: Mapping[str, Any]) -> str:
    return str(fields.get("thinking") or "")


def _count(tokens: int, shown: str | None = None) -> str:
    if shown and tokens >= LEAST_TOKENS:
        return shown
    return f"({tokens} token{'' if tokens == 1 else 's'})"


def _name_advisor(who: str, words: str) -> str:
    return f"{who}: {words}" if who else words


def _describe_percent(fields: Mapping[str, Any]) -> str:
    percent = fields.get("percent")
    return "" if percent is None else f"{percent:.0f} %"
