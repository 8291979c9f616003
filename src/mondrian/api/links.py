"""Absolute URLs in answers, which clients use unchanged."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request

from mondrian.settings import Settings

_PREFIX = re.compile(r"(/[\w.~-]+){1,8}", re.ASCII)
"""A valid ``X-Forwarded-Prefix``: the prefix that a proxy strips from paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """The URLs for one client. ``base`` is scheme, host and prefix, without a trailing slash.

    ``sign`` returns the token for a job's picture, or for an advisor's (``None``): a page loads
    pictures without a key. It returns an empty string where no token is needed.
    """

    base: str
    sign: Callable[[UUID | None], str] = lambda _: ""

    def make_job_urls(self, job_id: UUID) -> dict[str, str]:
        """Return the three URLs that every answer about a job holds."""
        kinds = ("status", "stream", "analysis")
        return {f"{kind}_url": f"{self.base}/{kind}/{job_id}" for kind in kinds}

    def make_photo_url(self, job_id: UUID) -> str:
        """Return the URL of a job's photo."""
        return self._sign_url(f"{self.base}/photo/{job_id}.jpg", job_id)

    def make_portrait_url(self, advisor: str) -> str:
        """Return the URL of an advisor's portrait."""
        return self._sign_url(f"{self.base}/advisor_image/{quote(advisor)}.jpg", None)

    def make_artwork_url(self, advisor: str, number: int) -> str:
        """Return the URL of the picture for an advisor's work; ``number`` counts from 1."""
        return self._sign_url(f"{self.base}/advisor_artwork/{quote(advisor)}/{number}.jpg", None)

    def _sign_url(self, url: str, job_id: UUID | None) -> str:
        token = self.sign(job_id)
        return f"{url}?token={token}" if token else url


def find_base_url(request: Request, settings: Settings) -> str:
    """Return this server's URL for the client of ``request``, without a trailing slash: from
    ``settings.base_url``, or else from ``Host`` and ``X-Forwarded-Prefix``."""
    if settings.base_url:
        return settings.base_url.rstrip("/")
    host = request.headers.get("host", "localhost")
    prefix = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    return f"{request.url.scheme}://{host}{prefix if _PREFIX.fullmatch(prefix) else ''}"
