"""A replica takes over: nothing is lost that it had, and what it had not is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from mondrian.client import Client
from support.clusters import Cluster, start_primary, start_replica
from support.processes import started_at_once
from support.working import answer, jpeg, recording, wait_for

CAUGHT_UP = """SELECT count(*) FROM pg_stat_replication
    WHERE replay_lsn >= pg_current_wal_lsn()"""
TOKENS = "SELECT count(*) FROM events WHERE type = 'token'"


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its replica."""
    with ExitStack() as stack:
        primary = start_primary(stack)
        replica = start_replica(stack, primary)
        wait_for(lambda: primary.ask(CAUGHT_UP))
        yield primary, replica


def join(first: Cluster, second: Cluster) -> str:
    """Return the URL of both, as docs/operations.md has it."""
    return (
        first.url.replace("host=127.0.0.1", "host=127.0.0.1,127.0.0.1").replace(
            f"port={first.port}", f"port={first.port},{second.port}"
        )
        + " target_session_attrs=read-write connect_timeout=2"
    )


def follow(address: str, job: str) -> tuple[str, str]:
    """Return the end of a job and its text, as a client has them that does as it is told."""
    text, status = "", ""
    with Client(address) as client:
        for event in client.watch(job, include=("tokens",)):
            fields = event.fields
            match event.type:
                case "reset" | "attempt":
                    text = ""
                case "snapshot":
                    text = fields["text"]
                case "token":
                    text = text[: fields["offset"]] + fields["text"]
                case "done":
                    status = fields["status"]
    return status, text


@pytest.mark.parametrize("keeps_up", [True, False], ids=["synchronous", "behind"])
def test_streams_and_jobs_go_on_at_the_replica(
    pair: tuple[Cluster, Cluster], tmp_path: Path, *, keeps_up: bool
) -> None:
    primary, replica = pair
    common = ("--database", join(*pair), "--photos", (tmp_path / "photos").as_uri())
    engine = ("--engine", recording(tmp_path, pause=0.1), "--concurrency", 2)
    if keeps_up:
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.ask("SELECT pg_reload_conf()::int")
    with (
        started_at_once(
            ("serve", "--port", 0, "--no-worker", "--home", tmp_path / "a", *common),
            ("worker", "--home", tmp_path / "b", *engine, *common),
        ) as [(_, address), _],
        Client(address) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        jobs = [client.submit(jpeg(seed=n))["job_id"] for n in range(4)]
        wait_for(lambda: primary.ask(CAUGHT_UP))
        following = [threads.submit(follow, address, job) for job in jobs]
        wait_for(lambda: primary.ask(TOKENS) > 20)
        if not keeps_up:  # the replica hears no more, and clients see what it will not have
            replica.ask("ALTER SYSTEM SET primary_conninfo = ''")
            replica.ask("SELECT pg_reload_conf()::int")
            wait_for(lambda: not primary.ask("SELECT count(*) FROM pg_stat_replication"))
            seen = primary.ask(TOKENS)
            wait_for(lambda: primary.ask(TOKENS) > seen + 10)
            assert replica.ask(TOKENS) < primary.ask(TOKENS)
        primary.kill()
        replica.ask("SELECT pg_promote()::int")
        ends = [each.result(120) for each in following]
    assert [status for status, _ in ends] == ["done"] * 4
    assert [text for _, text in ends] == [answer()] * 4
    assert replica.ask("SELECT count(*) FROM jobs WHERE status = 'done'") == 4
