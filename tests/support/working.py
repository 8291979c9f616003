"""Workers for tests: recordings that play an answer, photos, jobs, and waiting for what they do."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from PIL import Image

from mondrian.advisors import load_advisors
from mondrian.answers import DIMENSIONS
from mondrian.database.listen import Listener
from mondrian.engines import Engine
from mondrian.engines.native.engine import HostedEngine
from mondrian.engines.replay import record
from mondrian.jobs.job import Event, Job
from mondrian.jobs.sql import JOBS_CHANNEL
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.settings import Settings
from mondrian.worker import Worker
from support.readers import photo_readers

T = TypeVar("T")

Hire = Callable[..., Worker]
"""Makes a worker of an engine's URL and settings: the fixture ``hire``."""

DEADLINE_SECONDS = 30.0


def make_worker(
    store: Store, photos: PhotoStore, engine: Engine, database: str, **settings: Any
) -> Worker:
    """A worker on ``engine``, with all advisors."""
    return Worker(
        store,
        photos,
        photo_readers(),
        engine,
        listener=Listener(database, JOBS_CHANNEL),
        advisors=load_advisors(),
        settings=Settings(**settings),
    )


def answer() -> str:
    """The answer of a model that follows its instructions."""
    dimension = {"score": 6, "comment": "Seen.", "recommendation": "Go on."}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    return json.dumps({"image_description": "A photo.", "dimensions": dimensions})


def recording(
    folder: Path,
    *before: dict[str, Any],
    pause: float = 0.005,
    after: tuple[dict[str, Any], ...] = (),
) -> str:
    """The URL of an engine that plays ``before``, then an answer in pieces of two tokens, each
    after a ``pause``, with ``after`` in its middle."""
    text = answer()
    pieces = [text[n : n + 8] for n in range(0, len(text), 8)]
    said = [{"after": pause, "text": piece, "tokens": 2} for piece in pieces]
    path = folder / f"{uuid4()}.jsonl"
    half = len(said) // 2
    record(path, [*before, *said[:half], *after, *said[half:], {"finish": "stop"}])
    return f"replay:{path}"


def jpeg(width: int = 96, height: int = 64, seed: int = 1) -> bytes:
    """A small photo of nothing much; another one for another ``seed``."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG")
    return encoded.getvalue()


def add_job(
    store: Store, photos: PhotoStore, *advisors: str, photo: bytes | None = None, **fields: Any
) -> Job:
    """A queued job with its photo."""
    key = f"{uuid4()}.jpg"
    photos.put(key, jpeg() if photo is None else photo)
    fields = {"owner": "anna", "filename": "p.jpg"} | fields
    return store.add(Job(id=uuid4(), photo_key=key, advisors=advisors or ("ansel",), **fields))


@contextmanager
def at_work(worker: Worker) -> Iterator[threading.Thread]:
    """The worker works for the time of the ``with``."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


def wait_for(ask: Callable[[], T | None], seconds: float = DEADLINE_SECONDS) -> T:
    """What ``ask`` says as soon as it says something true."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.02)
    return found


def wait_for_end(store: Store, job: Job, seconds: float = DEADLINE_SECONDS) -> Job:
    """The job, when it has ended."""

    def ask() -> Job | None:
        now = store.read(job.id)
        return now if now.is_ended else None

    return wait_for(ask, seconds)


def log_of(store: Store, job: Job) -> list[tuple[str, dict[str, Any]]]:
    """Types and payloads of the job's log."""
    return [(event.type, payload(event)) for event in store.read_events(job.id, 0)]


def payload(event: Event) -> dict[str, Any]:
    """The content of the event."""
    told: dict[str, Any] = json.loads(event.payload)
    return told


def text_of(log: list[tuple[str, dict[str, Any]]], attempt: int, advisor: str = "ansel") -> str:
    """The tokens of an attempt, joined."""
    return "".join(
        told["text"]
        for kind, told in log
        if kind == "token" and (told["attempt"], told["advisor"]) == (attempt, advisor)
    )


def count_events(log: list[tuple[str, dict[str, Any]]]) -> int:
    """How many events of the first five types a client sees; ``connected`` is the first."""
    kinds = ("status_update", "thinking_update", "analysis_complete", "error")
    return 1 + sum(kind in kinds for kind, _ in log)


def engine_of(worker: Worker) -> HostedEngine:
    """The worker's engine."""
    engine = worker._engine
    assert isinstance(engine, HostedEngine)
    return engine
