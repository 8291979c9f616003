"""The service itself: is it there, what is the engine doing, figures, tokens."""

import asyncio
import time
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request

from mondrian import __version__
from mondrian.api.auth import COOKIE, READING, SESSION, SESSION_SECONDS, TOKEN_SECONDS
from mondrian.api.dependencies import LinksDep, Services, ServicesDep, VisitorDep
from mondrian.api.openapi import content
from mondrian.api.pages import page
from mondrian.api.schemas import Health, ModelStatus, Token
from mondrian.errors import StorageError

router = APIRouter(tags=["service"])

_PATIENCE_SECONDS = 1.0


class Probe:
    """Asks whether the database answers, in one thread however many want to know."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[bool] | None = None

    async def is_up(self, services: Services) -> bool:
        """Whether it answers within a second."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(to_thread.run_sync(_ask, services))
        done, _ = await asyncio.wait({self._asking}, timeout=_PATIENCE_SECONDS)
        return bool(done) and self._asking.result()


def _ask(services: Services) -> bool:
    try:
        services.store.list_jobs(limit=1)
    except StorageError:
        return False
    return True


async def _probe(request: Request) -> Probe:
    probe: Probe = request.app.state.probe
    return probe


@router.get("/", response_class=HTMLResponse, summary="A page that leads on")
async def home(links: LinksDep) -> HTMLResponse:
    """Where to go from here."""
    return page("home", title="Mondrian", links=links, version=__version__)


@router.get("/health", summary="Whether the server is there")
async def health(services: ServicesDep, probe: Annotated[Probe, Depends(_probe)]) -> Health:
    """Always 200 while the server runs; `database` tells whether that answers too."""
    return Health(
        status="UP",
        service="mondrian",
        version=__version__,
        database="up" if await probe.is_up(services) else "down",
        update_interval=services.settings.update_interval,
        timestamp=time.time(),
    )


@router.get("/model-status", summary="What the engine is doing")
def model_status(services: ServicesDep) -> ModelStatus:
    """`loading`, `ready`, `error`, `unloaded`, or `remote` where other machines do the work."""
    return ModelStatus.model_validate(services.engine_status())


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: content("text/plain")},
)
def metrics(services: ServicesDep) -> Response:
    """Jobs by status, the queue, stream clients, uploads, the engine."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.post("/token", summary="A token for addresses")
async def make_token(request: Request, services: ServicesDep, _: VisitorDep) -> Token:
    """A token for `?token=` on streams, pictures and pages, where no header can be sent. It is good
    for an hour, and for reading only. 400 on a server without a key."""
    token, ends = services.access.make_token(request, READING, TOKEN_SECONDS)
    return Token(token=token, expires_at=ends, expires_in=TOKEN_SECONDS)


@router.post("/session", status_code=204, summary="Keep the key in a cookie")
async def open_session(request: Request, services: ServicesDep, _: VisitorDep) -> Response:
    """For pages: a cookie that stands for the key for 30 days, and that scripts cannot read."""
    token, _ends = services.access.make_token(request, SESSION, SESSION_SECONDS)
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.delete("/session", status_code=204, summary="Forget the cookie")
async def close_session(_: VisitorDep) -> Response:
    """Take the cookie back."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
