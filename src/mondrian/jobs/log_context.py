"""The job and the request that this thread or task works for, as log lines tell them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

_JOB_ID = ContextVar("job_id", default="")
_REQUEST_ID = ContextVar("request_id", default="")


@contextmanager
def logging_job(job_id: UUID) -> Iterator[None]:
    """Let all that is logged within the ``with`` be about this job."""
    token = _JOB_ID.set(str(job_id))
    try:
        yield
    finally:
        _JOB_ID.reset(token)


def begin_request(request_id: str, job_id: str = "") -> None:
    """Let all that is logged in this task from now on be about this request, and the job that it
    names, if any."""
    _REQUEST_ID.set(request_id)
    _JOB_ID.set(job_id)


def read_log_context() -> dict[str, str]:
    """Return ``job_id`` and ``request_id``, those that there are."""
    found = {"job_id": _JOB_ID.get(), "request_id": _REQUEST_ID.get()}
    return {name: value for name, value in found.items() if value}
