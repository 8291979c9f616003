"""The queue: positions, waiting times, and their wording."""

import json
import random
from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from mondrian.critiques.history import TimingRecord
from mondrian.database.postgres import Pool
from mondrian.engines.base import Basis
from mondrian.jobs import queue as queue_module
from mondrian.jobs.job import Claim, Entry, EventType, Job, Status
from mondrian.jobs.queue import Place, Places, Queue, predict_places
from mondrian.jobs.store import Running, Store, Waiting
from mondrian.photos import PhotoStore
from support.working import Hire, add_job, at_work, recording, wait_for, wait_for_end

USUAL: dict[str | None, float] = {"ansel": 60.0, "okeefe": 20.0, None: 40.0}


def running(eta: float | None, ago: float = 0.0, **changes: Any) -> Running:
    told = f'{{"eta_seconds":{"null" if eta is None else eta},"elapsed_seconds":15.0}}'
    fields: dict[str, Any] = {
        "id": uuid4(), "owner": "anna", "advisors": ("ansel",), "is_lost": False,
        "latest_update": told, "update_seconds_ago": ago,
    }  # fmt: skip
    return Running(**fields | changes)


def waits(runs: list[Running], *advisors: tuple[str, ...], **usual: Any) -> list[float | None]:
    """The seconds that each of the jobs in the queue waits."""
    ids = [uuid4() for _ in advisors]
    queue = [Waiting("anna", [each.bytes for each in ids], [",".join(each) for each in advisors])]
    places = [
        place_in(predict_places(queue, runs, usual.get("usual", USUAL)), each) for each in ids
    ]
    assert [place.position for place in places] == list(range(1, len(ids) + 1))
    return [place.eta_seconds for place in places]


def place_in(places: Places, job_id: UUID) -> Place:
    place = places.get(job_id)
    assert place
    return place


ANSEL, BOTH, NEW = ("ansel",), ("ansel", "okeefe"), ("somebody",)


def test_a_job_waits_for_those_before_it() -> None:
    assert waits([running(10, ago=4)], ANSEL, BOTH, NEW, ANSEL) == [6, 66, 146, 186]


def test_each_worker_takes_the_next_job() -> None:
    assert waits([running(10), running(50)], ANSEL, BOTH, ANSEL, ANSEL) == [10, 50, 70, 130]


def test_a_lost_job_goes_before_all_others_and_its_worker_does_not_count() -> None:
    lost = running(5, is_lost=True)
    assert waits([running(10), lost], ANSEL) == [70]
    assert waits([lost], ANSEL) == [None]


def test_an_update_that_is_late_is_not_believed_below_nothing() -> None:
    assert waits([running(3, ago=9)], ANSEL) == [0]


def test_a_running_job_without_a_time_takes_what_is_usual() -> None:
    assert waits([running(None, ago=5)], ANSEL) == [40]
    assert waits([running(None, ago=0, latest_update=None)], ANSEL) == [60]


def test_nothing_is_guessed() -> None:
    assert waits([], ANSEL) == [None]  # nobody works
    assert waits([running(10)], ANSEL, ANSEL, usual={}) == [10, None]
    assert waits([running(None)], ANSEL, usual={}) == [None]


def test_what_ends_first_decides_whose_turn_it_is() -> None:
    """Ben has one job under way, which ends first, and Anna two: his is next."""
    runs = [running(90), running(50), running(10, owner="ben")]
    ids = [uuid4() for _ in range(4)]
    queue = [
        Waiting(owner, [each.bytes for each in ids[first::2]], ["ansel"] * 2)
        for owner, first in (("anna", 0), ("ben", 1))
    ]
    places = [place_in(predict_places(queue, runs, USUAL), each) for each in ids]
    assert [place.position for place in places] == [2, 1, 4, 3]
    assert [place.eta_seconds for place in places] == [50, 10, 90, 70]


@pytest.mark.parametrize("seed", range(8))
def test_positions_are_the_order_in_which_workers_take_the_jobs(store: Store, seed: int) -> None:
    luck = random.Random(seed)
    owners = "abcdef"[: luck.randint(1, 6)]
    claims = deque[Claim]()
    for _ in range(60):
        add(store, "ansel", owner=luck.choice(owners))
        if luck.random() < 0.4 and (claim := store.claim("worker", 600.0)):
            claims.append(claim)
        if len(claims) > seed:  # with seed 0 nobody works
            store.finish(claims.popleft())
    places = Queue(store).read_places()
    queue = sorted((place, UUID(bytes=job)) for job, place in places.positions.items())
    taken = list[tuple[int, UUID]]()
    while len(taken) < len(queue):
        if claims:
            store.finish(claims.popleft())  # nothing is known of their ends: the first began first
        claim = store.claim("worker", 600.0)
        assert claim
        if seed:
            claims.append(claim)
        taken.append((len(taken) + 1, claim.job.id))
    assert taken == queue


def simulate_plainly(
    waiting: list[Waiting], runs: list[Running], seconds: dict[str, float]
) -> tuple[list[bytes], list[float]]:
    """The rule 1 of the queue, job by job; all running jobs end when they say so."""
    queues = {each.owner: deque(zip(each.ids, each.advisors, strict=True)) for each in waiting}
    turns = {owner: turn for turn, owner in enumerate(queues)}
    ends = [(json.loads(run.latest_update or "")["eta_seconds"], run.owner) for run in runs]
    counts = Counter(run.owner for run in runs)
    order, starts = list[bytes](), list[float]()
    while left := [owner for owner, queue in queues.items() if queue]:
        start, ended = ends.pop(min(range(len(ends)), key=lambda n: ends[n][0]))
        counts[ended] -= 1
        owner = min(left, key=lambda owner: (counts[owner], turns[owner]))
        job, advisors = queues[owner].popleft()
        order.append(job)
        starts.append(start)
        counts[owner] += 1
        turns[owner] = len(queues) + len(order)
        ends.append((start + seconds[advisors], owner))
    return order, starts


@pytest.mark.parametrize("seed", range(60))
def test_places_are_those_of_a_plain_simulation(seed: int) -> None:
    """With more owners than workers and with fewer, in rotation and out of it."""
    luck = random.Random(seed)
    owners, workers = luck.choice((1, 2, 5, 12)), luck.choice((1, 2, 4))
    seconds = {"ansel": 30.0, "okeefe": luck.choice((30.0, 20.0, 400.0))}
    queue = [
        Waiting(f"owner {n}", [uuid4().bytes for _ in range(length)],
                luck.choices(["ansel", "okeefe"], k=length))
        for n in range(owners) if (length := luck.choice((5, 5, 5, 1, 9)))
    ]  # fmt: skip
    runs = [
        running(luck.choice((0, 7, 7, 60)), owner=f"owner {luck.choice((owners - n, n))}")
        for n in range(workers)
    ]
    usual: dict[str | None, float] = {None: 1.0}
    usual.update(seconds.items())
    places = predict_places(queue, runs, usual)
    order, starts = simulate_plainly(queue, runs, seconds)
    assert (list(places.positions), places.starts) == (order, starts)
    assert list(places.positions.values()) == list(range(1, len(order) + 1))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""), (0, ", about 10 seconds"), (44, ", about 40 seconds"),
        (89, ", about 90 seconds"), (95, ", about 2 minutes"), (3000, ", about 50 minutes"),
        (7300, ", about 2 hours"),
    ],
)  # fmt: skip
def test_the_sentence_begins_as_clients_know_it(seconds: float | None, said: str) -> None:
    assert str(Place(3, seconds)) == "Waiting in queue (position 3)" + said
    assert str(Place(None, seconds)) == "Waiting in queue"


def add(store: Store, *advisors: str, owner: str = "anna") -> UUID:
    job = Job(id=uuid4(), owner=owner, filename="f", photo_key="k", advisors=advisors)
    return store.add(job).id


def test_only_the_engine_at_work_tells_what_is_usual(store: Store) -> None:
    """After a change of engine, what the old one took says nothing."""

    def took(engine: str, advisor: str, seconds: float) -> None:
        figures = TimingRecord(
            engine=engine, model="m", advisor=advisor, megapixels=1.0, generation_tokens=1,
            seconds=seconds,
        )  # fmt: skip
        store.record_history(figures)

    for _ in range(50):
        took("slow", "ansel", 900.0)
        took("slow", "gogh", 900.0)
    assert store.read_usual_seconds() == {"ansel": 900.0, "gogh": 900.0, None: 900.0}
    took("fast", "ansel", 60.0)
    assert store.read_usual_seconds() == {"ansel": 60.0, None: 60.0}


def test_the_queue_is_read_from_the_database(store: Store) -> None:
    for advisor, seconds in (("ansel", 70.0), ("ansel", 9000.0), ("ansel", 70.0), ("gogh", 30.0)):
        store.record_history(
            TimingRecord(
                engine="e", model="m", advisor=advisor, megapixels=1.0, generation_tokens=1,
                load_seconds=10.0, seconds=seconds,
            )
        )  # fmt: skip
    first, second, third = add(store, "ansel"), add(store, "ansel", "gogh"), add(store, "okeefe")
    queue = Queue(store)
    assert queue.fresh is None
    assert queue.read_places().get(second) == Place(2, None)  # nobody works
    assert queue.fresh == queue.read_places()
    claim = store.claim("worker", 60.0)
    assert claim
    for eta in (99.0, 12.0):
        told = {"eta_seconds": eta, "elapsed_seconds": 1.0}
        store.append(claim, [Entry(EventType.THINKING_UPDATE, told)])
    read = Queue(store).read_places()
    places = {job: place_in(read, job) for job in (first, second, third)}
    assert places[first].position is None
    assert places[first].eta_seconds == pytest.approx(12, abs=3)
    assert places[second].position == 1
    assert places[second].basis is Basis.ESTIMATED
    assert places[second].eta_seconds == places[first].eta_seconds
    wait = places[third].eta_seconds
    assert wait == pytest.approx(12 + 60 + 20, abs=3)
    store.finish(claim)
    assert Queue(store).read_places().get(first) is None


def test_what_an_outside_advisor_thinks_tells_no_time(store: Store) -> None:
    first, second = add(store, "ansel"), add(store, "ansel")
    claim = store.claim("worker", 60.0)
    assert claim
    told = {"eta_seconds": 5.0, "elapsed_seconds": 95.0}
    store.append(claim, [Entry(EventType.THINKING_UPDATE, told)])
    store.add_thinking(first, "Look at that light.")
    assert place_in(Queue(store).read_places(), second).eta_seconds == pytest.approx(5, abs=3)


def test_a_hundred_uploads_of_one_hold_up_another_for_one_job_a_worker(
    hire: Hire, store: Store, photos: PhotoStore, tmp_path: Path
) -> None:
    url = recording(tmp_path, pause=0.002)
    crowd = [add_job(store, photos, owner="anna") for _ in range(100)]

    def started() -> list[datetime]:
        return [at for each in crowd if (at := store.read(each.id).started_at)]

    with at_work(hire(url)), at_work(hire(url)):
        wait_for(lambda: len(started()) > 4)
        first = add_job(store, photos, owner="ben")
        done = wait_for_end(store, first)
        assert done.started_at
        before = [at for at in started() if first.created_at < at < done.started_at]
    assert (done.status, len(before) <= 2) == (Status.DONE, True)


def test_newcomers_do_not_make_a_long_queue_be_read_more_often(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Store):
        reads = 0

        def list_waiting(self) -> list[Waiting]:
            self.reads += 1
            return super().list_waiting()

    clock = [100.0]
    monkeypatch.setattr(queue_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    store = Counting(pool)
    queue = Queue(store)

    def slowly(*_: Any) -> Places:
        clock[0] += 0.1
        return predict_places(*_)

    monkeypatch.setattr(queue_module, "predict_places", slowly)
    first = add(store, "ansel")
    assert queue.find_place(first) == Place(1, None)
    newcomers = [add(store, "ansel") for _ in range(5)]
    assert [queue.find_place(each) for each in newcomers] == [None] * 5
    assert store.reads == 1
    clock[0] += 0.5
    assert [queue.find_place(each) for each in newcomers] == [Place(n, None) for n in range(2, 7)]
    assert store.reads == 2
