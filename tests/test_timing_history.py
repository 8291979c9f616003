"""What critiques took is kept, and found again by kind."""

from collections import Counter

from mondrian.critiques.history import NEWEST, TimingRecord, find_typical
from mondrian.engines.base import Basis
from mondrian.jobs.store import Store


def test_history_is_kept_per_engine_and_model(store: Store) -> None:
    for tokens in (100, 200):
        store.record_history(
            TimingRecord(
                engine="replay:x",
                model="m",
                advisor="ansel",
                megapixels=12.2,
                generation_tokens=tokens,
                seconds=2.5,
            )
        )
    assert [found.generation_tokens for found in store.read_history("replay:x", "m")] == [200, 100]
    assert store.read_history("replay:x", "other") == []


def test_a_kind_that_is_done_seldom_is_not_forgotten(store: Store) -> None:
    def took(advisor: str, megapixels: float, seconds: float) -> None:
        figures = TimingRecord(
            engine="e", model="m", advisor=advisor, megapixels=megapixels, generation_tokens=100,
            load_seconds=0.0, seconds=seconds, measure_seconds=0.0,
        )  # fmt: skip
        store.record_history(figures)

    for _ in range(5):
        took("ansel", 0.0, 100.0)
    for _ in range(NEWEST + 5):
        took("ansel", 12.0, 50.0)
        took("gogh", 12.0, 10.0)
    found = store.read_history("e", "m")
    assert Counter((each.advisor, each.seconds) for each in found) == {
        ("ansel", 100.0): 5, ("ansel", 50.0): NEWEST, ("gogh", 10.0): NEWEST
    }  # fmt: skip
    usual = find_typical(found, engine="e", advisor="ansel", megapixels=0.0)
    assert usual
    assert (usual.basis, usual.seconds()) == (Basis.MEASURED, 100.0)
    assert store.read_usual_seconds() == {"ansel": 50.0, "gogh": 10.0, None: 50.0}
