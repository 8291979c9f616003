"""The commands of the service and for models, on ``cli.app``: importing this adds them."""

from mondrian.commands import checking, jobs, models, serving

__all__ = ["checking", "jobs", "models", "serving"]
