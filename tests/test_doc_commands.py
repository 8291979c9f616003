"""The commands of the pages about tasks are run as they are printed, in a home of their own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ports import find_port
from support.processes import MONDRIAN, started
from support.receiver import SECRET
from support.working import jpeg, recording

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("folders", "ranking", "ratings", "notify", "connect", "install")

# They need a release on PyPI, Docker, or minutes: `make wheel` and `make demo` do the same.
ELSEWHERE = ("uv ", "docker ", "python -m build", "mondrian pull")
# What a command prints when it is at work; then it is stopped.
AT_WORK = {
    "watch-folder": "(Written|XMP): ",
    "mondrian serve": ".*http://",
    "mondrian mcp --http": ".*http://",
}
STOPPED = {"watch-folder": 130, "mondrian serve": 0, "mondrian mcp --http": 130}

pytestmark = pytest.mark.slow


def blocks(page: str, language: str) -> list[str]:
    """The code of a page in a language."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in found]


def commands(page: str) -> list[str]:
    """The lines of a page's blocks of shell."""
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A person's home, with photos and a server."""
    folder = tmp_path_factory.mktemp("person")
    for number, name in enumerate(("2026/a.jpg", "2026/b.jpg", "inbox/c.jpg"), start=1):
        path = folder / "Pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed=number))
    (folder / "boats.jpg").write_bytes(jpeg(seed=4))
    (folder / ".mondrian").mkdir()
    (folder / "bin").mkdir()
    systemctl = folder / "bin" / "systemctl"  # services of this machine are not touched
    systemctl.write_text("#!/bin/sh\n", encoding="utf-8")
    systemctl.chmod(0o755)
    options = ("--port", 0, "--home", folder / "server", "--engine", recording(folder, pause=0))
    os.environ["MONDRIAN_WEBHOOK_SECRET"] = SECRET
    try:
        with started("serve", *options) as (_, address):
            (folder / "address").write_text(address)
            yield folder
    finally:
        del os.environ["MONDRIAN_WEBHOOK_SECRET"]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The person's variables."""
    return os.environ | {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{MONDRIAN.parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "MONDRIAN_HOME": str(home / ".mondrian"),
        "MONDRIAN_ENGINE": recording(home, pause=0),
        "MONDRIAN_SERVER": (home / "address").read_text(),
    }


def place(code: str, home: Path) -> str:
    """The same code for the test's own server and ports."""
    address = (home / "address").read_text()
    code = re.sub(r"http://(127\.0\.0\.1|studio):5005", address, code)
    return re.sub(r"--port 5006|(?<=mondrian serve)", lambda _: f" --port {find_port()}", code)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_they_say(
    page: str, home: Path, environment: dict[str, str]
) -> None:
    exports: list[str] = []
    ran = 0
    for command in commands(page):
        if command.startswith("export "):
            exports.append(command)
        elif command.startswith(ELSEWHERE) or (
            command.startswith("exiftool") and not shutil.which("exiftool")
        ):
            continue
        else:
            ran += 1
            code, said = run("\n".join([*exports, place(command, home)]), home, environment)
            expected = next((code for key, code in STOPPED.items() if key in command), 0)
            assert code == expected, f"{command}\n{said}"
    assert ran


def run(script: str, home: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run lines of shell, stop what stays when it is at work, and return its exit code and what
    it printed."""
    ready = next((words for key, words in AT_WORK.items() if key in script), None)
    with subprocess.Popen(
        ["bash", "-ec", script],
        cwd=home,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if ready and re.match(ready, line):
                os.killpg(process.pid, signal.SIGINT)
                ready = None
    return process.returncode, said


def test_the_program_of_the_page_on_openai_gets_a_critique(
    home: Path, environment: dict[str, str]
) -> None:
    [program] = blocks("connect", "python")
    done = subprocess.run(
        [sys.executable, "-c", place(program, home)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Composition" in done.stdout
