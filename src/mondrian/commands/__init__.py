"""The commands of the service, on ``cli.app``: importing this adds them."""

from mondrian.commands import checking, jobs, serving

__all__ = ["checking", "jobs", "serving"]
