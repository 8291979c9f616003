"""Takes jobs from the queue and does them: claim, critique, append, end."""

from mondrian.worker.worker import RETRY_POLICIES, RetryPolicy, Worker

__all__ = ["RETRY_POLICIES", "RetryPolicy", "Worker"]
