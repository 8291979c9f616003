"""The commands of the service and for models, on ``cli.app``: importing this adds them."""

from mondrian.commands import checking, jobs, models, pruning, serving

__all__ = ["checking", "jobs", "models", "pruning", "serving"]
