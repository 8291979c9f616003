"""What clients get: updates with all figures."""

import json
from dataclasses import asdict
from uuid import uuid4

from mondrian.engines import Phase, Token
from mondrian.engines.base import Basis
from mondrian.events import update_fields
from mondrian.jobs import EventType, Job
from mondrian.pacing import Pacer, Update
from mondrian.store import Store
from mondrian.stream.frames import encode_thinking

TOKEN = Token(
    text="a",
    generation_tokens=150,
    generation_tps=44.06,
    prompt_tokens=1024,
    prompt_tps=512.25,
    cached_tokens=768,
    peak_memory_gb=5.5,
    finish_reason="length",
)


def test_every_figure_of_a_token_is_told() -> None:
    pacer = Pacer(interval_seconds=5.0, started=100.0, sees=True)
    pacer.take(TOKEN, 100.0)
    [update] = [item for item in pacer.speak(100.0) if isinstance(item, Update)]
    told = update_fields(update)
    for name, figure in asdict(TOKEN).items():
        assert name == "text" or figure in told.values(), name
    assert told["prompt_tokens_per_second"] == 512.25
    assert told["cached_tokens"] == 768
    assert told["finish_reason"] == "length"


def test_every_update_has_the_same_fields(store: Store) -> None:
    """Whether the worker, the API's clock or an outside advisor speaks."""
    told = update_fields(
        Update(phase=Phase.LOADING, thinking="", elapsed_seconds=0, percent=0, basis=Basis.UNKNOWN)
    )
    frame = encode_thinking(uuid4(), "Waiting").wire.decode().partition("data: ")[2]
    job = Job(id=uuid4(), owner="anna", filename="f", photo_key="k", advisors=("ansel",))
    store.add(job)
    store.add_thinking(job.id, "A thought")
    [*_, outside] = store.events_after(job.id, 0, types=[EventType.THINKING_UPDATE])
    for each in (frame, outside.payload):
        assert set(json.loads(each)) - {"type", "job_id"} == set(told)
