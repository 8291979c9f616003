"""The server as one ASGI app: routes, errors, access, streams."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Lifespan

from mondrian import __version__
from mondrian.advisors import Advisor, load_advisors
from mondrian.api.auth import Access
from mondrian.api.dependencies import Services
from mondrian.api.errors import HANDLERS
from mondrian.api.masks import Masks
from mondrian.api.metrics import Metrics
from mondrian.api.middleware import add_guard
from mondrian.api.openapi import DESCRIPTION, complete
from mondrian.api.rates import Rate
from mondrian.api.readers import RequestReaders
from mondrian.api.routes import ROUTERS
from mondrian.api.routes.service import Probe
from mondrian.api.uploads.intake import Intake
from mondrian.api.uploads.multipart import Limits
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.photos.readers import PhotoReaders
from mondrian.settings import Settings
from mondrian.stream import Streams


def create_app(
    *,
    settings: Settings,
    store: Store,
    photos: PhotoStore,
    readers: PhotoReaders,
    streams: Streams,
    engine_status: Callable[[], dict[str, Any]],
    lifespan: Lifespan[FastAPI] | None = None,
    advisors: Mapping[str, Advisor] | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """Return the app that serves all of docs/http.md. Photos are read by ``readers``.

    ``engine_status`` returns the answer of ``/model-status``: ``status`` (loading, ready, error,
    unloaded, remote), ``engine``, ``model``, and figures. It may be called from any thread. Without
    a ``lifespan`` the app opens and closes ``streams``; a given one must do so. Without
    ``advisors`` they are loaded from the settings' home, which may raise ``InvalidAdvisor``. Raise
    ``SettingsError`` for an invalid key, and ``StorageError`` without the database.
    """
    limits = limits or Limits()
    advisors = load_advisors(settings.home) if advisors is None else advisors
    access = Access(settings, store)
    request_readers = RequestReaders(readers)
    services = Services(
        settings=settings,
        store=store,
        photos=photos,
        streams=streams,
        engine_status=engine_status,
        advisors=advisors,
        access=access,
        intake=Intake(settings, store, photos, store.keep_advisors(advisors)),
        limits=limits,
        thoughts=Rate(per_second=5, burst=60),
        readers=request_readers,
        metrics=Metrics(store, lambda: streams.clients, engine_status, access.guesses),
        masks=Masks(photos, request_readers),
    )
    app = Api(services, lifespan or _make_lifespan(streams))
    for router in ROUTERS:
        app.include_router(router)
    return app


class Api(FastAPI):
    """The app on ``services``."""

    def __init__(self, services: Services, lifespan: Lifespan[FastAPI]) -> None:
        super().__init__(
            title="Mondrian",
            version=__version__,
            description=DESCRIPTION,
            lifespan=lifespan,
            docs_url=None,  # they would load scripts of other servers
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers=HANDLERS,  # type: ignore[arg-type]
        )
        self.state.services = services
        self.state.probe = Probe()
        self._services = services

    def build_middleware_stack(self) -> ASGIApp:
        """Return FastAPI's stack inside Mondrian's, so that error responses pass it too."""
        services, inner = self._services, super().build_middleware_stack()
        return add_guard(inner, services.streams, services.access, services.settings)

    def openapi(self) -> dict[str, Any]:
        """Return the contents of /openapi.json."""
        if not self.openapi_schema:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


def _make_lifespan(streams: Streams) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def open_streams(_: FastAPI) -> AsyncIterator[None]:
        await streams.open()
        try:
            yield
        finally:
            await streams.close()

    return open_streams
