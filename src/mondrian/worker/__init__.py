"""Takes jobs from the queue and does them: claim, critique, append, end."""

from mondrian.worker.worker import Worker

__all__ = ["Worker"]
