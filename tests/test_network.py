"""The server's address for other devices, and its display in the terminal."""

import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from mondrian.server.network import find_network_url
from mondrian.settings import Settings
from support.processes import MONDRIAN


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "127.0.0.1"}, None),
        ({"host": "::1"}, None),
        ({"host": "localhost"}, None),
        ({"host": "192.168.7.8"}, "http://192.168.7.8:5005"),
        ({"host": "fd00::8"}, "http://[fd00::8]:5005"),
        ({"host": "studio.local"}, "http://studio.local:5005"),
        ({"host": "127.0.0.1", "base_url": "https://a.example/m/"}, "https://a.example/m"),
    ],
)
def test_other_devices_are_told_where(settings: dict[str, str], url: str | None) -> None:
    assert find_network_url(Settings(**settings), 5005) == url  # type: ignore[arg-type]


def test_a_terminal_shows_a_code_and_a_file_does_not(database: str, tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    recording.write_text('{"finish":"stop"}\n')
    command = [MONDRIAN, "serve", "--host", "0.0.0.0", "--port", "0", "--key", "k" * 32,
               "--base-url", "https://photos.example", "--database", database,
               "--engine", f"replay:{recording}", "--home", tmp_path]  # fmt: skip
    shown = _read_terminal(list(map(str, command)), "The code logs one browser in")
    assert "On a phone: https://photos.example" in shown
    assert "\u2580" in shown or "\u2588" in shown  # blocks, of which the code is made
    assert "login?code=" not in shown


def _read_terminal(command: list[str], until: str) -> str:
    """What ``command`` says to a terminal until these words come."""
    ours, theirs = pty.openpty()
    shown, deadline = "", time.monotonic() + 60
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        try:
            while until not in shown:
                assert time.monotonic() < deadline, shown
                if select.select([ours], [], [], 0.5)[0]:
                    shown += os.read(ours, 65536).decode()
        finally:
            process.terminate()
    os.close(ours)
    os.close(theirs)
    return shown
