"""Absolute addresses: clients take them out of an answer and use them as they are."""

from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request

from mondrian.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Where things are for this client. ``base`` is scheme and host, no slash at its end.

    ``token`` goes into the addresses of pictures: who shows a page sends no key for them.
    """

    base: str
    token: str = ""

    @classmethod
    def of(cls, request: Request, settings: Settings, token: str = "") -> "Links":
        """The links as ``request`` reached us, or as ``settings.base_url`` says."""
        base = settings.base_url or f"{request.url.scheme}://{request.headers['host']}"
        return cls(base=base.rstrip("/"), token=token)

    def of_job(self, job_id: UUID) -> dict[str, str]:
        """The three addresses that every answer about a job holds."""
        kinds = ("status", "stream", "analysis")
        return {f"{kind}_url": f"{self.base}/{kind}/{job_id}" for kind in kinds}

    def photo(self, job_id: UUID) -> str:
        """A job's photo, for a page."""
        return self._with_token(f"{self.base}/photo/{job_id}.jpg")

    def portrait(self, advisor: str) -> str:
        """An advisor's portrait."""
        return self._with_token(f"{self.base}/advisor_image/{quote(advisor)}.jpg")

    def artwork(self, advisor: str, number: int) -> str:
        """The picture that stands for an advisor's work; ``number`` counts from 1."""
        return self._with_token(f"{self.base}/advisor_artwork/{quote(advisor)}/{number}.jpg")

    def _with_token(self, url: str) -> str:
        return f"{url}?token={quote(self.token)}" if self.token else url
