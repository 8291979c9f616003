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

from mondrian.answers import DIMENSIONS, show_name
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


@pytest.mark.slow
def test_a_critique_on_the_embedded_model(coffee: Path, home: Path, tmp_path: Path) -> None:
    html, pdf = tmp_path / "a b.html", tmp_path / "c.pdf"
    done = run("critique", coffee, "--home", home, "--html", html, "--pdf", pdf, "--interval", 1)
    assert done.returncode == 0, done.stderr
    for name in map(show_name, DIMENSIONS):
        assert name in done.stdout
    assert "Top three" in done.stdout
    assert "━" in done.stdout
    assert re.search(r"Generating analysis\.\.\. \(\d+ tokens, [\d.]+ tps\)", done.stderr)
    assert "Generating" not in done.stdout
    assert html.as_uri() in done.stderr
    assert 'class="advisor-section"' in html.read_text()
    assert pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_several_advisors_in_turn(coffee: Path, tmp_path: Path) -> None:
    done = run("critique", coffee, "--engine", recording(tmp_path), "--advisor", "ansel,okeefe")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Ansel Adams") < done.stdout.index("Georgia O'Keeffe")
    percents = [int(each) for each in re.findall(r" s +(\d+) %", done.stderr)]
    assert percents == sorted(percents)
    assert any(45 < each < 55 for each in percents)  # the first one's end


@pytest.mark.slow
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
        assert time.monotonic() - started < 8  # a second, and a busy machine
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
    who = "Ansel Adams: "
    for words in ("✓ Measuring", f"✓ {who}Loading", f"✓ {who}Generating", f"✓ {who}Done"):
        assert words in seen
    assert "tokens, " in seen


def read_terminal(descriptor: int, *, keep: bool = False) -> str:
    """All that is written until the other side closes, without the colours unless ``keep``."""
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # how Linux says that nobody is there any more
        pass
    os.close(descriptor)
    written = b"".join(parts).decode()
    return written if keep else re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)


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
        (["critique", "{coffee}", "no-such.jpg"], 65, "no-such.jpg"),
        (["critique", "/"], 65, "is a folder"),
        (["critique", "https://example.org/a.jpg"], 65, "curl -sL https://example.org/a.jpg |"),
        (["critique", "{coffee}", "-e", "ollama:llava"], 64, "11434/v1?model=llava"),
        (["critique", "{coffee}", "-o", "critique.odt"], 78, "names no format"),
        (["critique", "{coffee}", "{coffee}", "--pdf", "a.pdf"], 78, "is no folder"),
        (["critique", "{coffee}", "--interval", "often"], 78, "--interval (MONDRIAN_UPDATE"),
        (["jobs", "--limit", "5000"], 2, "1000"),
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
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "Measuring" not in done.stderr
    assert done.stdout == ""


def test_lists(home: Path) -> None:
    models = run("models", "--home", home)
    assert "smollm2-135m" in models.stdout
    assert "u2netp" in models.stdout
    (network,) = json.loads(run("models", "--json", "--home", home).stdout)["networks"]
    assert network["on_disk"]
    assert (network["size"], network["licence"]) == ("5 MB", "Apache-2.0")
    advisors = run("advisors", "--home", home)
    assert advisors.stdout.count("–") >= 9  # the years of nine people
    assert len(json.loads(run("advisors", "--json").stdout)) >= 9


def test_help_names_the_environment() -> None:
    text = run("critique", "--help").stdout
    for name in ("ADVISOR", "ENGINE", "UPDATE_INTERVAL", "HOME"):
        assert f"MONDRIAN_{name}" in text


def test_help_has_groups_and_examples() -> None:
    text = run("--help").stdout
    groups = ["Here, without a server", "With a server", "Run a server", "Models and this machine"]
    places = [text.index(group) for group in groups]
    assert places == sorted(places)
    assert "mondrian report 0b8f --md" in run("help", "report").stdout
    assert run("help").stdout.strip() == text.strip()
    assert run("help", "nothing").returncode == 2


def test_completion_is_there() -> None:
    # the shell is found among the processes above
    command = ["bash", "-c", f"'{MONDRIAN}' --show-completion; exit $?"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert "complete_bash" in shown.stdout
    assert "mondrian" in run("--help").stdout
    words = {"COMP_WORDS": "mondrian cri", "COMP_CWORD": "1", "_MONDRIAN_COMPLETE": "complete_bash"}
    assert run(**words).stdout.split() == ["critique"]


@pytest.mark.slow
def test_several_photos_and_files_of_each(coffee: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    (tmp_path / "pages").mkdir()
    options = ("-e", recording(tmp_path), "--html", tmp_path / "pages")
    done = run("critique", coffee, broken, coffee, *options)
    assert done.returncode == 1
    assert "broken.jpg" in done.stderr
    assert done.stdout.count("Top three") == 2
    assert [each.name for each in (tmp_path / "pages").iterdir()] == ["coffee.html"]


@pytest.mark.slow
def test_standard_input_and_the_format_of_a_file(coffee: Path, tmp_path: Path) -> None:
    engine = recording(tmp_path)
    for name, begin in [("a.md", b"# "), ("b.json", b"{"), ("c.pdf", b"%PDF"), ("d.html", b"<!")]:
        command = [
            str(MONDRIAN),
            *["critique", "-", "-q", "-e"],
            engine,
            "-o",
            str(tmp_path / name),
        ]
        done = subprocess.run(command, input=coffee.read_bytes(), capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).read_bytes().startswith(begin)
        assert done.stderr == b""


def test_colours_stay_away_if_asked_to(coffee: Path, tmp_path: Path) -> None:
    command = [str(MONDRIAN), "critique", str(coffee), "-e", recording(tmp_path)]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"}
    with subprocess.Popen(command, stderr=theirs, stdout=theirs, env=environment):
        os.close(theirs)
        seen = read_terminal(ours, keep=True)
    assert "Top three" in seen
    assert not re.search(r"\x1b\[(\d+;)*(3|4|9|10)\d", seen)


@pytest.mark.slow
def test_a_report_without_eyes_says_how_to_get_them(
    coffee: Path, home: Path, tmp_path: Path
) -> None:
    done = run("critique", coffee, "--home", home, "-q", OLLAMA_HOST="127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert "sees" in last
    assert "mondrian pull" in last or "docs/engines.md" in last
