"""The clock of a watched job, without waiting."""

import math
from dataclasses import replace
from uuid import uuid4

import pytest

from mondrian.jobs.job import Job, Status
from mondrian.jobs.queue import Place
from mondrian.stream.clock import AWAY_SECONDS, GRACE_SECONDS, LATE, LOOK_SECONDS, Clock

INTERVAL, LEASE = 5.0, 10.0
QUEUED = Job(id=uuid4(), owner="anna", filename="p.jpg", photo_key="k", advisors=("ansel",))
RUNNING = replace(QUEUED, status=Status.ANALYZING, last_seq=7, lease_seconds=LEASE)


def open_clock(job: Job, interval_seconds: float, now: float) -> Clock:
    return Clock(job, interval_seconds, now, lease_seconds=LEASE)


def read(clock: Clock, job: Job, now: float, place: Place | None = None) -> None:
    clock.record_read(now)
    clock.record_answer()
    clock.learn(job, place, now)


def test_a_queued_job_is_spoken_for_once_an_interval() -> None:
    clock = open_clock(QUEUED, INTERVAL, 100.0)
    read(clock, QUEUED, 100.0, Place(3, 600.0))
    assert clock.compute_next_look() == 105.0
    assert not clock.should_speak(104.9)
    assert clock.should_speak(105.0)
    thinking, known = clock.speak(105.0)
    assert thinking == "Waiting in queue (position 3), about 10 minutes"
    assert known == {
        "attempt": 1, "phase": "queued", "percent": 0, "queue_position": 3,
        "eta_seconds": 600.0, "basis": "estimated",
    }  # fmt: skip
    assert clock.compute_next_look() == 110.0
    assert not clock.should_speak(109.0)


def test_what_a_worker_says_restarts_the_interval() -> None:
    clock = open_clock(RUNNING, INTERVAL, 0.0)
    clock.hear(4.9, 8, is_paced=True)
    assert not clock.should_speak(9.9 + GRACE_SECONDS - 0.1)
    assert clock.should_speak(9.9 + GRACE_SECONDS)


def test_a_worker_that_is_only_late_is_not_waited_for() -> None:
    clock = open_clock(RUNNING, INTERVAL, 0.0)
    clock.hear(4.9, 8, is_paced=True, told="Generating analysis... (150 tokens, 44.1 tps)")
    late = replace(
        RUNNING, last_seq=8, llm_thinking="Generating analysis... (150 tokens, 44.1 tps)"
    )
    assert clock.speak(10.2).thinking == late.llm_thinking  # also before the job is read again
    renewed = 12.0
    read(clock, late, renewed)
    assert clock.speak(15.4).thinking == late.llm_thinking
    ends = renewed + LEASE
    assert clock.speak(ends - LEASE * LATE - 0.1).thinking == late.llm_thinking
    assert clock.speak(ends - LEASE * LATE + 0.1).thinking == "Waiting for the worker... (14 s)"
    assert clock.speak(ends).thinking == "Worker lost, trying again (attempt 2)"


def test_a_worker_that_has_told_nothing_yet_is_spoken_for_by_the_jobs_step() -> None:
    begun = replace(RUNNING, current_step="Preparing the photo")
    assert open_clock(begun, INTERVAL, 0.0).speak(5.3).thinking == "Preparing the photo"


def test_tokens_do_not_restart_it() -> None:
    clock = open_clock(RUNNING, INTERVAL, 0.0)
    clock.hear(4.9, 8, is_paced=False)
    assert clock.should_speak(INTERVAL + GRACE_SECONDS)


def test_what_the_log_told_is_newer_than_the_job_that_was_read() -> None:
    clock = open_clock(QUEUED, INTERVAL, 0.0)
    read(clock, QUEUED, 0.0, Place(1, None))
    clock.hear(1.0, 2, is_paced=True)
    thinking, known = clock.speak(6.3)
    assert thinking.startswith("Waiting for the worker...")
    assert known == {}


def test_a_lost_worker_is_told_when_its_lease_ends_and_once() -> None:
    clock = open_clock(RUNNING, 60.0, 0.0)
    assert clock.compute_next_look() == 10.0
    assert clock.should_speak(10.0)
    assert clock.speak(10.0).thinking == "Worker lost, trying again (attempt 2)"
    assert not clock.should_speak(11.0)
    assert clock.compute_next_look() == 70.0


def test_events_that_the_read_job_knows_of_hide_no_lease() -> None:
    clock = open_clock(RUNNING, 1000.0, 0.0)
    read(clock, replace(RUNNING, last_seq=8, lease_seconds=3.0), 1.0)
    clock.hear(1.1, 8, is_paced=False)  # they were read after the job
    assert clock.compute_next_look() == 4.0
    assert clock.should_speak(4.0)


def test_a_silent_log_is_looked_at_for_its_lease() -> None:
    clock = open_clock(RUNNING, 600.0, 0.0)
    clock.hear(1.0, 8, is_paced=False)
    assert clock.compute_next_look() == 1.0 + LOOK_SECONDS
    clock.record_read(7.0)
    clock.record_answer()
    assert clock.compute_next_look() == 7.0 + LOOK_SECONDS
    clock.learn(replace(RUNNING, last_seq=8, lease_seconds=2.0), None, 7.0)
    assert clock.compute_next_look() == 9.0


def test_a_worker_is_not_lost_while_the_database_is_away() -> None:
    clock = open_clock(RUNNING, 60.0, 0.0)
    clock.record_read(9.0)
    assert not clock.should_speak(10.5)
    assert clock.speak(9.0 + AWAY_SECONDS).thinking == "Waiting for the database... (1 s)"


@pytest.mark.parametrize(
    ("job", "thinking"),
    [
        (replace(QUEUED, status=Status.PENDING), "Waiting to be started"),
        (QUEUED, "Waiting in queue"),
        (replace(RUNNING, failures=2, lease_seconds=-1.0), "Worker lost, too often to try again"),
    ],
)
def test_each_state_has_its_sentence(job: Job, thinking: str) -> None:
    assert open_clock(job, INTERVAL, 0.0).speak(INTERVAL).thinking == thinking


def test_a_clock_never_looks_in_the_past_for_ever() -> None:
    clock = open_clock(replace(RUNNING, lease_seconds=-1.0), INTERVAL, 0.0)
    assert clock.should_speak(0.0)
    clock.speak(0.0)
    assert math.isfinite(clock.compute_next_look())
    assert clock.compute_next_look() > 0.0
