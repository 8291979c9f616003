"""The log goes back: a replica that was behind takes over, or a backup is restored."""

import json
import time
from pathlib import Path
from uuid import UUID

import psycopg

from faults.conftest import Fault
from mondrian.database.postgres import Pool
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from support.streaming import (
    EVERYTHING,
    Seen,
    Services,
    claim_new,
    next_of,
    serving,
    text_of,
    thinking,
    token,
)
from support.working import Hire, add_job, answer, at_work, recording, wait_for_end


def go_back(database: str, job: UUID, events: int) -> None:
    """Take the last events out of a job's log, as if they had never been."""
    with psycopg.connect(database) as connection:
        connection.execute(
            """WITH back AS (UPDATE jobs SET last_seq = last_seq - %(n)s WHERE id = %(id)s
                RETURNING id, last_seq)
            DELETE FROM events USING back WHERE job_id = back.id AND seq > back.last_seq""",
            {"n": events, "id": job},
        )


def text_after_reset(seen: list[Seen]) -> str:
    """The text of a client that follows the rules."""
    kinds = [each.event for each in seen]
    after = seen[len(kinds) - 1 - kinds[::-1].index("reset") :] if "reset" in kinds else seen
    last = max(each.data.get("attempt") or 1 for each in after)
    return text_of([each for each in after if each.data.get("attempt") == last])


def test_a_log_that_goes_back_under_a_running_job(
    hire: Hire, store: Store, photos: PhotoStore, database: str, fault: Fault, tmp_path: Path
) -> None:
    row = fault("log goes back by 30 events, a job under way")
    job = add_job(store, photos)
    seen, back = list[Seen](), 0.0
    worker = hire(recording(tmp_path, pause=0.06), update_interval=1.0)
    with (
        serving(database, store, interval=1.0) as services,
        at_work(worker),
        services.watch(job.id, EVERYTHING) as stream,
    ):
        for each in stream:
            seen.append(each)
            if not back and int(each.id or 0) > 40:
                go_back(database, job.id, 30)
                back = time.monotonic()
        done = wait_for_end(store, job)
    again = next(each.at for each in seen if each.event == "reset")
    assert done.status is Status.DONE
    assert seen[-1].event == "done"
    assert text_after_reset(seen) == answer()
    assert store.read_reports(job.id)[0].text == answer()
    assert done.failures == 0
    row.tell("reset, a new attempt, the whole text, done", seconds=again - back)


def test_a_log_that_goes_back_and_has_grown_past_the_client(
    store: Store, pool: Pool, database: str, fault: Fault
) -> None:
    row = fault("log goes back and grows past what clients have")
    claim = claim_new(store)
    for number in range(30):
        store.append(claim, [token(f"{number} ")])
    with serving(database, store, interval=1.0) as services:
        with services.watch(claim.job.id, EVERYTHING) as seen:
            next_of(seen, "snapshot")
            store.append(claim, [token("old ")])
            next_of(seen, "token")
            with pool.connection() as connection, connection.transaction():
                connection.execute(
                    "UPDATE events SET payload = replace(payload, 'old', 'new') WHERE job_id = %s "
                    "AND seq = (SELECT last_seq FROM jobs WHERE id = %s)",
                    (claim.job.id, claim.job.id),
                )
            store.append(claim, [token("x" * 8000)])  # too long to be told: it is read
            reset = next_of(seen, "reset")
            snapshot = next_of(seen, "snapshot")
            assert snapshot.data["text"].endswith("29 new " + "x" * 8000)
            store.append(claim, [token("end")])
            assert next_of(seen, "token").data["text"] == "end"
        check_other_epochs(services, store, claim.job.id, snapshot.cursor)
    assert reset.cursor == ""
    row.tell("reset, the text that is in the log")


def check_other_epochs(services: Services, store: Store, job: UUID, cursor: str) -> None:
    """A cursor of this epoch continues; one of another starts again."""
    epoch, number = cursor.partition(".")[0], cursor.rpartition(".")[2]
    other = f"{'0' if epoch[0] != '0' else '1'}{epoch[1:]}"
    for text, is_known in ((cursor, True), (cursor.replace(epoch, other), False), (number, True)):
        with services.watch(job, f"{EVERYTHING}&lastEventId={text}") as seen:
            assert next(seen).event == "connected"
            assert (next(seen).event == "token") is is_known, text


def test_a_log_that_goes_back_while_nobody_follows(
    store: Store, database: str, fault: Fault
) -> None:
    row = fault("log goes back, and its epoch is renewed")
    claim = claim_new(store)
    for _ in range(10):
        store.append(claim, [thinking("Generating")])
    with serving(database, store, interval=1.0) as services:
        with services.watch(claim.job.id) as seen:
            next(seen)
            opening = next(seen)
            # what another process does that noticed it
            before = store.read_epoch()
            assert before == opening.cursor.partition(".")[0]
            now = store.renew_epoch(before)
            assert now != before
            assert store.renew_epoch(before) == now
            assert next_of(seen, "reset").cursor == ""
            assert next(seen).cursor.startswith(f"{now}.")
        with services.watch(claim.job.id, f"after={opening.cursor}") as seen:
            assert [next(seen).event for _ in range(3)] == ["connected", "reset", "status_update"]
    assert json.loads(store.read_events(claim.job.id, 11)[0].payload)["thinking"] == "Generating"
    row.tell("all streams are told, and old cursors")
