"""The commands of the pages about folders are run as they are printed, in a home of their own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.processes import MONDRIAN, started
from support.working import jpeg, recording

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("folders", "ranking", "ratings")

pytestmark = pytest.mark.slow


def commands(page: str) -> list[str]:
    """The lines of a page's blocks of shell."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A person's home, with photos and a server."""
    folder = tmp_path_factory.mktemp("person")
    for number, name in enumerate(("2026/a.jpg", "2026/b.jpg", "inbox/c.jpg"), start=1):
        path = folder / "Pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed=number))
    options = ("--port", 0, "--no-worker", "--home", folder / "server")
    with started("serve", *options) as (_, address):
        (folder / "address").write_text(address)
        yield folder


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_they_say(page: str, home: Path) -> None:
    environment = os.environ | {
        "HOME": str(home),
        "PATH": f"{MONDRIAN.parent}:{os.environ['PATH']}",
        "MONDRIAN_HOME": str(home / ".mondrian"),
        "MONDRIAN_ENGINE": recording(home, pause=0),
        "MONDRIAN_SERVER": (home / "address").read_text(),
    }
    assert commands(page)
    for command in commands(page):
        if command.startswith("exiftool") and not shutil.which("exiftool"):
            continue
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=home,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout
            said = ""
            for line in process.stdout:
                said += line
                if "watch-folder" in command and re.match("(Written|XMP): ", line):
                    process.send_signal(signal.SIGINT)
        expected = 130 if "watch-folder" in command else 0
        assert process.returncode == expected, f"{command}\n{said}"
