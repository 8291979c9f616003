"""``mondrian queue`` and ``mondrian drain``: an operator's commands for a whole fleet."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mondrian.cli.options import Group, command

if TYPE_CHECKING:
    from mondrian.jobs.store import Store
    from mondrian.settings import Settings

ACTIONS = ("pause", "resume", "show")


@command("database", "home", group=Group.SERVICE)
def queue(
    settings: "Settings",
    action: Annotated[str, typer.Argument(metavar="pause|resume|show")] = "show",
) -> None:
    """Pause the queue (no worker claims a job; what is under way goes on), resume it, or show it
    and the workers."""
    if action not in ACTIONS:
        raise typer.BadParameter(f"{action} is none of {', '.join(ACTIONS)}.")
    with _open_store(settings) as store:
        if action != "show":
            store.pause_queue(is_paused=action == "pause")
        _print_queue(store)


@command("database", "home", group=Group.SERVICE)
def drain(
    settings: "Settings",
    worker: Annotated[
        str, typer.Argument(metavar="[WORKER]", help="Its name; all workers without one.")
    ] = "",
) -> None:
    """Let a worker, or all, finish what they have, take nothing new, and end."""
    with _open_store(settings) as store:
        names = store.drain_workers(worker)
    for name in names:
        print(f"{name} drains")
    if not names:
        print(f"There is no worker {worker or 'at all'}.")
        raise typer.Exit(69)


@contextmanager
def _open_store(settings: "Settings") -> Iterator["Store"]:
    from mondrian.database.postgres import open_database
    from mondrian.jobs.store import Store

    listen_url = settings.listen_database
    with closing(
        open_database(settings.database, settings.home, listen_url=listen_url, max_connections=2)
    ) as opened:
        yield Store(opened.pool)


def _print_queue(store: "Store") -> None:
    from mondrian.jobs.job import Status

    waiting = store.count_by_status([Status.QUEUED])[Status.QUEUED]
    state = "is paused" if store.is_queue_paused() else "is open"
    print(
        f"The queue {state}: {waiting} waiting, {store.read_queue_age_seconds():.0f} s the oldest."
    )
    for each in store.list_workers():
        if each.is_living:
            reason = f" ({each.reason})" if each.reason else ""
            print(f"{each.name}  {each.state}{reason}  {each.busy} of {each.slots}  {each.engine}")
