"""``mondrian serve`` and ``mondrian worker``."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from mondrian.cli.app import app, read_settings, tell_choice
from mondrian.cli.options import (
    AdapterOption,
    AdvisorOption,
    EngineOption,
    HomeOption,
    IntervalOption,
)
from mondrian.errors import ModelNotFound

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        envvar="MONDRIAN_DATABASE", metavar="URL", help="PostgreSQL; the embedded one by default."
    ),
]
PhotosOption = Annotated[
    str | None,
    typer.Option(
        envvar="MONDRIAN_PHOTOS",
        metavar="URL",
        help="file:///folder or s3://bucket/prefix; a folder at home by default.",
    ),
]
ConcurrencyOption = Annotated[
    int | None,
    typer.Option(
        envvar="MONDRIAN_CONCURRENCY",
        metavar="N",
        help="Jobs worked at at once; as many as the engine has slots by default.",
    ),
]
LeaseOption = Annotated[
    float | None,
    typer.Option(
        envvar="MONDRIAN_LEASE",
        metavar="SECONDS",
        help="How long a worker may be silent before others take its jobs; 10 by default.",
    ),
]
StallOption = Annotated[
    float | None,
    typer.Option(
        envvar="MONDRIAN_STALL",
        metavar="SECONDS",
        help="How long the engine may go without a token before it is replaced; 300 by default.",
    ),
]
RetentionOption = Annotated[
    float | None,
    typer.Option(
        envvar="MONDRIAN_RETENTION",
        metavar="DAYS",
        help="How long the events of ended jobs are kept; 30 days by default.",
    ),
]
QuotaOption = Annotated[
    str | None,
    typer.Option(
        envvar="MONDRIAN_QUOTA",
        metavar="BYTES",
        help="How much all photos may take, as 10GB; the oldest ended jobs go first. No limit "
        "by default.",
    ),
]


@app.command()
def serve(
    host: Annotated[
        str | None,
        typer.Option(envvar="MONDRIAN_HOST", help="Where to listen; 127.0.0.1 by default."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(envvar="MONDRIAN_PORT", help="5005 by default; 0 takes any that is free."),
    ] = None,
    engine: EngineOption = None,
    adapter: AdapterOption = None,
    database: DatabaseOption = None,
    photos: PhotosOption = None,
    interval: IntervalOption = None,
    worker: Annotated[
        bool | None,
        typer.Option(
            envvar="MONDRIAN_WORKER", help="Work at the jobs here too, which is the default."
        ),
    ] = None,
    concurrency: ConcurrencyOption = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="MONDRIAN_KEY", help="Answer to those who know it; several after commas."
        ),
    ] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open", envvar="MONDRIAN_OPEN", help="Answer to everybody, without a key."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="MONDRIAN_BASE_URL",
            metavar="URL",
            help="The address in answers, behind a proxy that does not tell.",
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A page that may use the server; again for more. (MONDRIAN_CORS_ORIGINS is a "
            "JSON list of them.)",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            envvar="MONDRIAN_SOURCE", metavar="FOLDER", help="Where POST /submit finds photos."
        ),
    ] = None,
    advisor: AdvisorOption = None,
    lease: LeaseOption = None,
    stall: StallOption = None,
    retention: RetentionOption = None,
    quota: QuotaOption = None,
    home: HomeOption = None,
) -> None:
    """Serve photos, jobs, live streams and reports over HTTP, and work at the jobs."""
    from mondrian.server import serve as run

    settings = read_settings(
        **_common(engine, adapter, database, photos, interval, concurrency, lease, stall, home),
        host=host,
        port=port,
        worker=worker,
        key=key,
        open=open_,
        base_url=base_url,
        cors_origins=tuple(cors_origin) if cors_origin else None,
        source=source,
        advisor=advisor,
        retention=retention,
        quota=quota,
    )
    _log()
    if settings.worker:
        with suppress(ModelNotFound):  # serving says so, after what else may be refused
            tell_choice(settings.engine, settings.home)
    run(settings, lambda address: print(f"Mondrian serves at {address}", flush=True))


@app.command()
def worker(
    engine: EngineOption = None,
    adapter: AdapterOption = None,
    database: DatabaseOption = None,
    photos: PhotosOption = None,
    concurrency: ConcurrencyOption = None,
    interval: IntervalOption = None,
    lease: LeaseOption = None,
    stall: StallOption = None,
    retention: RetentionOption = None,
    quota: QuotaOption = None,
    home: HomeOption = None,
) -> None:
    """Work at the jobs of a database, beside `mondrian serve --no-worker`."""
    from mondrian.server import work

    settings = read_settings(
        **_common(engine, adapter, database, photos, interval, concurrency, lease, stall, home),
        retention=retention,
        quota=quota,
    )
    _log()
    tell_choice(settings.engine, settings.home)
    work(settings, lambda name: print(f"Mondrian works as {name}", flush=True))


def _common(
    engine: str | None,
    adapter: Path | None,
    database: str | None,
    photos: str | None,
    interval: float | None,
    concurrency: int | None,
    lease: float | None,
    stall: float | None,
    home: Path | None,
) -> dict[str, Any]:
    return {
        "engine": engine,
        "adapter": adapter,
        "database": database,
        "photos": photos,
        "update_interval": interval,
        "concurrency": concurrency,
        "lease": lease,
        "stall": stall,
        "home": home,
    }


def _log() -> None:
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("mondrian").setLevel(logging.INFO)
