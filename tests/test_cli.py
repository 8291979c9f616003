"""The command line, as a person runs it: in processes, on real files."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mondrian.answers import DIMENSIONS
from mondrian.engines.replay import record

MONDRIAN = Path(sys.executable).parent / "mondrian"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MONDRIAN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "120", **environment},
    )


@pytest.fixture(scope="module")
def coffee() -> Path:
    import skimage

    return Path(skimage.__file__).parent / "data" / "coffee.png"


def recording(
    folder: Path, *lines: dict[str, Any], comment: str = "Seen.", pause: float = 0.005
) -> str:
    path = folder / "a recording.jsonl"
    dimension = {"score": 6, "comment": comment, "recommendation": "Go on."}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    answer = json.dumps({"image_description": "A photo.", "dimensions": dimensions})
    pieces = [answer[n : n + 8] for n in range(0, len(answer), 8)]
    said = [{"after": pause, "text": piece, "tokens": 2} for piece in pieces]
    record(path, [*lines, *said, {"finish": "stop"}])
    return f"replay:{path}"


def test_a_critique_on_the_embedded_model(coffee: Path, home: Path, tmp_path: Path) -> None:
    html, pdf = tmp_path / "a b.html", tmp_path / "c.pdf"
    done = run("critique", coffee, "--home", home, "--html", html, "--pdf", pdf, "--interval", 1)
    assert done.returncode == 0, done.stderr
    for name in DIMENSIONS:
        assert name in done.stdout
    assert "Top three" in done.stdout
    assert "━" in done.stdout
    assert re.search(r"Generating analysis\.\.\. \(\d+ tokens, [\d.]+ tps\)", done.stderr)
    assert "Generating" not in done.stdout
    assert html.as_uri() in done.stderr
    assert 'class="advisor-section"' in html.read_text()
    assert pdf.read_bytes().startswith(b"%PDF")


def test_json_prints_events_one_a_line(coffee: Path, tmp_path: Path) -> None:
    silence = {"after": 0.6, "phase": "prefill"}
    engine = recording(tmp_path, {"phase": "prefill"}, silence, pause=0.02)
    done = run("critique", coffee, "--engine", engine, "--json", "--interval", "0.2")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    types = [event["type"] for event in events]
    assert types[-2:] == ["analysis_complete", "done"]
    known = {"thinking_update", "token", "report_partial", "analysis_complete", "done"}
    assert set(types) == known
    assert types.count("thinking_update") >= 4
    assert len({event["job_id"] for event in events}) == 1
    text = "".join(event["text"] for event in events if event["type"] == "token")
    assert len(json.loads(text)["dimensions"]) == 8
    assert events[-2]["report"]["advisor"] == "ansel"
    assert events[-1]["status"] == "done"


def test_json_of_a_failure_ends_with_error_and_done(coffee: Path, tmp_path: Path) -> None:
    engine = recording(tmp_path, {"error": "out of memory"})
    done = run("critique", coffee, "--engine", engine, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events[-2:]] == ["error", "done"]
    assert events[-2]["error"]["code"] == "engine_failed"
    assert events[-1]["status"] == "error"
    assert done.returncode == 70


def test_an_engine_that_hangs_is_not_waited_for(coffee: Path, tmp_path: Path) -> None:
    engine = recording(tmp_path, {"phase": "prefill", "done": 1, "total": 9}, {"hang": True})
    done = run("critique", coffee, "--engine", engine, "--json", MONDRIAN_STALL="1")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert "no progress" in events[-2]["error"]["message"]
    assert events[-1]["status"] == "error"
    assert done.returncode == 70


def test_a_photo_that_is_not_there_ends_the_events_too(tmp_path: Path) -> None:
    done = run("critique", tmp_path / "no-such.jpg", "--json", MONDRIAN_HOME=str(tmp_path))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events[-2:]] == ["error", "done"]
    assert done.returncode == 65


def test_several_advisors_in_turn(coffee: Path, tmp_path: Path) -> None:
    done = run("critique", coffee, "--engine", recording(tmp_path), "--advisor", "ansel,okeefe")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Ansel Adams") < done.stdout.index("Georgia O'Keeffe")
    percents = [int(each) for each in re.findall(r" s +(\d+) %", done.stderr)]
    assert percents == sorted(percents)
    assert any(45 < each < 55 for each in percents)  # the first one's end


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
def test_a_file_that_cannot_be_written_costs_no_report(coffee: Path, tmp_path: Path) -> None:
    options = ("--engine", recording(tmp_path), "--html", "/dev/full")
    shown = run("critique", coffee, *options)
    assert "Top three" in shown.stdout
    assert "cannot be written" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert shown.returncode == 74
    told = run("critique", coffee, *options, "--json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    types = [event["type"] for event in events if event["type"] != "thinking_update"]
    assert types[-3:] == ["analysis_complete", "error", "done"]


@pytest.mark.parametrize(
    ("phase", "doing"), [("prefill", "reading the prompt"), ("generating", "generating")]
)
def test_ctrl_c_stops_within_a_second_and_says_what_was_done(
    coffee: Path, tmp_path: Path, phase: str, doing: str
) -> None:
    engine = recording(tmp_path, {"phase": phase}, {"hang": True})
    command: list[str | Path] = [
        MONDRIAN,
        "critique",
        coffee,
        "--engine",
        engine,
        "--interval",
        "0.1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = "Looking" if phase == "prefill" else "Generating"
        while said not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        said = process.stderr.read()
        assert process.wait(10) == 130
        assert time.monotonic() - started < 3  # a second, and a noisy machine
    assert f"Stopped while {doing}" in said
    assert "Traceback" not in said


def test_a_terminal_gets_a_live_line_per_phase(coffee: Path, tmp_path: Path) -> None:
    engine = recording(tmp_path, {"phase": "loading"}, {"after": 0.3, "phase": "prefill"})
    ours, theirs = pty.openpty()
    command: list[str | Path] = [MONDRIAN, "critique", coffee, "--engine", engine]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        os.close(theirs)
        seen = read_terminal(ours)
        assert process.stdout is not None
        assert "Composition" in process.stdout.read()
    assert process.returncode == 0
    for words in ("✓ Measuring the photo", "✓ Loading model", "✓ Generating analysis"):
        assert words in seen


def read_terminal(descriptor: int) -> str:
    """All that is written until the other side closes, without the colours."""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # how Linux says that nobody is there any more
        pass
    os.close(descriptor)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode())


def test_hostile_text_is_only_text(coffee: Path, tmp_path: Path) -> None:
    html = tmp_path / "x.html"
    engine = recording(tmp_path, comment="[red]x[/] <script>alert(1)</script> \x1b[31m")
    done = run("critique", coffee, "--engine", engine, "--html", html)
    assert "[red]x[/]" in done.stdout
    assert "\x1b[31m" not in done.stdout
    assert "<script>" not in html.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["critique", "no-such.jpg"], 65, "no-such.jpg"),
        (["critique", "{coffee}", "--advisor", "nobody"], 64, "There are: ansel, "),
        (["critique", "{coffee}", "--engine", "gpt:4"], 64, "not understood"),
        (["critique", "{coffee}", "--engine", "auto"], 69, "mondrian pull smollm2-135m"),
        (["critique", "{coffee}", "--interval", "90"], 78, "less than or equal to 60"),
        (["critique", "{coffee}", "--html", "/no/such/folder/x.html"], 78, "folder"),
        (["pull", "gpt-9"], 69, "Choose qwen3-vl-4b, "),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    coffee: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    filled = [argument.format(coffee=coffee) for argument in arguments]
    done = run(*filled, MONDRIAN_HOME=str(tmp_path))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_lists(home: Path) -> None:
    models = run("models", "--home", home)
    assert "smollm2-135m" in models.stdout
    advisors = run("advisors", "--home", home)
    assert advisors.stdout.count("–") >= 9  # the years of nine people
    assert len(json.loads(run("advisors", "--json").stdout)) >= 9


def test_help_names_the_environment() -> None:
    text = run("critique", "--help").stdout
    for name in ("ADVISOR", "ENGINE", "UPDATE_INTERVAL", "HOME"):
        assert f"MONDRIAN_{name}" in text
