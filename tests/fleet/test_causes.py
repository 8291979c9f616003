"""What an operator is told at the start of each thing that waiting does not mend."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleet.conftest import Buckets
from support.clusters import PASSWORD, Cluster, start_primary
from support.processes import run

SECRET = "a secret of the store"

DATABASES = {
    "wrong password": (f"password='{PASSWORD}'", "password='wrong secret'",
                       "PostgreSQL does not let Mondrian in"),
    "missing database": ("dbname=postgres", "dbname=nowhere", "The database is not there"),
    "bad certificate": ("host=127.0.0.1", "host=127.0.0.1 sslmode=verify-full sslrootcert={other}",
                        "The connection to PostgreSQL cannot be secured"),
}  # fmt: skip
BUCKETS = {
    "missing bucket": ("s3://none/photos", (), "The bucket of the photo store is not there"),
    "missing credentials": ("s3://bucket/photos", ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"),
                            "There are no credentials for the photo store"),
    "in the clear": ("s3://bucket/photos", ("ALLOW_HTTP",), "set AWS_ALLOW_HTTP=true"),
}  # fmt: skip
"""The bucket, the variables that are not set, and what is said."""


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """Two servers: the certificate of the second says nothing of the first."""
    with ExitStack() as stack:
        yield start_primary(stack), start_primary(stack)


@pytest.mark.parametrize("cause", DATABASES)
def test_why_the_database_cannot_be_used(
    clusters: tuple[Cluster, Cluster], tmp_path: Path, cause: str
) -> None:
    primary, other = clusters
    right, wrong, said = DATABASES[cause]
    url = primary.url.replace(right, wrong.format(other=other.certificate))
    ran = run("serve", "--no-worker", "--port", 0, "--home", tmp_path, "--database", url)
    assert ran.returncode == 78, ran.stderr
    assert ran.stderr.count(said) == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "Traceback" not in ran.stderr
    assert not any(secret in ran.stderr for secret in (PASSWORD, "wrong secret"))


def test_a_certificate_that_is_right_is_taken(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    url = f"{clusters[0].url} sslmode=verify-full sslrootcert={clusters[0].certificate}"
    ran = run("queue", "--home", tmp_path, "--database", url)
    assert (ran.returncode, ran.stdout[:18]) == (0, "The queue is open:"), ran.stderr


@pytest.mark.parametrize("cause", BUCKETS)
def test_why_the_photo_store_cannot_be_used(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    url, unset, said = BUCKETS[cause]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for name in unset:
        monkeypatch.delenv(f"AWS_{name}")
    ran = run("serve", "--no-worker", "--port", 0, "--home", tmp_path, "--photos", url)
    assert ran.returncode == 78, ran.stderr
    assert ran.stderr.count(said) == 1
    assert ran.stderr.count("the photo store cannot be used:") == 1
    assert "Traceback" not in ran.stderr
    assert SECRET not in ran.stderr
