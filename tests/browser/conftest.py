"""A real Chromium, and a real server as a process."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from support.browser import Served, Visit, Visiting, chromium_options, write_recording
from support.servers import fresh_database


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    options = chromium_options()
    expect.set_options(timeout=30_000)  # a busy machine is no error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a worker, whose advisors answer from ``write_recording``."""
    yield from _serve(postgres, tmp_path_factory)


@pytest.fixture
def served(server: Served) -> Iterator[Served]:
    """The same for one test: what that leaves running would take the engine from the next."""
    before = server.list_live()
    yield server
    server.cancel(server.list_live() - before)


@pytest.fixture
def mortal(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same, of this test alone, to be killed."""
    yield from _serve(postgres, tmp_path_factory)


@pytest.fixture(scope="module")
def keyed(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same behind a key."""
    yield from _serve(postgres, tmp_path_factory, "--key", "a-long-and-secret-key-of-mine")


@pytest.fixture
def opened(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same, open to everybody."""
    yield from _serve(postgres, tmp_path_factory, "--open")


def _serve(postgres: str, folders: pytest.TempPathFactory, *more: object) -> Iterator[Served]:
    home = folders.mktemp("home")
    engine = write_recording(home / "recording.jsonl")
    with fresh_database(postgres) as database:
        given = ("--home", home, "--engine", engine, "--database", database, "--interval", "1",
                 "--lease", "2", "--stall", "900")  # fmt: skip
        served = Served((*given, *more))
        served.start()
        yield served
        served.stop()


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visiting]:
    """Visit a server, by default ``served``; at the end no page may have complained."""
    visits: list[Visit] = []

    def make(at: str = "", **options: Any) -> Visit:
        visits.append(Visit(browser, at or served.url, **options))
        return visits[-1]

    yield make
    for each in visits:
        each.close()
