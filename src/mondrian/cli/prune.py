"""``mondrian prune``: what need not be kept is removed."""

from typing import TYPE_CHECKING, Annotated

import typer

from mondrian.cli.app import app, read_settings
from mondrian.cli.options import HomeOption
from mondrian.cli.serve import DatabaseOption, PhotosOption

if TYPE_CHECKING:
    from mondrian.jobs.retention import Pruned


@app.command()
def prune(
    older_than: Annotated[
        float | None,
        typer.Option(
            envvar="MONDRIAN_RETENTION",
            metavar="DAYS",
            help="Remove the events of jobs that ended so long ago; 30 days by default.",
        ),
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(
            envvar="MONDRIAN_QUOTA",
            metavar="BYTES",
            help="Remove the oldest ended jobs until all photos fit, as 10GB. By default none.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    database: DatabaseOption = None,
    photos: PhotosOption = None,
    home: HomeOption = None,
) -> None:
    """Remove what need not be kept, as servers and workers do once a day: the events of jobs that
    ended long ago (their reports stay) and, over a quota, the oldest jobs with their photos."""
    from contextlib import closing

    from mondrian.database.postgres import open_database
    from mondrian.jobs import retention
    from mondrian.jobs.store import Store
    from mondrian.photos import PhotoStore

    settings = read_settings(
        retention=older_than, quota=max_bytes, database=database, photos=photos, home=home
    )
    with closing(open_database(settings.database, settings.home)) as opened:
        store, days, quota = Store(opened.pool), settings.retention, settings.quota
        if dry_run:
            _tell("Would remove", retention.foresee(store, days=days, max_bytes=quota), days)
            return
        kept = PhotoStore.open(settings.photos_url)
        _tell("Removed", retention.prune(store, kept, days=days, max_bytes=quota), days)


def _tell(what: str, pruned: "Pruned", days: float) -> None:
    print(f"{what} {pruned.events} events of {pruned.logs} jobs that ended {days:g} days ago.")
    print(f"{what} {pruned.jobs} jobs with {pruned.bytes} bytes of photos.")
