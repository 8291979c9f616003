"""Jobs of the old system's SQLite database, in several shapes, come into a real PostgreSQL."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from mondrian.jobs.job import EventType, Job, Status
from mondrian.jobs.old_database import parse_time
from mondrian.jobs.retention import prune
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.reports import Report, render_fragment
from support.demo_reports import demo_report
from support.service import Service
from support.uploads import jpeg

MONDRIAN = Path(sys.executable).parent / "mondrian"
KEPT = "0f8fad5b-d9cb-469f-a165-70867728950e"
HOSTILE = """<style>p { color: red }</style><script>alert("Composition 1/10")</script>
<!-- Lighting 2/10 --><div class="advisor-section" data-advisor="adams" onclick="alert(1)">
<div class="feedback-card"><h3>Composition (8/10)</h3><p>Strong thirds.<img src=x onerror=alert(1)>
</p><p><strong>How to improve:</strong> Step left.</p></div>
<div class="feedback-card"><h3>Lighting</h3><div class="score">6.5/10</div>
<p>Flat &amp; grey &lt;script&gt;alert(2)&lt;/script&gt;.</p></div></div>"""


def write_old(path: Path, columns: str, rows: Sequence[Sequence[object]]) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE jobs ({columns})")
        marks = ", ".join("?" * len(columns.split(",")))
        connection.executemany(f"INSERT INTO jobs VALUES ({marks})", rows)
    return path


def run(old: Path, database: str, home: Path, *more: object) -> subprocess.CompletedProcess[str]:
    command = [MONDRIAN, "import", old, "--database", database, "--home", home, *more]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def run_json(old: Path, database: str, home: Path, *more: object) -> dict[str, int]:
    done = run(old, database, home, "--json", *more)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def old_id(text: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"mondrian-old-job:{text}")


def payloads(store: Store, job: Job) -> list[dict[str, Any]]:
    events = store.read_events(job.id, 0)
    assert [event.seq for event in events] == list(range(2, job.last_seq + 1))
    return [json.loads(event.payload) for event in events]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    two = "\n".join(render_fragment(demo_report(advisor=name)) for name in ("ansel", "okeefe"))
    columns = (
        "id TEXT, filename TEXT, advisor TEXT, mode TEXT, enable_rag INTEGER, status TEXT,"
        "created_at TEXT, started_at REAL, completed_at REAL, analysis_html TEXT, error TEXT"
    )
    day = "2025-06-01T09:30:00+00:00"
    epoch = 1_748_770_260.5
    html_done = (HOSTILE, None)
    return write_old(tmp_path / "mondrian.db", columns, [
        (KEPT, "a.jpg", "adams", "RAG", 1, "completed", day, epoch, epoch + 60, *html_done),
        (KEPT, "again.jpg", "adams", "RAG", 1, "done", day, epoch, epoch + 60, *html_done),
        ("two", "../../b.jpg", "ansel, O'Keeffe", "x", 0, "done", day, None, None, two, None),
        ("prose", "damaged.jpg", "adams", None, 0, "done", day, None, None,
         "<p>Nice &amp; calm.</p><script>steal()</script>", None),
        ("mixed", "no.jpg", "ansel,okeefe", None, 0, "done", day, None, None, HOSTILE, None),
        ("failed", "c.jpg", "Somebody <b>", None, 0, "failed", day, None, None, None, "CUDA\0 oom"),
        ("running", "d.jpg", "adams", None, 0, "analyzing", day, epoch, None, None, None),
        (None, b"\xff\xfe.jpg", "", None, "junk", "", "junk", None, None, None, None),
    ])  # fmt: skip


def test_old_jobs_come_as_they_ended(
    old: Path, store: Store, database: str, server_home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    (folder / "2025").mkdir(parents=True)
    (folder / "2025" / "a.jpg").write_bytes(jpeg(64, 48))
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff junk")
    (tmp_path / "b.jpg").write_bytes(jpeg())  # outside of the folder
    counts = run_json(old, database, server_home, "--photos", folder)
    assert counts == {
        "imported": 7, "done": 2, "failed": 3, "cancelled": 2, "unreadable": 2, "skipped": 1,
        "photos": 1, "photos_missing": 5, "photos_refused": 1,
    }  # fmt: skip

    job = store.read(UUID(KEPT))
    assert (job.status, job.advisors, job.mode, job.enable_rag) == (
        *(Status.DONE, ("ansel",), "rag", True),
    )
    assert job.created_at == datetime(2025, 6, 1, 9, 30, tzinfo=UTC)
    assert job.completed_at
    assert job.started_at
    assert (job.completed_at - job.started_at).total_seconds() == 60
    assert job.filename == f"{KEPT[:8]}-a.jpg"
    photos = PhotoStore.open((server_home / "photos").as_uri())
    assert len(photos.get(job.photo_key)) == job.photo_bytes
    assert (job.width, job.height) == (64, 48)

    [kept] = store.read_reports(job.id)
    assert kept.text == HOSTILE
    report = Report.model_validate(kept.report)
    assert [(d.name, d.score) for d in report.dimensions] == [
        *(("Composition", 8.0), ("Lighting", 6.5)),
    ]
    assert job.score == pytest.approx(report.overall_score)
    update, complete, done = payloads(store, job)
    assert update["job_data"]["status"] == done["status"] == "done"
    assert complete["report"] == complete["reports"][0] == kept.report
    for tag in ("<script", "<img", "onclick"):
        assert tag not in complete["analysis_html"]

    two = store.read(old_id("two"))
    assert (two.status, two.advisors, two.mode) == (Status.DONE, ("ansel", "okeefe"), "baseline")
    scores = [each.score for each in demo_report().dimensions]
    for answer in store.read_reports(two.id):
        assert [each["score"] for each in answer.report["dimensions"]] == scores


def test_what_has_no_scores_is_an_error_with_its_text(
    old: Path, store: Store, database: str, server_home: Path
) -> None:
    run_json(old, database, server_home)
    job = store.read(old_id("prose"))
    assert job.error
    assert (job.status, job.error["code"], job.score) == (Status.ERROR, "answer_error", None)
    assert store.read_reports(job.id) == []
    types = [payload["type"] for payload in payloads(store, job)]
    assert types == ["status_update", "token", "error", "done"]
    prune(store, PhotoStore.open((server_home / "photos").as_uri()), days=1)
    assert store.read_snapshot(job.id).texts == {"ansel": "Nice & calm."}

    mixed = store.read(old_id("mixed"))  # whose scores are they?
    assert (mixed.status, mixed.advisors) == (Status.ERROR, ("ansel", "okeefe"))
    failed = store.read(old_id("failed"))
    assert failed.error
    assert (failed.advisors, failed.error["code"]) == (("somebody-b",), "engine_failed")
    assert failed.error["message"].startswith("CUDA")
    running = store.read(old_id("running"))
    assert running.status is Status.CANCELLED
    kinds = [EventType(payload["type"]) for payload in payloads(store, running)]
    assert kinds == [EventType.STATUS_UPDATE, EventType.DONE]


@pytest.mark.slow
def test_an_import_may_be_run_again(
    old: Path, store: Store, database: str, server_home: Path
) -> None:
    first = run(old, database, server_home)
    assert "Imported 7 jobs: 2 done, 3 failed" in first.stdout
    before = [(job, store.read_events(job.id, 0)) for job in store.list_jobs()]
    again = run(old, database, server_home)
    assert "Imported 0 jobs" in again.stdout
    assert "Skipped 8 jobs" in again.stdout
    assert [(job, store.read_events(job.id, 0)) for job in store.list_jobs()] == before


def test_other_columns_and_what_the_model_wrote(
    tmp_path: Path, store: Store, database: str, server_home: Path
) -> None:
    answer = {"dimensions": [{"name": "Lighting", "score": 7, "comment": "Soft and low."}]}
    told = json.dumps({"ansel": json.dumps(answer)})
    columns = "job_id INTEGER PRIMARY KEY, advisors TEXT, html TEXT, llm_outputs TEXT"
    rows = [(1, '["Ansel Adams"]', "<p>See below.</p>", told), (2, "ansel", "", "")]
    counts = run_json(write_old(tmp_path / "o.db", columns, rows), database, server_home)
    assert (counts["done"], counts["cancelled"]) == (1, 1)
    [report] = store.read_reports(old_id("1"))
    [dimension] = report.report["dimensions"]
    assert (dimension["name"], dimension["score"]) == ("Lighting", 7.0)


def test_imported_jobs_are_shown(old: Path, service: Service) -> None:
    run_json(old, service.database, service.home)
    page = service.client.get(f"/analysis/{KEPT}").text
    assert "Strong thirds." in page
    assert "Imported from an earlier system" in page
    assert "<script>alert" not in page
    assert service.client.get(f"/report/{KEPT}?format=pdf").content.startswith(b"%PDF")
    listed = service.client.get("/jobs?format=array").json()
    assert len(listed) == 7
    for job in listed:
        shown = service.client.get(f"/jobs/{job['job_id']}", headers={"Accept": "text/html"})
        assert shown.status_code == 200
        stream = service.client.get(f"/stream/{job['job_id']}?after=0").text
        assert "event: done" in stream
    full = service.client.get(f"/job/{KEPT}/full-data").json()
    assert full["llm_outputs"]["ansel"] == HOSTILE
    missing = service.client.get(f"/photo/{KEPT}.jpg")
    assert missing.status_code == 404


@pytest.mark.slow
def test_what_is_no_old_database_says_what_to_give(tmp_path: Path, server_home: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE notes (id)")
        connection.execute("CREATE VIEW jobs AS SELECT id FROM notes")
    no_id = write_old(tmp_path / "no-id.db", "filename TEXT", [("a.jpg",)])
    for path, said in (
        (tmp_path / "none.db", "cannot be read: No such file"),
        (text, "is no SQLite database"),
        (other, "has no table `jobs`"),
        (no_id, "has no column `id`"),
    ):
        done = run(path, "postgresql://127.0.0.1:9/none", server_home)
        assert (done.returncode, done.stdout) == (78, "")
        assert said in done.stderr
        assert "mondrian.db" in done.stderr


@pytest.mark.slow
def test_a_locked_and_a_damaged_database(
    old: Path, store: Store, database: str, server_home: Path
) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert run_json(old, database, server_home)["imported"] == 7
    whole = old.read_bytes()
    old.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    done = run(old, database, server_home)
    assert done.returncode == 78
    assert ".recover" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-06-01 09:30:00", "2025-06-01T09:30:00+00:00"),
        ("2025-06-01T11:30:00.250000+02:00", "2025-06-01T09:30:00.250000+00:00"),
        ("2025-06-01T09:30:00Z", "2025-06-01T09:30:00+00:00"),
        ("1748770200", "2025-06-01T09:30:00+00:00"),
        ("1748770200500", "2025-06-01T09:30:00.500000+00:00"),
        *((text, None) for text in ("", "junk", "9" * 15, "0001-01-01", "2999-01-01", "-5")),
    ],
)
def test_times_in_any_shape(text: str, time: str | None) -> None:
    found = parse_time(text)
    assert (found and found.isoformat()) == time
