"""Photos are read for requests as long as their clients wait, whatever is in them."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from mondrian.api.routes import reports
from mondrian.api.uploads import receive
from mondrian.database.postgres import Pool
from mondrian.jobs.store import Store
from mondrian.photos import readers
from mondrian.photos.readers import PhotoReaders
from support import runaway
from support.servers import make_app, running
from support.uploads import assert_problem, jpeg
from support.working import wait_for


@pytest.fixture
def client(
    pool: Pool, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """A server that reads one photo at once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    one = PhotoReaders(1, prepare=runaway.prepare_nothing)
    app = make_app(Store(pool), database, tmp_path, readers=one)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client
    one.close()


def upload(client: httpx.Client) -> httpx.Response:
    return client.post("/upload", files={"image": ("p.jpg", jpeg())})


@pytest.fixture
def job(client: httpx.Client) -> str:
    """A job whose photo is stored."""
    job_id: str = upload(client).json()["job_id"]
    return job_id


@pytest.mark.parametrize("what", ["upload", "photo", "report"])
def test_a_client_that_leaves_ends_the_process(
    client: httpx.Client, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    marker = tmp_path / "begun"
    with monkeypatch.context() as changed:
        for module, name in ((receive, "prepare_photo"), (reports, "make_thumbnail")):
            changed.setattr(module, name, partial(runaway.begin, marker=marker))
        with pytest.raises(httpx.ReadTimeout):
            if what == "upload":
                client.post("/upload", files={"image": ("p.jpg", jpeg())}, timeout=5)
            elif what == "photo":
                client.get(f"/photo/{job}.jpg", timeout=5)
            else:
                client.get(f"/report/{job}?format=pdf", timeout=5)
    pid = int(marker.read_text())
    wait_for(lambda: not psutil.pid_exists(pid))
    assert upload(client).status_code == 201


def test_others_are_served_meanwhile(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "prepare_photo", partial(runaway.begin, marker=tmp_path / "begun"))
    with pytest.raises(httpx.ReadTimeout):
        client.post("/upload", files={"image": ("p.jpg", jpeg())}, timeout=1)
    assert client.get("/health").status_code == 200


def test_what_takes_too_long_is_refused_with_a_sentence(
    client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(readers, "SECONDS", 0.5)
        changed.setattr(receive, "prepare_photo", partial(runaway.begin, marker=tmp_path / "begun"))
        refused = upload(client)
    assert_problem(refused, 400, "photo_too_complex")
    assert "Export it again" in refused.json()["error"]
    assert client.get("/jobs").json()["count"] == 0
    assert upload(client).status_code == 201
