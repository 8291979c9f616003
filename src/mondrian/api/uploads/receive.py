"""A request that brings a photo: from its form to its job, counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from mondrian.api.dependencies import House, IdempotencyKey, TheHouse, TheLinks, TheVisitor
from mondrian.api.links import Links
from mondrian.api.uploads.intake import Sender
from mondrian.api.uploads.multipart import receive_form
from mondrian.api.uploads.options import Wishes, read_wishes
from mondrian.errors import MondrianError
from mondrian.jobs.job import Job
from mondrian.photos import StoredPhoto, prepare_photo


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request to a house, and who sends it. Whatever is raised here left nothing behind."""

    request: Request
    house: House
    links: Links
    sender: Sender

    async def receive(self, *, is_waited_for: bool = False) -> tuple[Job, Wishes]:
        """Receive the form and make its job; one that ``is_waited_for`` begins at once."""
        with self.counted():
            async with receive_form(self.request, self.house.limits) as form:
                wishes = self.read_wishes(form.fields)
                wishes = replace(wishes, auto_analyze=wishes.auto_analyze or is_waited_for)
                job = await self.add(
                    lambda: prepare_photo(form.read_photo_bytes(), name=form.photo_name), wishes
                )
        return job, wishes

    async def add(self, read: Callable[[], StoredPhoto], wishes: Wishes) -> Job:
        """Make a job of the photo that ``read`` reads."""
        return await self.house.intake.add(read, wishes, self.sender)

    def read_wishes(self, fields: dict[str, str]) -> Wishes:
        """What ``fields`` ask for."""
        return read_wishes(fields, self.house.advisors, self.house.settings.advisor)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what becomes of the upload."""
        outcome = "internal_error"
        try:
            yield
            outcome = "accepted"
        except MondrianError as exc:
            outcome = exc.code
            raise
        finally:
            self.house.metrics.count_upload(outcome)


async def _arrival(
    request: Request,
    house: TheHouse,
    visitor: TheVisitor,
    links: TheLinks,
    idempotency_key: IdempotencyKey = None,
) -> Arrival:
    sender = Sender(owner=visitor.owner, base_url=links.base, idempotency_key=idempotency_key)
    return Arrival(request=request, house=house, links=links, sender=sender)


TheArrival = Annotated[Arrival, Depends(_arrival)]
