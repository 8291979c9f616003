"""Photos that come in: what is kept of them, and that what is refused leaves nothing behind."""

import asyncio
import io
import json
import re
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from PIL import Image

from mondrian.advisors import load_advisors
from mondrian.api import Limits
from mondrian.api.uploads.intake import Intake, UploadClient
from mondrian.api.uploads.options import MODES, parse_mode, parse_options
from mondrian.database.postgres import Pool, open_pool
from mondrian.errors import DatabaseUnavailable, InvalidRequest
from mondrian.jobs.job import Job, Status
from mondrian.jobs.retention import prune
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore, prepare_photo, read_photo
from mondrian.settings import Settings
from support.servers import fresh_database, make_app, running, without_database
from support.uploads import assert_problem, jpeg
from support.working import wait_for

SHORT = Limits(idle_seconds=0.3)


def huge_png() -> bytes:
    """A PNG that says it has 101×101 megapixels, in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", 10_100, 10_100, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@dataclass
class Desk:
    """A running server and its parts."""

    client: httpx.Client
    store: Store
    pool: Pool
    database: str
    photos: Path

    def send(self, content: bytes | None = None, /, name: str = "p.jpg", **fields: str) -> Any:
        photo = jpeg() if content is None else content
        return self.client.post("/upload", files={"image": (name, photo)}, data=fields)

    def jobs(self) -> list[Job]:
        return self.store.list_jobs()

    def is_empty(self) -> bool:
        return not self.jobs() and not [*self.photos.iterdir()]

    def refusals(self, code: str) -> float:
        """How many uploads ended with this code."""
        said = self.client.get("/metrics").text
        found = re.search(rf'mondrian_uploads_total\{{outcome="{code}"\}} (\S+)', said)
        return float(found[1]) if found else 0

    def talk(self) -> socket.socket:
        """A bare connection."""
        parts = urlsplit(str(self.client.base_url))
        return socket.create_connection((parts.hostname, parts.port), timeout=10)


@pytest.fixture(scope="module")
def one_desk(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("desk")
    with fresh_database(postgres) as database, open_pool(database) as pool:
        app = make_app(Store(pool), database, home, limits=SHORT, source=home / "source")
        with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            yield Desk(client, Store(pool), pool, database, home / "photos")


@pytest.fixture
def desk(one_desk: Desk) -> Desk:
    """The one server of these tests, with nothing in it."""
    for job in one_desk.jobs():
        one_desk.store.delete(job.id)
    for place in (one_desk.photos, one_desk.photos.with_name("source")):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    return one_desk


def head(desk: Desk, length: str, boundary: str = "edge") -> bytes:
    host = desk.client.base_url.netloc.decode()
    return (
        f"POST /upload HTTP/1.1\r\nHost: {host}\r\n{length}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    ).encode()


PART = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="p.jpg"\r\n\r\n'


def read_answer(connection: socket.socket) -> bytes:
    """All that the server says until it falls silent or leaves."""
    said = b""
    connection.settimeout(1.0)
    try:
        while piece := connection.recv(65_536):
            said += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return said


def test_a_photo_becomes_a_job(desk: Desk) -> None:
    answer = desk.send(jpeg(), name="boats.jpg", advisor="ansel,okeefe", mode="(RAG)")
    assert answer.status_code == 201
    said, base = answer.json(), str(desk.client.base_url).rstrip("/")
    job = desk.store.read(said["job_id"])
    assert said == {
        "job_id": str(job.id),
        "filename": f"{job.id.hex[:8]}-boats.jpg",
        "advisor": "ansel,okeefe",
        "advisors_used": ["ansel", "okeefe"],
        "status": "queued",
        "mode": "rag",
        "enable_rag": True,
        "status_url": f"{base}/status/{job.id}",
        "stream_url": f"{base}/stream/{job.id}",
        "analysis_url": f"{base}/analysis/{job.id}",
    }
    assert (job.width, job.height, job.mode_used) == (64, 48, "baseline")
    assert job.owner == "address:127.0.0.1"
    assert job.photo_bytes == (desk.photos / job.photo_key).stat().st_size


def test_the_photo_is_kept_upright_and_without_its_place(desk: Desk) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    sent = jpeg(exif=exif)
    assert Image.open(io.BytesIO(sent)).getexif().get_ifd(0x8825)
    assert desk.send(sent).status_code == 201
    [job] = desk.jobs()
    kept = PhotoStore.open(desk.photos.as_uri()).get(job.photo_key)
    with Image.open(io.BytesIO(kept)) as image:
        assert image.size == (48, 64) == (job.width, job.height)
        assert not image.getexif().get_ifd(0x8825)
    assert read_photo(kept).exif.camera == "Camera"


@pytest.mark.parametrize("name", ["../../etc/passwd.jpg", "a\x01b\x7f.jpg", "..\\..\\x.jpg", ""])
def test_names_lead_nowhere(desk: Desk, name: str) -> None:
    disposition = f'form-data; name="image"; filename="{name}"'.encode()
    body = b"--edge\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + jpeg() + b"\r\n--edge--"
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    answer = desk.client.post("/upload", content=body, headers=headers)
    if answer.status_code == 400:  # control characters: the parser refuses the header
        assert "\x01" in name
        return
    [job] = desk.jobs()
    assert job.filename != name
    assert job.filename.isprintable()
    assert not set(job.filename) & set("/\\")
    assert [path.name for path in desk.photos.iterdir()] == [f"{job.id}.jpg"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "empty_photo"),
        (b"GIF89a" + bytes(100), 415, "unsupported_photo"),
        (b"hello", 415, "unsupported_photo"),
        (jpeg()[:300], 400, "damaged_photo"),
        (huge_png(), 413, "too_many_pixels"),
        (bytes(50_000_001), 413, "photo_too_large"),
        (bytes(51_000_000), 413, "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_photo_is_refused(desk: Desk, content: bytes, status: int, code: str) -> None:
    assert_problem(desk.send(content), status, code)
    assert desk.is_empty()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"advisor": "nobody"}, "unknown_advisor"),
        ({"mode": "fast"}, "invalid_request"),
        ({"enable_rag": "perhaps"}, "invalid_request"),
        ({"advisor": "x" * 20_000}, "body_too_large"),
        ({str(number): "" for number in range(100)}, "invalid_request"),
    ],
)
def test_fields_are_checked(desk: Desk, fields: dict[str, str], code: str) -> None:
    answer = desk.send(**fields)
    assert answer.json()["code"] == code
    assert answer.status_code == (413 if code == "body_too_large" else 400)
    assert desk.is_empty()


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("picture", ("p.jpg", jpeg()))],
        [("image", ("p.jpg", jpeg())), ("image", ("q.jpg", jpeg()))],
        [("image", ("p.jpg", jpeg())), ("file", ("q.jpg", jpeg()))],
        [("image", ("p.jpg", jpeg())), ("mode", (None, b"rag")), ("mode", (None, b"lora"))],
    ],
    ids=["none", "another name", "two", "two names", "a field twice"],
)
def test_there_is_one_photo(desk: Desk, files: list[Any]) -> None:
    files = files or [("advisor", (None, b"ansel"))]
    assert_problem(desk.client.post("/upload", files=files), 400, "invalid_request")
    assert desk.is_empty()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("image/jpeg", jpeg()),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=" + "x" * 3000, b""),
        ("multipart/form-data; boundary=edge", b"no form"),
        ("multipart/form-data; boundary=edge", PART + jpeg()),
        ("multipart/form-data; boundary=edge", b"--edge\r\nX: y\r\n\r\nz\r\n--edge--"),
    ],
    ids=["bare", "no boundary", "long boundary", "no parts", "no end", "no name"],
)
def test_a_damaged_form_is_refused(desk: Desk, kind: str, body: bytes) -> None:
    answer = desk.client.post("/upload", content=body, headers={"Content-Type": kind})
    assert_problem(answer, 400, "invalid_request")
    assert desk.is_empty()


def test_a_long_body_is_refused_before_it_comes(desk: Desk) -> None:
    with desk.talk() as connection:
        connection.sendall(head(desk, "Content-Length: 60000000\r\nExpect: 100-continue"))
        said = read_answer(connection)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in said


@pytest.mark.parametrize(("name", "code"), [("image", "photo"), ("other", "body")])
def test_a_body_without_a_length_is_refused_when_it_is_too_long(
    desk: Desk, name: str, code: str
) -> None:
    part = PART.replace(b"image", name.encode())
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    with desk.talk() as connection:
        connection.sendall(head(desk, "Transfer-Encoding: chunked"))
        connection.sendall(b"%x\r\n" % len(part) + part + b"\r\n")
        while sent < 51_000_000:
            connection.sendall(piece)
            sent += 0x10000
        said = read_answer(connection)
    assert said.startswith(b"HTTP/1.1 413")
    assert f"{code}_too_large".encode() in said
    assert desk.is_empty()


def test_a_body_that_stops_coming_is_refused(desk: Desk) -> None:
    with desk.talk() as connection:
        connection.sendall(head(desk, "Content-Length: 5000") + PART + jpeg()[:100])
        said = read_answer(connection)
        assert said.startswith(b"HTTP/1.1 408")
        assert b"upload_too_slow" in said
        assert connection.recv(1) == b""  # and it is hung up
    assert desk.is_empty()


def test_a_slow_body_is_taken(desk: Desk) -> None:
    body = PART + jpeg() + b"\r\n--edge--\r\n"
    with desk.talk() as connection:
        connection.sendall(head(desk, f"Content-Length: {len(body)}"))
        for at in range(0, len(body), len(body) // 6):
            connection.sendall(body[at : at + len(body) // 6])
            time.sleep(SHORT.idle_seconds / 4)  # in all it is more than the limit
        assert read_answer(connection).startswith(b"HTTP/1.1 201")


def test_a_client_that_leaves_leaves_nothing(desk: Desk) -> None:
    before, deadline = desk.refusals("invalid_request"), time.monotonic() + 10
    with desk.talk() as connection:
        connection.sendall(head(desk, "Content-Length: 1000000") + PART + jpeg(2000, 2000))
    while desk.refusals("invalid_request") == before:
        assert time.monotonic() < deadline
    assert desk.is_empty()


def test_many_uploads_with_one_key_make_one_job(desk: Desk) -> None:
    photo = jpeg()

    def send(_: int) -> Any:
        return desk.client.post(
            "/upload",
            files={"image": ("p.jpg", photo)},
            data={"advisor": "random"},
            headers={"Idempotency-Key": "once"},
        )

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(send, range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({json.dumps(answer.json()) for answer in answers}) == 1
    assert len(desk.jobs()) == len([*desk.photos.iterdir()]) == 1


@pytest.mark.parametrize("change", [{"photo": "#d4291f"}, {"advisor": "okeefe"}, {"mode": "rag"}])
def test_a_key_used_for_something_else_is_a_conflict(desk: Desk, change: dict[str, str]) -> None:
    headers = {"Idempotency-Key": "once"}
    first = {"files": {"image": ("p.jpg", jpeg())}, "data": {"advisor": "ansel"}}
    assert desk.client.post("/upload", **first, headers=headers).status_code == 201  # type: ignore[arg-type]
    photo = jpeg(colour=change.pop("photo", "#1d4fa3"))
    second = {"files": {"image": ("p.jpg", photo)}, "data": {"advisor": "ansel"} | change}
    answer = desk.client.post("/upload", **second, headers=headers)  # type: ignore[arg-type]
    assert_problem(answer, 409, "job_conflict")
    assert len(desk.jobs()) == len([*desk.photos.iterdir()]) == 1


def test_a_key_must_be_plain(desk: Desk) -> None:
    for key in (b"", b"with space", b"x" * 256, "é".encode()):
        answer = desk.client.post(
            "/upload", files={"image": ("p.jpg", jpeg())}, headers={b"Idempotency-Key": key}
        )
        assert_problem(answer, 400, "invalid_request")
    assert desk.is_empty()


def test_a_job_may_wait_for_its_start(desk: Desk) -> None:
    said = desk.send(auto_analyze="false").json()
    assert said["status"] == "pending"
    assert desk.client.post(f"/jobs/{said['job_id']}/start").json()["status"] == "queued"


def test_every_photo_store_that_fails_refuses(desk: Desk) -> None:
    desk.photos.rmdir()
    desk.photos.write_text("no folder")
    answer = desk.send()
    desk.photos.unlink()
    assert_problem(answer, 503, "photo_store_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert not desk.jobs()


def test_a_lost_database_refuses(desk: Desk, postgres: str) -> None:
    desk.pool.timeout = 0.3
    with without_database(postgres, desk.database):
        answer = desk.send()
    desk.pool.timeout = 10.0
    assert_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert [*desk.photos.iterdir()] == []
    wait_for(lambda: desk.send().status_code == 201)


def test_a_photo_has_only_so_many_advisors() -> None:
    """They are an entry of an index, of which PostgreSQL limits the size."""
    ansel = load_advisors()["ansel"]
    many = {name: replace(ansel, id=name) for n in range(120) if (name := f"advisor-{n:03}")}
    assert (
        len(parse_options({"advisor": "all"}, dict(list(many.items())[:100]), "").advisors) == 100
    )
    with pytest.raises(InvalidRequest, match="120 advisors are too many"):
        parse_options({"advisor": "all"}, many, "")


def test_a_commit_that_was_hidden_is_found(desk: Desk) -> None:
    class Losing(Store):
        def add(self, *given: Any, **more: Any) -> Job:
            super().add(*given, **more)
            raise DatabaseUnavailable

    photos, home = PhotoStore.open(desk.photos.as_uri()), desk.photos.parent
    intake = Intake(Settings(home=home), Losing(desk.pool), photos, {"ansel": "v"})
    options = parse_options({}, load_advisors(), "ansel")
    sender = UploadClient(owner="anna", idempotency_key=None)
    job = asyncio.run(intake.add(prepare_photo(jpeg()), options, sender))
    assert [job] == desk.jobs()
    assert photos.get(job.photo_key)


def test_a_photo_whose_job_may_be_there_is_kept_for_it(desk: Desk, postgres: str) -> None:
    photos, home, said = PhotoStore.open(desk.photos.as_uri()), desk.photos.parent, list[Job]()

    class Losing(Store):
        def add(self, *given: Any, **more: Any) -> Job:
            said.append(super().add(*given, **more))
            raise DatabaseUnavailable

        def read(self, job_id: UUID) -> Job:
            raise DatabaseUnavailable

    def send(store: Store) -> Job:
        options = parse_options({}, load_advisors(), "ansel")
        sender = UploadClient(owner="anna", idempotency_key="once")
        intake = Intake(Settings(home=home), store, photos, {"ansel": "v"})
        return asyncio.run(intake.add(prepare_photo(jpeg()), options, sender))

    with pytest.raises(DatabaseUnavailable):
        send(Losing(desk.pool))
    again = send(desk.store)
    assert [again] == said == desk.jobs()
    assert photos.get(again.photo_key)
    prune(desk.store, photos, days=0)
    assert [path.name for path in desk.photos.iterdir()] == [again.photo_key]


def test_a_photo_that_never_got_a_job_goes_a_day_later(desk: Desk) -> None:
    class Dying(Store):
        def add(self, *given: Any, **more: Any) -> Job:
            raise DatabaseUnavailable

    photos, home = PhotoStore.open(desk.photos.as_uri()), desk.photos.parent
    intake = Intake(Settings(home=home), Dying(desk.pool), photos, {"ansel": "v"})
    options = parse_options({}, load_advisors(), "ansel")
    sender = UploadClient(owner="anna", idempotency_key=None)
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(intake.add(prepare_photo(jpeg()), options, sender))
    prune(desk.store, photos, days=0)
    assert len([*desk.photos.iterdir()]) == 1
    with desk.pool.connection() as connection:
        connection.execute("UPDATE discarded SET due = due - interval '24 hours'")
    prune(desk.store, photos, days=0)
    assert desk.is_empty()


def test_a_photo_of_the_source_folder_is_named(desk: Desk) -> None:
    source = desk.photos.parent / "source"
    (source / "in").mkdir()
    (source / "in" / "boats.jpg").write_bytes(jpeg())
    body = {"filename": "in/boats.jpg", "advisors": ["ansel", "okeefe"], "enable_rag": True}
    answer = desk.client.post("/submit", json=body)
    assert answer.status_code == 200
    [job] = desk.jobs()
    assert job.advisors == ("ansel", "okeefe")
    assert job.enable_rag
    assert job.filename.endswith("-boats.jpg")


@pytest.mark.parametrize("name", ["../secret.jpg", "link.jpg", "none.jpg", ".", "a\0b", "x" * 999])
def test_there_is_no_way_out_of_the_source_folder(desk: Desk, name: str) -> None:
    home = desk.photos.parent
    (home / "secret.jpg").write_bytes(jpeg())
    (home / "source" / "link.jpg").symlink_to(home / "secret.jpg")
    answer = desk.client.post("/submit", json={"filename": name})
    assert_problem(answer, 400, "invalid_request")
    answer = desk.client.post("/submit", json={"filename": str(home / "secret.jpg")})
    assert_problem(answer, 400, "invalid_request")
    assert desk.is_empty()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"filename": 1}', b"\xff", b" " * 200_000])
def test_a_json_body_is_checked(desk: Desk, body: bytes) -> None:
    answer = desk.client.post("/submit", content=body)
    assert answer.status_code == (413 if len(body) > 1000 else 400)


def test_a_form_may_be_submitted_too(desk: Desk) -> None:
    answer = desk.client.post("/submit", files={"file": ("p.jpg", jpeg())})
    assert answer.status_code == 200
    assert desk.jobs()[0].status is Status.QUEUED


@pytest.mark.parametrize(
    ("text", "mode"),
    [("", "baseline"), ("Baseline", "baseline"), ("rag_lora", "rag+lora"), ("(rag)", "rag"),
     ("RAG+LoRA", "rag+lora"), ("ab_test", "ab_test"), ("lora", "lora"), ("base", "baseline"),
     ("BASE", "baseline"), ("lora+rag", "rag+lora"), ("lora_rag", "rag+lora"),
     ("LoRA + RAG", "rag+lora"), ("rag+embeddings", "rag"), ("A/B test", "ab_test")],
)  # fmt: skip
def test_modes_of_older_clients(text: str, mode: str) -> None:
    assert parse_mode(text) == mode
    assert mode in MODES


def test_other_modes_are_refused() -> None:
    for text in ("turbo", "fragile", "base lines"):
        with pytest.raises(InvalidRequest, match=r"baseline, rag, lora, rag\+lora, ab_test"):
            parse_mode(text)
