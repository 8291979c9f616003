"""A server dies while it delivers, and the message comes all the same."""

import signal
import time
from pathlib import Path

import httpx

from faults.conftest import Fault
from mondrian.jobs.store import Store
from support.processes import started
from support.receiver import SECRET, receiving
from support.working import jpeg, recording, wait_for


def test_a_server_dies_amid_a_delivery(
    store: Store, database: str, tmp_path: Path, fault: Fault
) -> None:
    row = fault("serve, SIGKILL between a job's end and its webhook")
    common = (
        *("--database", database, "--photos", (tmp_path / "photos").as_uri()),
        *("--home", tmp_path, "--port", 0, "--webhook-secret", SECRET),
        *("--webhook-network", "127.0.0.1", "--engine", recording(tmp_path)),
    )
    with receiving(503, 204) as receiver:
        with started("serve", *common) as (server, address):
            sent = httpx.post(
                f"{address}/upload",
                files={"image": ("p.jpg", jpeg())},
                data={"callback_url": receiver.url},
                timeout=30,
            )
            [job] = store.list_jobs()
            assert str(job.id) == sent.json()["job_id"]
            wait_for(lambda: receiver.got)
            server.send_signal(signal.SIGKILL)
            server.wait()
        died = time.monotonic()
        # what the dead server held is let go after its lease, which nobody needs to wait for here
        with store._pool.connection() as connection:
            connection.execute("UPDATE webhooks SET due = now() + interval '1 second'")
        with started("serve", "--no-worker", *common):
            wait_for(lambda: len(receiver.got) == 2)
            wait_for(lambda: store.list_callbacks(job.id)[0].status == "delivered")
    assert len(set(receiver.ids)) == 1
    assert [each["type"] for each in receiver.messages()] == ["critique.done"] * 2
    row.tell("the next server told it, with the same webhook-id", seconds=time.monotonic() - died)
