"""A server's jobs from the terminal: found by the first letters of their ids, read, deleted."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from support.processes import MONDRIAN, run, started
from support.working import jpeg, recording


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server with an engine that answers at once."""
    with TemporaryDirectory(prefix="mondrian-home-") as home:
        engine = recording(Path(home), pause=0.001)
        options = ("--home", home, "--engine", engine, "--interval", 0.5)
        with started("serve", "--port", 0, *options) as (_, address):
            yield address


@pytest.fixture(scope="module")
def done(server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a job that is done."""
    photo = tmp_path_factory.mktemp("photos") / "harbour.jpg"
    photo.write_bytes(jpeg())
    [job] = run("submit", photo, "-a", "ansel,okeefe", "--server", server).stdout.split()
    watched = run("watch", job[:8], "--server", server)
    assert watched.returncode == 0, watched.stderr
    return job


def pending(server: str, advisor: str = "ansel") -> str:
    """The id of a job that waits to be started."""
    form = {"auto_analyze": "false", "advisor": advisor}
    answer = httpx.post(
        f"{server}/upload", files={"image": ("p.jpg", jpeg())}, data=form, timeout=60
    )
    return str(answer.raise_for_status().json()["job_id"])


def complete(words: str, server: str) -> list[str]:
    """What a shell is told for the last of three words."""
    done = run(COMP_WORDS=words, COMP_CWORD="2", _MONDRIAN_COMPLETE="complete_bash",
               MONDRIAN_SERVER=server)  # fmt: skip
    return done.stdout.split()


@pytest.mark.slow
def test_a_shell_completes_ids(server: str, done: str) -> None:
    assert complete(f"mondrian watch {done[:6]}", server) == [done]
    assert complete(f"mondrian delete {done[:6]}", server) == [done]
    assert complete("mondrian report zzz", server) == []
    assert complete(f"mondrian watch {done[:6]}", "http://127.0.0.1:9") == []


def test_a_table_names_the_photo_as_it_was_sent(server: str, done: str) -> None:
    [line] = [line for line in run("jobs", "--server", server).stdout.splitlines() if done in line]
    assert line.split()[1] == "harbour.jpg"


def test_watching_says_whose_critique_it_is(server: str) -> None:
    job = pending(server, "ansel,okeefe")
    command = [str(MONDRIAN), "watch", job[:8], "--server", server]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr
        process.stderr.readline()  # it is watched
        httpx.post(f"{server}/jobs/{job}/start", timeout=60).raise_for_status()
        said = process.stderr.read().decode()
    assert process.returncode == 0
    assert "Ansel Adams (1 of 2): " in said
    assert "Georgia O'Keeffe (2 of 2): " in said
    assert " left" in said


def test_ids_are_never_cut(server: str, done: str) -> None:
    for columns in ("80", "40"):
        text = run("jobs", "--server", server, COLUMNS=columns).stdout
        assert done in text.split()
    ours, theirs = pty.openpty()
    command = [str(MONDRIAN), "jobs", "--server", server]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, "COLUMNS": "80"}):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass
    os.close(ours)
    assert done.encode() in shown


@pytest.mark.slow
def test_a_report_in_every_form(server: str, done: str, tmp_path: Path) -> None:
    def report(*options: object) -> str:
        shown = run("report", done[:6], *options, "--server", server)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    assert "Top three" in report()
    assert report("--md").startswith("# ")
    assert report("--json").startswith("{")
    assert report("--html").startswith("<!DOCTYPE html")
    file = tmp_path / "a.pdf"
    assert report("--pdf", file, "--html", tmp_path / "a.html") == ""
    assert file.read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a.html").is_file()
    assert report("-o", tmp_path / "a.md") == ""
    assert (tmp_path / "a.md").is_file()


def test_a_job_is_known_by_its_first_letters_or_said_to_be_unknown(server: str, done: str) -> None:
    nobody = run("watch", "zzz", "--server", server)
    assert (nobody.returncode, "begins with 'zzz'" in nobody.stderr) == (69, True)
    several = run("cancel", "", "--server", server)
    assert several.returncode == 69 or "already: done" in several.stdout  # there may be one alone
    assert "already: done" in run("cancel", done[:8], "--server", server).stdout


def test_a_finished_job_says_done(server: str, done: str) -> None:
    status = httpx.get(f"{server}/status/{done}", timeout=60).json()
    assert (status["llm_thinking"], status["current_step"]) == ("Done", "Done")


def test_what_is_not_done_has_no_report(server: str) -> None:
    job = pending(server)
    refused = run("report", job, "--server", server)
    assert refused.returncode == 69
    assert f"mondrian watch {job[:8]}" in refused.stderr
    deleted = run("delete", job[:10], "--server", server)
    assert deleted.stdout == f"Deleted {job}.\n"
    assert httpx.get(f"{server}/status/{job}", timeout=60).status_code == 404


def test_a_job_is_tried_again(server: str, done: str) -> None:
    again = run("retry", done[:8], "--server", server)
    assert again.returncode == 0, again.stderr
    [job] = again.stdout.split()
    assert job != done
    assert re.fullmatch(r"[0-9a-f-]{36}", job)
    assert httpx.get(f"{server}/status/{job}", timeout=60).json()["retry_of"] == done


def test_standard_input_is_handed_over(server: str) -> None:
    command = [str(MONDRIAN), "submit", "-", "--server", server]
    submitted = subprocess.run(command, input=jpeg(), capture_output=True, timeout=60)
    assert re.fullmatch(rb"[0-9a-f-]{36}\n", submitted.stdout), submitted.stderr


def test_watching_on_a_terminal_is_live(server: str, done: str) -> None:
    ours, theirs = pty.openpty()
    command = [str(MONDRIAN), "watch", done, "--server", server]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stdout
        assert b"Top three" in process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
