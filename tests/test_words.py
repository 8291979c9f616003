"""Words that others wrote, at every exit: terminal, log, HTTP."""

import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from mondrian.client import Client
from mondrian.database.postgres import normalize_url
from mondrian.errors import EngineFailed, MondrianError, SettingsError, list_errors, printable
from mondrian.server.log_format import PlainFormatter
from mondrian.settings import Settings
from support.processes import run
from support.servers import running
from support.uploads import jpeg

HOSTILE = "boom \x1b]0;pwned\x07\x1b[2J\u202etxt.exe\u2066 \x9b2J\nmondrian: done\r\u2028x\ud800"
COMMANDS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800]")


@pytest.mark.parametrize("error", list_errors())
def test_every_error_is_one_line_of_plain_words(error: type[MondrianError]) -> None:
    message = error(HOSTILE).message
    assert not COMMANDS.search(message)
    assert "\n" not in message
    assert message.startswith("boom ]0;pwned[2Jtxt.exe ")
    assert len(error("x" * 10**6).message) == 4000


def test_letters_of_all_languages_stay() -> None:
    text = "Größe, 写真, фото, صورة, é, “quotes” – 📷"
    assert printable(text) == text


@pytest.mark.slow
def test_an_engines_words_reach_the_terminal_as_words(tmp_path: Path) -> None:
    photo, recording = tmp_path / "p.jpg", tmp_path / "r.jsonl"
    photo.write_bytes(jpeg())
    recording.write_text(
        '{"error":"boom \\u001b]0;pwned\\u0007\\u001b[2J\\u202e\\nmondrian: done"}\n'
    )
    done = run("critique", photo, "--engine", f"replay:{recording}")
    assert done.returncode == 70
    assert "boom ]0;pwned[2J" in done.stderr
    assert not COMMANDS.search(done.stderr)
    assert not re.search("^mondrian: done", done.stderr, re.MULTILINE)


def record(message: str, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("mondrian", logging.ERROR, "x.py", 1, message, None, **more)


def test_a_log_line_is_a_line() -> None:
    formatter = PlainFormatter("%(levelname)s %(name)s: %(message)s")
    line = formatter.format(record(HOSTILE, exc_info=None))
    assert line.startswith("ERROR mondrian: boom ]0;pwned")
    assert not COMMANDS.search(line)
    assert "\n" not in line


def test_a_traceback_in_the_log_looks_like_nothing_else() -> None:
    formatter = PlainFormatter("%(levelname)s %(name)s: %(message)s")
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError as exc:
        text = formatter.format(record("failed", exc_info=(type(exc), exc, exc.__traceback__)))
    first, *lines = text.split("\n")
    assert first == "ERROR mondrian: failed"
    assert len(lines) > 3
    assert all(line.startswith("  ") for line in lines)
    assert not COMMANDS.search(text)


def test_what_a_server_says_is_plain_in_the_client() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status = 502 if scope["path"].endswith("bad") else 200
        text = HOSTILE[:-1]  # JSON has no lone surrogates
        told = {"job_id": text, "jobs": [{"a": text}], "code": "engine_failed", "error": text}
        body = httpx.Response(200, json=told).content
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with running(app) as url, Client(url) as client:
        said = client.status("x")
        assert not COMMANDS.search(said["job_id"] + client.jobs()[0]["a"])
        with pytest.raises(EngineFailed) as caught:
            client.status("bad")
    assert not COMMANDS.search(caught.value.message)


@pytest.mark.parametrize(
    "url",
    ["postgres//u:s3cret@h/db", "mysql://u:s3cret@h/db", "postgresql://u:s3cret x@h/db",
     "postgresql://u:s3cret%zz@h/db", "host=h password='s3cret", "postgresql://u:s3cret@h:port/db?x=1",
     "postgresql://h/db?password=s3cret&nonsense=1"],
)  # fmt: skip
def test_a_database_url_with_a_mistake_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="postgresql://user:password@host") as caught:
        normalize_url(url)
    shown: BaseException | None = caught.value
    while shown:
        assert "s3cret" not in str(shown)
        shown = shown.__cause__


@pytest.mark.parametrize("name", ["key", "admin_key", "database"])
def test_a_secret_setting_is_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(**{name: ["s3cret"]})
    assert "s3cret" not in caught.value.message
