"""Advisors, and their generated pictures."""

import re
from datetime import UTC, datetime
from typing import Annotated, NoReturn

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mondrian.advisors import Advisor, Artwork, find_advisor
from mondrian.api.caching import KEPT, make_etag, not_modified
from mondrian.api.dependencies import LinksDep, Services, ServicesDep
from mondrian.api.drawings import FORMATS, draw_card, draw_portrait
from mondrian.api.links import Links
from mondrian.api.openapi import describe_content, describe_errors
from mondrian.api.pages import render_document
from mondrian.api.schemas import (
    AdvisorDetail,
    AdvisorEntry,
    AdvisorList,
    ArtworkEntry,
    FocusAreaEntry,
)
from mondrian.errors import UnknownAdvisor

router = APIRouter(tags=["advisors"], responses=describe_errors(404))

Name = Annotated[str, Path(description="An advisor's id.", examples=["ansel"])]
_PICTURE = describe_content("image/jpeg", "image/png")


@router.get("/advisors", summary="Who can critique")
async def list_advisors(services: ServicesDep, links: LinksDep) -> AdvisorList:
    """Return all advisors, with their generated portraits."""
    entries = [_make_entry(advisor, links) for advisor in services.advisors.values()]
    return AdvisorList(advisors=entries, count=len(entries), timestamp=datetime.now(UTC))


@router.get("/advisors/{advisor}", summary="One advisor")
async def read_advisor(advisor: Name, services: ServicesDep, links: LinksDep) -> AdvisorDetail:
    """Return one advisor, by id or name."""
    return _make_detail(_find(advisor, services), links)


@router.get(
    "/advisor/{advisor}",
    response_class=HTMLResponse,
    summary="One advisor, as a page",
    responses={200: describe_content("text/html", model=AdvisorDetail)},
)
async def show_advisor(
    request: Request, advisor: Name, services: ServicesDep, links: LinksDep
) -> Response:
    """Return one advisor as a page, or as JSON for `Accept: application/json`."""
    accepted = request.headers.get("accept", "")
    if "application/json" in accepted and "text/html" not in accepted:
        detail = _make_detail(_find(advisor, services), links)
        return JSONResponse(detail.model_dump(mode="json"))
    entry = _make_entry(_find(advisor, services), links)
    return render_document("advisor", title=entry.name, advisor=entry)


@router.get(
    "/advisor_image/{file}",
    summary="A monogram",
    response_class=Response,
    responses={200: _PICTURE},
)
def show_portrait(
    file: Annotated[str, Path(description="`<id>`, `<id>.jpg` or `<id>.png`.", examples=["ansel"])],
    services: ServicesDep,
    request: Request,
) -> Response:
    """Return a monogram, always the same; JPEG unless the extension is `.png`."""
    name, ending = _split_ending(file)
    return _answer_picture(request, draw_portrait(_find(name, services).name, ending), ending)


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
    request: Request,
) -> Response:
    """Return a generated card with title and year, not the work."""
    name, ending = _split_ending(file)
    works = _find(advisor, services).artworks
    known = {_normalize(work.title): work for work in works}
    known |= {str(number): work for number, work in enumerate(works, start=1)}
    work: Artwork = known.get(_normalize(name)) or _raise_missing("There is no such work.")
    return _answer_picture(request, draw_card(work.title, work.year, ending), ending)


def _find(name: str, services: Services) -> Advisor:
    """Return the advisor with that id or name, also an old id such as ``vangogh``."""
    try:
        return find_advisor(name, services.advisors)
    except UnknownAdvisor:
        _raise_missing("There is no such advisor. See /advisors.")


def _raise_missing(message: str) -> NoReturn:
    raise HTTPException(404, message)


def _split_ending(file: str) -> tuple[str, str]:
    name, dot, ending = file.rpartition(".")
    return (name, ending.lower()) if dot and ending.lower() in FORMATS else (file, "jpg")


def _normalize(title: str) -> str:
    return re.sub(r"\W+", "", title).casefold()


def _answer_picture(request: Request, picture: bytes, ending: str) -> Response:
    media_type = f"image/{FORMATS[ending].lower()}"
    return not_modified(request, make_etag(picture)) or Response(
        picture, media_type=media_type, headers={**KEPT, "ETag": make_etag(picture)}
    )


def _make_detail(advisor: Advisor, links: Links) -> AdvisorDetail:
    entry = _make_entry(advisor, links)
    return AdvisorDetail(**dict(entry), advisor=entry, timestamp=datetime.now(UTC))


def _make_entry(advisor: Advisor, links: Links) -> AdvisorEntry:
    same = ("id", "name", "specialty", "bio", "years", "wikipedia_url", "commons_url")
    return AdvisorEntry(
        **{name: getattr(advisor, name) for name in same},
        focus_areas=[
            FocusAreaEntry(title=area.title, description=area.description)
            for area in advisor.focus_areas
        ],
        image_url=links.make_portrait_url(advisor.id),
        artworks=[
            ArtworkEntry(
                title=work.title, year=work.year, url=links.make_artwork_url(advisor.id, number)
            )
            for number, work in enumerate(advisor.artworks, start=1)
        ],
    )
