"""Absolute addresses: clients take them out of an answer and use them as they are."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request

from mondrian.settings import Settings

_PREFIX = re.compile(r"(/[\w.~-]+){1,8}", re.ASCII)
"""What a proxy may say that it has taken off the paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Where things are for this client. ``base`` is scheme and host, no slash at its end.

    ``sign`` makes the token for a job's picture, or for an advisor's (``None``): who shows a page
    sends no key for them. It is empty where no token is needed.
    """

    base: str
    sign: Callable[[UUID | None], str] = lambda _: ""

    def of_job(self, job_id: UUID) -> dict[str, str]:
        """The three addresses that every answer about a job holds."""
        kinds = ("status", "stream", "analysis")
        return {f"{kind}_url": f"{self.base}/{kind}/{job_id}" for kind in kinds}

    def photo(self, job_id: UUID) -> str:
        """A job's photo, for a page."""
        return self._signed(f"{self.base}/photo/{job_id}.jpg", job_id)

    def portrait(self, advisor: str) -> str:
        """An advisor's portrait."""
        return self._signed(f"{self.base}/advisor_image/{quote(advisor)}.jpg", None)

    def artwork(self, advisor: str, number: int) -> str:
        """The picture that stands for an advisor's work; ``number`` counts from 1."""
        return self._signed(f"{self.base}/advisor_artwork/{quote(advisor)}/{number}.jpg", None)

    def _signed(self, url: str, job_id: UUID | None) -> str:
        token = self.sign(job_id)
        return f"{url}?token={token}" if token else url


def base_of(request: Request, settings: Settings) -> str:
    """Return where this server is for the sender of ``request``, without a slash at its end: as it
    reached us, or as ``settings.base_url`` says."""
    if settings.base_url:
        return settings.base_url.rstrip("/")
    host = request.headers.get("host", "localhost")
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{request.url.scheme}://{host}{prefix if _PREFIX.fullmatch(prefix) else ''}"
