"""``mondrian prune``: remove old data."""

from typing import TYPE_CHECKING, Annotated

import typer

from mondrian.cli.options import Group, command

if TYPE_CHECKING:
    from mondrian.jobs.retention import Pruned
    from mondrian.settings import Settings


@command(
    "database", "photos", "home", older_than="retention", max_bytes="quota", group=Group.SERVICE
)
def prune(
    settings: "Settings",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove what need not be kept, as servers and workers do once a day.

    That is the events of jobs that ended long ago (their reports stay) and, over a quota, the
    oldest jobs with their photos.
    """
    from contextlib import closing

    from mondrian.database.postgres import open_database
    from mondrian.jobs import retention
    from mondrian.jobs.store import Store
    from mondrian.photos import PhotoStore

    with closing(open_database(settings.database, settings.home)) as opened:
        store, days, quota = Store(opened.pool), settings.retention, settings.quota
        if dry_run:
            _print_pruned(
                "Would remove", retention.count_prunable(store, days=days, max_bytes=quota), days
            )
            return
        kept = PhotoStore.open(settings.photos_url)
        _print_pruned("Removed", retention.prune(store, kept, days=days, max_bytes=quota), days)


def _print_pruned(what: str, pruned: "Pruned", days: float) -> None:
    print(f"{what} {pruned.events} events of {pruned.logs} jobs that ended {days:g} days ago.")
    print(f"{what} {pruned.jobs} jobs with {pruned.bytes} bytes of photos.")
