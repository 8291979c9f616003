"""The figures of one worker, for Prometheus."""

from collections.abc import Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from mondrian.jobs.job import Claim

_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 10800)
"""Seconds: an answer of a recording, a vision model on a processor, a night's queue."""


class Figures:
    """Counts of one worker since it began. For any number of threads."""

    def __init__(self) -> None:
        self._attempts = Counter(
            "mondrian_attempts",
            "Ended attempts, by outcome: done, or the code of an error.",
            ["outcome"],
            registry=None,
        )
        self._reclaims = Counter(
            "mondrian_reclaims", "Jobs taken over from lost workers.", registry=None
        )
        self._waits = Histogram(
            "mondrian_wait_seconds",
            "Seconds from the upload of a job to its first attempt.",
            buckets=_BUCKETS,
            registry=None,
        )
        self._runs = Histogram(
            "mondrian_run_seconds",
            "Seconds of an attempt, from its claim to its end.",
            buckets=_BUCKETS,
            registry=None,
        )

    def count_claim(self, claim: Claim) -> None:
        """Count a claim, and how long its job has waited if it is the first."""
        job = claim.job
        if claim.is_takeover:
            self._reclaims.inc()
        elif job.attempt == 1 and job.started_at:
            self._waits.observe((job.started_at - job.created_at).total_seconds())

    def count_attempt(self, outcome: str, seconds: float) -> None:
        """Count an attempt that has ended."""
        self._attempts.labels(outcome).inc()
        self._runs.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for each in (self._attempts, self._reclaims, self._waits, self._runs):
            yield from each.collect()
