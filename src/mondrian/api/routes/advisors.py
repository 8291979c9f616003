"""Who critiques, and the pictures that stand for them."""

import re
import time
from typing import Annotated, NoReturn

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from mondrian.advisors import Advisor, Artwork
from mondrian.api.dependencies import LinksDep, Services, ServicesDep
from mondrian.api.drawings import FORMATS, card, portrait
from mondrian.api.links import Links
from mondrian.api.openapi import content, refusals
from mondrian.api.pages import document
from mondrian.api.schemas import AdvisorEntry, AdvisorList, ArtworkEntry, FocusAreaEntry

router = APIRouter(tags=["advisors"], responses=refusals(404))

Name = Annotated[str, Path(description="An advisor's id.", examples=["ansel"])]
_PICTURE = content("image/jpeg", "image/png")
_A_DAY = {"Cache-Control": "private, max-age=86400"}


@router.get("/advisors", summary="Who can critique")
async def list_advisors(services: ServicesDep, links: LinksDep) -> AdvisorList:
    """Everyone, with a portrait that we drew."""
    entries = [_entry(advisor, links) for advisor in services.advisors.values()]
    return AdvisorList(advisors=entries, count=len(entries), timestamp=time.time())


@router.get("/advisors/{advisor}", summary="One advisor")
async def read_advisor(advisor: Name, services: ServicesDep, links: LinksDep) -> AdvisorEntry:
    """One advisor."""
    return _entry(_find(advisor, services), links)


@router.get("/advisor/{advisor}", response_class=HTMLResponse, summary="One advisor, as a page")
async def show_advisor(advisor: Name, services: ServicesDep, links: LinksDep) -> HTMLResponse:
    """One advisor, as a page."""
    entry = _entry(_find(advisor, services), links)
    return document("advisor", title=entry.name, advisor=entry)


@router.get(
    "/advisor_image/{file}",
    summary="A monogram",
    response_class=Response,
    responses={200: _PICTURE},
)
def show_portrait(
    file: Annotated[str, Path(description="`<id>`, `<id>.jpg` or `<id>.png`.", examples=["ansel"])],
    services: ServicesDep,
) -> Response:
    """A monogram, the same each time; JPEG unless the name says otherwise."""
    name, ending = _split(file)
    return _picture(portrait(_find(name, services).name, ending), ending)


@router.get(
    "/advisor_artwork/{advisor}/{file}",
    summary="A card for a work",
    response_class=Response,
    responses={200: _PICTURE},
)
def show_artwork(
    advisor: Name,
    file: Annotated[
        str, Path(description="The work's number, from 1, or its title.", examples=["1.jpg"])
    ],
    services: ServicesDep,
) -> Response:
    """A card that we drew: title and year, not the work."""
    name, ending = _split(file)
    works = _find(advisor, services).artworks
    known = {_plain(work.title): work for work in works}
    known |= {str(number): work for number, work in enumerate(works, start=1)}
    work: Artwork = known.get(_plain(name)) or _missing("There is no such work.")
    return _picture(card(work.title, work.year, ending), ending)


def _find(name: str, services: Services) -> Advisor:
    return services.advisors.get(name) or _missing("There is no such advisor. See /advisors.")


def _missing(words: str) -> NoReturn:
    raise HTTPException(404, words)


def _split(file: str) -> tuple[str, str]:
    name, dot, ending = file.rpartition(".")
    return (name, ending.lower()) if dot and ending.lower() in FORMATS else (file, "jpg")


def _plain(title: str) -> str:
    return re.sub(r"\W+", "", title).casefold()


def _picture(picture: bytes, ending: str) -> Response:
    return Response(picture, media_type=f"image/{FORMATS[ending].lower()}", headers=_A_DAY)


def _entry(advisor: Advisor, links: Links) -> AdvisorEntry:
    same = ("id", "name", "specialty", "bio", "years")
    return AdvisorEntry(
        **{name: getattr(advisor, name) for name in same},
        focus_areas=[
            FocusAreaEntry(title=area.title, description=area.description)
            for area in advisor.focus_areas
        ],
        image_url=links.portrait(advisor.id),
        artworks=[
            ArtworkEntry(title=work.title, year=work.year, url=links.artwork(advisor.id, number))
            for number, work in enumerate(advisor.artworks, start=1)
        ],
    )
