"""The words of the terminal's live line, and what is left of it."""

import io
from typing import Any

import pytest
from rich.console import Console

from mondrian.answers import show_name
from mondrian.cli.live import (
    LiveDisplay,
    describe_left,
    describe_line,
    describe_past,
    describe_step,
    open_display,
)
from mondrian.cli.terminal import print_report
from support.demo_reports import demo_report


def update(thinking: str, phase: str, elapsed: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"thinking": thinking, "phase": phase, "elapsed_seconds": elapsed, "percent": 1.0} | more


@pytest.mark.parametrize(
    ("thinking", "shown"),
    [
        ("Generating analysis... (1 tokens, 0.0 tps)", "Generating analysis... (1 token)"),
        ("Generating analysis... (2 tokens, 58.2 tps)", "Generating analysis... (2 tokens)"),
        ("Generating analysis... (9 tokens, 58.2 tps)", "Generating analysis... (9 tokens)"),
        (
            "Generating analysis... (10 tokens, 58.2 tps)",
            "Generating analysis... (10 tokens, 58.2 tps)",
        ),
        ("Waiting in queue (position 3)", "Waiting in queue (position 3)"),
        ("evil\x1b[31m\nline", "evil[31m line"),
    ],
)
def test_no_speed_of_a_few_tokens(thinking: str, shown: str) -> None:
    assert describe_step({"thinking": thinking}) == shown


def test_a_phase_that_is_over_shows_the_figures_that_it_ended_with() -> None:
    prefill = update("Looking at the photo... (prompt 0/123 tokens)", "prefill", 2.0)
    generating = update("Generating analysis... (4 tokens, 9.0 tps)", "generating", 5.0, tokens=4)
    final = update("Writing the report...", "finalizing", 9.0, tokens=230, tokens_per_second=66.71)
    loading = update("Loading model... (0 s)", "loading", 2.0)
    assert describe_past(prefill, generating, 2.0).endswith("(prompt 123/123 tokens)")
    assert describe_past(generating, final, 5.0).endswith("(230 tokens, 66.7 tps)")
    assert describe_past(loading, prefill | {"elapsed_seconds": 8.0}, 2.0).endswith("(6 s)")
    assert describe_past(prefill, None, 2.0).endswith("(prompt 0/123 tokens)")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "a few seconds left"),
        (42.0, "about 40 s left"),
        (200.0, "about 3 min left"),
        (9000.0, "about 2.5 h left"),
    ],
)
def test_the_time_that_is_left_in_words(seconds: float | None, words: str) -> None:
    assert describe_left({"eta_seconds": seconds}) == words


def test_a_line_names_the_advisor_and_is_never_wrapped() -> None:
    written = io.StringIO()
    console = Console(file=written, width=40)
    with open_display(console, ["Ansel Adams", "Georgia O'Keeffe"]) as display:
        display.show("thinking_update", update("Measuring the photo... (0 s)", "measuring"))
        display.show("status_update", {"job_data": {"current_advisor": 2}})
        long = update("Looking at the photo... (prompt 1/2 tokens)", "prefill", eta_seconds=42.0)
        display.show("thinking_update", long)
    first, second = written.getvalue().splitlines()
    assert first.endswith("Measuring the photo... (0 s)")
    assert "Georgia O'Keeffe (2 of 2): Looking at the photo" in second
    assert second.endswith("about 40 s left")


def test_of_an_unknown_time_there_is_a_line_all_the_same() -> None:
    assert describe_line({"thinking": "Waiting in queue (position 3)"}).split() == [
        *("%", "Waiting", "in", "queue", "(position", "3)")
    ]


def test_what_was_stopped_is_not_ticked_off() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True)
    with pytest.raises(KeyboardInterrupt), open_display(console, ["Ansel Adams"]) as display:
        assert isinstance(display, LiveDisplay)
        display.show("thinking_update", update("Loading model... (0 s)", "loading"))
        display.show("thinking_update", update("Looking at the photo... (1 s)", "prefill", 3.0))
        raise KeyboardInterrupt
    text = written.getvalue()
    assert "✓ \x1b[0mAnsel Adams: Loading model... (3 s)" in text
    assert "· \x1b[0mAnsel Adams: Looking at the photo" in text


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("has_failed", [True, False])
def test_a_finished_job_says_done(is_terminal: bool, has_failed: bool) -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=is_terminal)
    with open_display(console, ["Ansel Adams"]) as display:
        display.show("thinking_update", update("Writing the report...", "finalizing", 9.0))
        if has_failed:
            display.show("error", {"error": {"code": "storage", "message": "The disk is full."}})
    said = written.getvalue()
    assert ("Ansel Adams: Done" in said) is not has_failed
    assert ("100 %" in said) is not (is_terminal or has_failed)


def test_a_phase_that_failed_is_not_ticked_off() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True)
    with open_display(console, ["Ansel Adams"]) as display:
        display.show("thinking_update", update("Looking at the photo... (1 s)", "prefill", 3.0))
        display.show("error", {"error": {"code": "engine_failed", "message": "It broke."}})
    assert "✓" not in written.getvalue()


def test_the_first_of_two_does_not_end_at_100_percent() -> None:
    written = io.StringIO()
    with open_display(
        Console(file=written, width=100), ["Ansel Adams", "Edward Weston"], 1
    ) as display:
        half = update("Writing the report...", "finalizing", 9.0) | {"percent": 50.0}
        display.show("thinking_update", half)
    assert written.getvalue().splitlines()[-1].endswith("50 %  Ansel Adams (1 of 2): Done")


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_a_report_keeps_its_words_whole_on_every_width(width: int) -> None:
    written = io.StringIO()
    report = demo_report("The standing-stones", advisor="ansel")
    print_report(Console(file=written, width=width), report)
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for dimension in report.dimensions:
        assert any(show_name(dimension.name) in line for line in lines)
    longest = max(len(line.strip()) for line in lines if "standing-stones" in line)
    assert longest > width / 3
