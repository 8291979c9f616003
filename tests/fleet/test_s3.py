"""Photos in a bucket: a server and a worker that share nothing else but the database."""

from pathlib import Path
from uuid import uuid4

from fleet.conftest import Buckets
from mondrian.client import Client
from mondrian.jobs.retention import delete_discarded
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.processes import started_at_once
from support.working import jpeg, recording


def test_jobs_are_done_from_a_bucket_and_leave_nothing(
    buckets: Buckets, database: str, tmp_path: Path
) -> None:
    common = ("--database", database, "--photos", "s3://bucket/photos")
    with (
        started_at_once(
            ("serve", "--port", 0, "--no-worker", "--home", tmp_path / "a", *common),
            ("worker", "--home", tmp_path / "b", "--engine", recording(tmp_path), *common),
        ) as [(_, address), _],
        Client(address) as client,
    ):
        assert buckets.list_keys() == []  # the probes are gone
        jobs = [client.submit(jpeg(seed=n))["job_id"] for n in range(3)]
        assert [[*client.watch(job)][-1].fields["status"] for job in jobs] == ["done"] * 3
        assert buckets.list_keys() == sorted(f"photos/{job}.jpg" for job in jobs)
        for job in jobs:
            client.delete(job)
        assert buckets.list_keys() == []


def test_photos_are_deleted_by_the_hundred(buckets: Buckets, store: Store) -> None:
    photos = PhotoStore.open("s3://bucket/photos")
    keys = [f"{uuid4()}.jpg" for _ in range(250)]
    with store._pool.connection() as connection:
        connection.cursor().executemany(
            "INSERT INTO discarded (photo_key) VALUES (%s)", [[key] for key in keys]
        )
    for key in keys[:-1]:  # one is gone already
        buckets.client.put_object(Bucket="bucket", Key=f"photos/{key}", Body=b"photo")
    photos.put("kept.jpg", b"photo")
    before = len(buckets.requests)
    delete_discarded(store, photos)
    assert [method for method, _ in buckets.requests[before:]] == ["POST"] * 3
    assert buckets.list_keys() == ["photos/kept.jpg"]
    assert store.list_discarded() == []
