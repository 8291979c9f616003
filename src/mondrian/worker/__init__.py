"""Takes jobs from the queue and does them: claim, critique, append, end."""

from mondrian.worker.worker import VERDICTS, Verdict, Worker

__all__ = ["VERDICTS", "Verdict", "Worker"]
