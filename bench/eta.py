"""How good percent and expected time are: random recordings through a real worker and PostgreSQL.

Five jobs of each kind teach, then forty are measured, which teach those that follow. Answers differ
in length (a factor for each answer and one for each of its parts, lognormal), prompts in length
with the photo, speeds by a tenth. Recordings are of about a minute, played thirty times as fast.
The limits: a quarter into the job the median error of the expected time, as a share of what really
remained, is at most 15 %; percent never goes back, and while tokens come it moves within two
intervals.
"""

import argparse
import io
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from PIL import Image

from mondrian.advisors import load_advisors
from mondrian.answers import DIMENSIONS
from mondrian.database.embedded import EmbeddedServer
from mondrian.database.listen import Listener
from mondrian.database.postgres import normalize_url, open_pool
from mondrian.database.schema import migrate
from mondrian.engines import open_engine
from mondrian.engines.replay import record
from mondrian.jobs.job import Job
from mondrian.jobs.sql import JOBS_CHANNEL
from mondrian.jobs.store import Store
from mondrian.measurements import prepare
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.settings import Settings
from mondrian.worker import Worker

LIMIT = 0.15
SPEED = 30
INTERVAL = 0.1
TEACHING = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # of words that differ: else the answer is a loop
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Kind:
    """Jobs that are alike: who critiques, and a photo of that size."""

    advisors: tuple[str, ...]
    width: int
    height: int
    prompt_tokens: int


KINDS = (
    Kind(("ansel",), 480, 320, 500),
    Kind(("ansel",), 1320, 880, 1400),
    Kind(("okeefe",), 480, 320, 500),
    Kind(("ansel", "okeefe"), 480, 320, 500),
)


@dataclass(frozen=True)
class Ride:
    """One job as it was seen: the seconds it took, and its updates with the time of each."""

    kind: Kind
    seconds: float
    updates: Sequence[tuple[float, dict[str, Any]]]

    def error(self, share: float) -> float:
        """How wrong the expected time was so far into the job, as a share of what remained."""
        at = self.seconds * share
        before, update = next(each for each in reversed(self.updates) if each[0] <= at)
        if update["eta_seconds"] is None:
            return 1.0
        remained = self.seconds - before
        return float(abs(update["eta_seconds"] - remained) / remained)

    @property
    def goes_back(self) -> bool:
        """Whether percent ever does."""
        percents = [update["percent"] for _, update in self.updates]
        return percents != sorted(percents)

    @property
    def stuck(self) -> int:
        """The most intervals for which percent did not move while tokens came."""
        run = longest = 0
        for (_, before), (_, update) in itertools.pairwise(self.updates):
            has_tokens = (update["tokens"] or 0) > (before["tokens"] or 0)
            run = run + 1 if has_tokens and update["percent"] == before["percent"] else 0
            longest = max(longest, run)
        return longest


def main() -> None:
    """Print a line per measured job, then the medians and whether they hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, rides = random.Random(options.seed), list[Ride]()
    print(f"{'advisors':14} {'photo':>9} {'seconds':>7}   error at 25 %    50 %    75 %  stuck")
    with (
        tempfile.TemporaryDirectory(prefix="mondrian-eta-") as folder,
        services(Path(folder)) as do,
    ):
        for kind in [kind for kind in KINDS for _ in range(TEACHING)]:
            do(kind, rng)
        for _, kind in zip(range(options.jobs), itertools.cycle(KINDS), strict=False):
            rides.append(do(kind, rng))
            print(row(rides[-1]), flush=True)
    if not conclude(rides):
        sys.exit(1)


def row(ride: Ride) -> str:
    """The table's line of one job."""
    size = f"{ride.kind.width}x{ride.kind.height}"
    errors = "".join(f"{ride.error(share):8.1%}" for share in QUARTERS)
    back = "  BACK" if ride.goes_back else ""
    names = ",".join(ride.kind.advisors)
    return f"{names:14} {size:>9} {ride.seconds:7.2f}        {errors}  {ride.stuck:5}{back}"


def conclude(rides: Sequence[Ride]) -> bool:
    """Print what all rides together say. Returns whether the limits hold."""
    errors = {share: median(ride.error(share) for ride in rides) for share in QUARTERS}
    stuck, back = max(ride.stuck for ride in rides), sum(ride.goes_back for ride in rides)
    lengths = [ride.seconds for ride in rides]
    print(f"\n{len(rides)} jobs of {min(lengths):.1f} to {max(lengths):.1f} s at {SPEED}x")
    print("median error: " + ", ".join(f"{e:.1%} at {s:.0%}" for s, e in errors.items()))
    print(f"percent went back in {back} jobs; longest without moving: {stuck} intervals")
    holds = errors[0.25] <= LIMIT and not back and stuck <= 2
    print(f"limits: {LIMIT:.0%} at 25%, never back, 2 intervals: {'hold' if holds else 'MISSED'}")
    return holds


@contextmanager
def services(folder: Path) -> Iterator[Any]:
    """A worker on a database of its own; called with a kind it does a job of it."""
    path = folder / "recording.jsonl"
    path.touch()
    server = EmbeddedServer(folder / "home")
    url = normalize_url(server.url)
    migrate(url)
    photos = PhotoStore.open((folder / "photos").as_uri())
    with (
        open_pool(url) as pool,
        closing(open_engine(f"replay:{path}?speed={SPEED}")) as engine,
        closing(PhotoReaders(1, prepare=prepare)) as readers,
    ):
        store = Store(pool)
        worker = Worker(
            store,
            photos,
            readers,
            engine,
            listener=Listener(url, JOBS_CHANNEL),
            advisors=load_advisors(),
            settings=Settings(home=folder, update_interval=INTERVAL),
        )

        def do(kind: Kind, rng: random.Random) -> Ride:
            record(path, recording(kind, rng))
            job = add(store, photos, kind)
            while not store.read(job.id).is_ended:
                time.sleep(0.01)
            return ride(store, store.read(job.id), kind)

        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield do
        finally:
            worker.stop()
            thread.join()
    server.close()


def recording(kind: Kind, rng: random.Random) -> Iterator[dict[str, object]]:
    """A minute or so of prefill and an answer, of random lengths and speeds."""
    yield {"phase": "loading"}
    yield {"after": 2 * rng.lognormvariate(0, 0.1), "phase": "encoding"}
    yield {"after": 3 * rng.lognormvariate(0, 0.1), "phase": "prefill"}
    per_token = 0.012 * rng.lognormvariate(0, 0.1)
    for done in range(0, kind.prompt_tokens, 128):
        told = {"phase": "prefill", "done": done, "total": kind.prompt_tokens}
        yield {"after": min(128, kind.prompt_tokens - done) * per_token, **told}
    pause, verbosity = 0.022 * rng.lognormvariate(0, 0.1), rng.lognormvariate(0, 0.15)
    for text, usual in parts():
        count = round(usual * verbosity * rng.lognormvariate(0, 0.25))
        words = "".join(" " + "".join(rng.choices(LETTERS, k=4)) for _ in range(count))
        for piece in pieces(text.replace("@", words)):
            yield {"after": 2 * pause, "text": piece, "tokens": 2}
    yield {"finish": "stop"}


def parts() -> Iterator[tuple[str, int]]:
    """The parts of an answer, ``@`` for its words, and how many there are usually."""
    yield '{"image_description": "A coast.@", "dimensions": [', 40
    for name in DIMENSIONS:
        comma = "" if name == DIMENSIONS[-1] else ","
        yield f'{{"name": "{name}", "score": 6, "comment": "Seen.@", "recommendation": ', 55
        yield f'"Go on.@"}}{comma}', 25
    yield "]}", 0


def pieces(text: str) -> Iterator[str]:
    """``text`` as two tokens at a time."""
    for start in range(0, len(text), 10):
        yield text[start : start + 10]


def add(store: Store, photos: PhotoStore, kind: Kind) -> Job:
    """A queued job of that kind."""
    encoded, key = io.BytesIO(), f"{uuid4()}.jpg"
    Image.effect_noise((kind.width, kind.height), 40).convert("RGB").save(encoded, "JPEG")
    photos.put(key, encoded.getvalue())
    return store.add(
        Job(
            id=uuid4(),
            owner="bench",
            filename="p.jpg",
            photo_key=key,
            width=kind.width,
            height=kind.height,
            advisors=kind.advisors,
        )
    )


def ride(store: Store, job: Job, kind: Kind) -> Ride:
    """What the log of ``job`` tells."""
    assert job.started_at, job
    assert job.completed_at, job
    events = store.read_events(job.id, 0, 10_000)
    updates = [
        ((event.created_at - job.started_at).total_seconds(), json.loads(event.payload))
        for event in events
        if event.type == "thinking_update"
    ]
    return Ride(kind, (job.completed_at - job.started_at).total_seconds(), updates)


if __name__ == "__main__":
    main()
