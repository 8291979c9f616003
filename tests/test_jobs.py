import json
from uuid import UUID, uuid4

import pytest

from mondrian.errors import JobNotFound
from mondrian.jobs.job import (
    ENDED,
    RUNNING,
    Entry,
    EventType,
    Job,
    Status,
    parse_job_id,
)
from support.store import MOVES


def test_every_status_has_its_moves() -> None:
    assert set(MOVES) == set(Status)
    assert {status for status, next_ones in MOVES.items() if not next_ones} == ENDED
    assert all(Status.CANCELLED in MOVES[status] for status in set(Status) - ENDED)
    assert all(MOVES[status] >= {Status.QUEUED, Status.ERROR} for status in RUNNING)


def test_job_id_is_read_in_both_forms() -> None:
    job_id = uuid4()
    for text in (f"{job_id}", f"{job_id} (rag)", f"{job_id}(lora+rag)", f" {str(job_id).upper()} "):
        assert parse_job_id(text) == job_id


@pytest.mark.parametrize(
    "text", ["", "1", "(rag)", f"{UUID(int=1)} rag", f"{UUID(int=1)}x", "../x"]
)
def test_what_is_no_id_names_no_job(text: str) -> None:
    with pytest.raises(JobNotFound):
        parse_job_id(text)


def test_payload_is_one_line_of_compact_json() -> None:
    job_id = uuid4()
    payload = Entry(EventType.TOKEN, {"text": "a\nb\u2028\0é", "offset": 0}).encode(job_id)
    assert payload.isascii()
    assert not {" ", "\n"} & set(payload)
    assert json.loads(payload) == {
        "type": "token", "job_id": str(job_id), "text": "a\nb\u2028\0é", "offset": 0
    }  # fmt: skip


def test_job_knows_whether_it_has_ended() -> None:
    for status in Status:
        job = Job(
            id=uuid4(), owner="a", filename="f", photo_key="k", advisors=("x", "y"), status=status
        )
        assert job.is_ended is (status in ENDED)
        assert job.total_advisors == 2
