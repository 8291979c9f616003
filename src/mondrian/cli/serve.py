"""``mondrian serve`` and ``mondrian worker``."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from mondrian.cli.choice import print_choice
from mondrian.cli.options import Group, command
from mondrian.errors import ModelNotFound, MondrianError

if TYPE_CHECKING:
    from mondrian.settings import Settings
_WORK = (
    *("engine", "adapter", "database", "listen_database", "postgres", "photos"),
    *("concurrency", "readers", "update_interval"),
    *("lease", "stall", "retention", "quota", "home", "log_format"),
)
_SERVE = (
    *("host", "port", "also", "worker", "key", "key_file", "admin_key", "open", "hosts"),
    *("webhook", "webhook_secret", "webhook_networks"),
    *("base_url", "done_status", "cors_origins", "source", "advisor", "share"),
    *("waiting_per_owner", "connections", "connections_per_address", "trusted_proxies"),
)


@command(*_SERVE, *_WORK, group=Group.SERVICE)
def serve(settings: "Settings") -> None:
    """Serve photos, jobs, live streams and reports over HTTP, and work at the jobs."""
    from mondrian.server.serve import serve as run

    with _logging(settings):
        if settings.worker:
            with suppress(ModelNotFound):  # serving says so, after what else may be refused
                print_choice(settings, should_suggest=True)
        run(
            settings,
            lambda address: print(f"Mondrian serves at {address}", flush=True),
            invite=_show_code,
        )


@command(*_WORK, "health_port", group=Group.SERVICE)
def worker(settings: "Settings") -> None:
    """Work at the jobs of a database, beside `mondrian serve --no-worker`."""
    from mondrian.server.serve import work

    with _logging(settings):
        print_choice(settings, should_suggest=True)
        work(settings, lambda name: print(f"Mondrian works as {name}", flush=True))


def _show_code(url: str) -> None:
    """Show ``url`` as a QR code on a terminal; a file gets only where it leads."""
    place = url.partition("/login")[0]
    print(f"On a phone: {place}", flush=True)
    if sys.stdout.isatty():
        import segno

        segno.make(url, error="m").terminal(compact=True)
        if place != url:
            print("The code logs one browser in, once, within 15 minutes.", flush=True)


@contextmanager
def _logging(settings: "Settings") -> Iterator[None]:
    """Log what an operator wants to see, unless the person asked for more. As JSON, an error that
    ends the command is logged too."""
    from mondrian.server.log_format import JsonFormatter

    log = logging.getLogger("mondrian")
    if log.level == logging.WARNING:
        log.setLevel(logging.INFO)
    if settings.log_format == "text":
        yield
        return
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())
    try:
        yield
    except MondrianError as exc:
        log.critical("%s", exc.message)
        raise typer.Exit(exc.exit_code) from exc
