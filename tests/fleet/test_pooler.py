"""A transaction pooler in front of PostgreSQL: nothing of the session may be relied upon."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet.conftest import Pooler
from mondrian.client import Client
from mondrian.database.postgres import open_database
from mondrian.database.schema import migrate
from mondrian.errors import SettingsError
from mondrian.jobs.retention import LOCK
from mondrian.jobs.store import Store
from support.processes import run, started, started_at_once
from support.working import jpeg, recording


def test_jobs_are_done_behind_a_transaction_pooler(
    pooler: Pooler, database: str, tmp_path: Path
) -> None:
    through = pooler(database)
    photos = (tmp_path / "photos").as_uri()
    common = ("--database", through, "--listen-database", database, "--photos", photos)
    engine = ("--engine", recording(tmp_path, pause=0.01), "--concurrency", 4)
    with (
        started_at_once(
            ("serve", "--port", 0, "--no-worker", "--home", tmp_path / "a", *common),
            ("worker", "--home", tmp_path / "b", *engine, *common),
            ("worker", "--home", tmp_path / "c", *engine, *common),
        ) as [(_, address), *_],
        Client(address) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        jobs = [client.submit(jpeg(seed=n))["job_id"] for n in range(16)]
        ends = list(threads.map(lambda job: [*client.watch(job)][-1].fields["status"], jobs))
    assert Counter(ends) == {"done": 16}


def test_a_pooler_in_session_mode_needs_no_other_address(
    pooler: Pooler, database: str, tmp_path: Path
) -> None:
    open_database(pooler(database, mode="session"), tmp_path).close()


def test_a_pooler_that_passes_no_notices_on_is_refused_with_advice(
    pooler: Pooler, database: str, tmp_path: Path
) -> None:
    through = pooler(database)
    with pytest.raises(SettingsError, match="MONDRIAN_LISTEN_DATABASE"):
        open_database(through, tmp_path)
    ran = run("serve", "--no-worker", "--port", 0, "--home", tmp_path, "--database", through)
    assert ran.returncode == 78
    assert "MONDRIAN_LISTEN_DATABASE" in ran.stderr


def test_no_lock_stays_behind_in_a_pooler(pooler: Pooler, database: str, tmp_path: Path) -> None:
    through = pooler(database)
    opened = open_database(through, tmp_path, listen_url=database)
    with Store(opened.pool).try_lock(LOCK) as is_alone:
        assert is_alone
    opened.close()
    migrate(database)
    with started("serve", "--no-worker", "--port", 0, "--home", tmp_path, "--database", database):
        pass
