"""The service as it is run: processes, signals, and the commands that talk to it."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from mondrian.cli.check import Cadence
from mondrian.cli.main import app
from mondrian.client import Client, StreamEvent
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.processes import LEAVE_SECONDS, MONDRIAN, processes_of, run, started
from support.servers import make_app, running
from support.working import add_job, jpeg, recording, wait_for

SLOW = {"after": 60, "phase": "prefill"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    """The URL of a server whose engine is silent for a second and a half, then answers."""
    url = recording(home, {"phase": "prefill"}, {"after": 1.5, "phase": "prefill"}, pause=0.01)
    options = ("--home", home, "--engine", url, "--interval", 0.5)
    with started("serve", "--port", 0, *options) as (_, address):
        yield address


def test_check_of_a_server_that_keeps_its_word(server: str) -> None:
    done = run("check", "--server", server)
    assert done.returncode == 0, done.stderr
    *updates, summary = done.stdout.splitlines()
    assert re.fullmatch(r" *[\d.]+ s +\d+ %  [A-Z][a-z ]+\.\.\. .*", updates[0])
    assert any(re.search(r"Generating analysis\.\.\. \(\d+ tokens, ", each) for each in updates)
    assert summary.startswith(f"{len(updates)} updates in ")
    assert re.search(r"interval of 0\.5 s; gap .*; 190 tokens at .* tokens/s; done\.$", summary)


def test_check_stops_after_so_many_updates_and_tells_its_figures(server: str) -> None:
    done = run("check", "--count", 2, "--json", "--server", server)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["updates"], told["status"], told["complaints"]) == (2, "cancelled", [])
    assert 0 <= told["mean_gap"] <= told["longest_gap"] <= told["interval"] + 0.5


@pytest.mark.slow
def test_a_second_port_answers_as_the_old_advisor_service_did(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = recording(home)
    with (
        started("serve", "--port", 0, "--also", port, "--home", home, "--engine", url),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        health = client.get("/health").json()
        assert health["status"] == "UP"
        assert health["model"]
        assert health["fine_tuned"] is False
        assert "device" in health
        answer = client.post("/analyze", files={"image": ("p.jpg", jpeg())}).json()
        assert answer["status"] == "done"
        assert client.get("/model-status").json()["status"] == "ready"


def test_a_job_from_the_terminal(server: str, tmp_path: Path) -> None:
    photo = tmp_path / "a photo.jpg"
    photo.write_bytes(jpeg())
    submitted = run("submit", photo, photo, "--advisor", "okeefe", "--server", server)
    first, other = submitted.stdout.split()
    assert first != other
    second = pending(server)
    assert run("cancel", second, "--server", server).stdout == "Cancelled.\n"
    watched = run("watch", first, "--server", server)
    assert watched.returncode == 0, watched.stderr
    assert "Georgia O'Keeffe" in watched.stdout
    assert "already: done" in run("cancel", first, "--server", server).stdout
    listed = json.loads(run("jobs", "--json", "--server", server).stdout)
    states = {job["job_id"]: job["status"] for job in listed}
    assert (states[first], states[second]) == ("done", "cancelled")
    late = run("watch", second, "--server", server)
    assert (late.returncode, late.stdout) == (69, "")
    assert "cancelled" in late.stderr


def pending(server: str) -> str:
    """A job that waits to be started."""
    form = {"auto_analyze": "false"}
    answer = httpx.post(f"{server}/upload", files={"image": ("p.jpg", jpeg())}, data=form)
    return str(answer.raise_for_status().json()["job_id"])


def test_watch_as_json_prints_the_log(server: str, tmp_path: Path) -> None:
    job = pending(server)
    command = [str(MONDRIAN), "watch", job, "--json", "--server", server]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        events = [json.loads(watching.stdout.readline())]
        httpx.post(f"{server}/jobs/{job}/start").raise_for_status()
        events += [json.loads(line) for line in watching.stdout]
    assert events[0]["type"] == "connected"
    assert events[-1]["status"] == "done"
    assert {"token", "thinking_update", "analysis_complete"} < {event["type"] for event in events}


@contextmanager
def interrupted(server: str, job: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``watch`` at a terminal, at which Ctrl-C was pressed and which asks; and where to answer."""
    ours, theirs = pty.openpty()
    command = [str(MONDRIAN), "watch", job, "--server", server]
    with subprocess.Popen(
        command, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as watching:
        assert watching.stderr
        assert b"Waiting to be started" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        said = b""
        while b"Cancel the job too?" not in said:
            said += watching.stderr.read(1) or pytest.fail(said.decode())
        yield watching, ours
    os.close(theirs)
    os.close(ours)


@pytest.mark.parametrize(
    ("reply", "said", "status"),
    [(b"y\n", b"Cancelled.", "cancelled"), (b"n\n", b"The job goes on.", "pending")],
)
def test_ctrl_c_asks_whether_to_cancel(server: str, reply: bytes, said: bytes, status: str) -> None:
    job = pending(server)
    with Client(server) as client:
        with interrupted(server, job) as (watching, terminal):
            os.write(terminal, reply)
            assert watching.stderr
            assert said in watching.stderr.read()
            assert watching.wait(LEAVE_SECONDS) == 130
        assert client.status(job)["status"] == status
        client.cancel(job)


def test_who_cancels_a_job_that_has_ended_is_told_so(server: str) -> None:
    job = pending(server)
    with Client(server) as client, interrupted(server, job) as (watching, terminal):
        httpx.post(f"{server}/jobs/{job}/start").raise_for_status()
        wait_for(lambda: client.status(job)["status"] == "done")
        os.write(terminal, b"y\n")
        assert watching.stderr
        assert b"The job had ended already: done." in watching.stderr.read()


def test_ctrl_c_without_a_terminal_cancels_nothing(server: str) -> None:
    job = pending(server)
    command = [str(MONDRIAN), "watch", job, "--server", server]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stderr=pipe, stdout=pipe) as watching,
        Client(server) as client,
    ):
        assert watching.stderr
        watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LEAVE_SECONDS) == 130
        assert f"mondrian watch {job}".encode() in watching.stderr.read()
        assert client.cancel(job)["status"] == "cancelled"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watch_of_a_job_that_failed_fails(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path, options: list[str]
) -> None:
    failed, cancelled = add_job(store, photos), add_job(store, photos)
    claim = store.claim("worker", 60.0)
    assert claim
    store.finish(claim, error={"code": "engine_failed", "message": "It broke.", "retryable": True})
    store.cancel(cancelled.id)
    with running(make_app(store, database, tmp_path)) as url:
        for job, said in ((failed, "It broke."), (cancelled, "The job was cancelled")):
            watched = run("watch", job.id, "--server", url, *options)
            assert watched.returncode > 0
            assert said in watched.stderr
            assert "Traceback" not in watched.stderr


def test_a_job_is_cancelled_without_a_server(
    store: Store, photos: PhotoStore, database: str
) -> None:
    job = add_job(store, photos)
    assert run("cancel", job.id, "--database", database).stdout == "Cancelled.\n"
    assert store.read(job.id).status == "cancelled"
    assert run("cancel", job.id, "--database", database).stdout == "Cancelled.\n"
    unknown = run("cancel", "00000000-0000-4000-8000-000000000000", "--database", database)
    assert (unknown.returncode > 0, "Traceback" in unknown.stderr) == (True, False)


@pytest.mark.slow
def test_a_stop_ends_a_thousand_streams_and_leaves_nothing(tmp_path: Path) -> None:
    url = recording(tmp_path, {"phase": "prefill"}, SLOW)
    options = ("--home", tmp_path, "--engine", url)
    with started("serve", "--port", 0, *options) as (process, address):
        with Client(address) as client:
            job = client.submit(jpeg())["job_id"]
        endings = asyncio.run(watch_until_the_end(address, job, 1000, process))
        assert process.wait(LEAVE_SECONDS) == 0
    assert len(set(endings)) > 100  # each is told to come back at another time
    assert all(1000 <= ending <= 2000 for ending in endings)
    assert processes_of(tmp_path) == []


async def watch_until_the_end(
    address: str, job: str, clients: int, process: subprocess.Popen[str]
) -> list[int]:
    """Open streams, stop the server, and return the last ``retry`` of each."""
    port = int(address.rpartition(":")[2])
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    for _, writer in lines:
        writer.write(f"GET /stream/{job} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    for reader, _ in lines:
        await reader.readuntil(b"event: status_update")
    process.send_signal(signal.SIGTERM)
    rests = await asyncio.gather(*(reader.read() for reader, _ in lines))
    for _, writer in lines:
        writer.close()
    return [int(re.findall(rb"retry: (\d+)", rest)[-1]) for rest in rests]


def test_what_cannot_be_served_is_refused(server: str, tmp_path: Path) -> None:
    url = recording(tmp_path)
    common = ("serve", "--home", tmp_path)
    port = server.rpartition(":")[2]
    for arguments, code, words in [
        (("--host", "0.0.0.0", "--engine", url), 78, "--key"),
        (("--port", port, "--engine", url), 78, f"port {port}"),
        (("--engine", "auto"), 69, "mondrian pull smollm2-135m"),
    ]:
        refused = run(*common, *arguments)
        assert (refused.returncode, refused.stdout) == (code, ""), arguments
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
    assert processes_of(tmp_path) == []


def test_nobody_there_is_a_sentence(tmp_path: Path) -> None:
    refused = run("jobs", "--server", "http://127.0.0.1:9")
    assert refused.returncode == 69
    assert "mondrian serve" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_every_option_of_a_setting_has_its_variable() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    counted = 0
    for command in commands.values():
        settings = getattr(command, "settings", {})
        for option in command.get_params(typer.Context(command)):
            if option.name in settings and not option.multiple:
                assert option.envvar == f"MONDRIAN_{settings[option.name].upper()}"
                counted += 1
    assert counted > 50


def test_silence_is_noticed() -> None:
    times = iter([0.0, 1.0, 6.6, 7.0])
    cadence = Cadence(clock=lambda: next(times))
    told: list[tuple[str, dict[str, Any]]] = [
        ("connected", {}),
        ("thinking_update", {"thinking": "x"}),
        ("token", {"text": "x"}),
        ("thinking_update", {"thinking": "y"}),
        ("done", {"status": "done"}),
    ]
    for kind, fields in told:
        cadence.record(StreamEvent(type=kind, fields=fields))
    assert (cadence.updates, round(cadence.longest_gap, 1)) == (2, 5.6)
    assert len(cadence.find_complaints(5.0)) == 1
    assert cadence.find_complaints(5.2) == []


@pytest.fixture(scope="module")
def embedded(request: pytest.FixtureRequest) -> str:
    """The embedded model, by its path."""
    from mondrian.models import find_model, pull

    folder = request.config.cache.mkdir("home")
    pull("smollm2-135m", folder, lambda step, done, total: None)
    return f"llamacpp:{find_model('smollm2-135m', folder)}"


@pytest.mark.slow
def test_check_on_the_embedded_model(embedded: str, tmp_path: Path) -> None:
    with started("serve", "--port", 0, "--engine", embedded, "--home", tmp_path) as (_, address):
        done = run("check", "--server", address, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"tokens at [\d.]+ tokens/s; done", done.stdout)
