"""The service leaves within seconds of a signal, whatever a thread of it does."""

import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest

from mondrian.client import Client
from support.processes import LEAVE_SECONDS, processes_of, started
from support.working import jpeg, recording, wait_for

SLOW = {"after": 600, "finish": "stop"}


@pytest.mark.slow
def test_a_thread_that_is_stuck_is_not_waited_for(tmp_path: Path) -> None:
    url = recording(tmp_path, {"phase": "prefill"}, SLOW)
    options = ("serve", "--port", 0, "--home", tmp_path, "--engine", url)
    with started(*options) as (process, address):
        with Client(address) as client:
            job = client.submit(jpeg())["job_id"]
        wait_for(lambda: _state(address, job)["step_phase"] == "advisor_preparation")
        reading = _stick(tmp_path, address, job)
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            assert process.wait(LEAVE_SECONDS) == 0
        finally:
            process.kill()
        reading.join(LEAVE_SECONDS)
    assert psutil.wait_procs(children, 5)[1] == []
    assert processes_of(tmp_path) == []
    (tmp_path / "photos" / f"{job}.jpg").unlink()
    with started(*options) as (_, address):
        state = _state(address, job)
        assert state["attempt"] == 2  # it was handed back


def _state(address: str, job: str) -> dict[str, object]:
    state: dict[str, object] = httpx.get(f"{address}/status/{job}").json()
    return state


def _stick(home: Path, address: str, job: str) -> Thread:
    """Let a thread of the server open a file that is never written to."""
    photo = home / "photos" / f"{job}.jpg"
    photo.unlink()
    os.mkfifo(photo)

    def read() -> None:
        with suppress(httpx.HTTPError):
            httpx.get(f"{address}/photo/{job}.jpg", timeout=600)

    reading = Thread(target=read, daemon=True)
    reading.start()
    time.sleep(1)
    return reading
