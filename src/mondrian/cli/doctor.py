"""``mondrian doctor``: what this machine has, and what is wrong with it, in a page."""

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mondrian.cli.app import get_stdout
from mondrian.cli.options import Group, JsonOption, command
from mondrian.errors import MondrianError, printable

if TYPE_CHECKING:
    from mondrian.settings import Settings

_LEAST_BYTES = 2_000_000_000
_ENGINES = {"llamacpp": "xllamacpp", "mlx": "mlx-vlm", "openai": "httpx"}
"""What each engine is made with, but for `replay`, which needs nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``is_well`` is ``None`` for what may be absent without harm."""

    part: str
    is_well: bool | None
    words: str


@command("engine", "database", "photos", "server", "key", "home", group=Group.MACHINE)
def doctor(settings: "Settings", as_json: JsonOption = False) -> None:
    """Say what this machine has: engines, models, servers, memory, disk, database.

    The exit code is 1 if something is wrong.
    """
    found = list(_examine(settings))
    if as_json:
        print(json.dumps([asdict(each) for each in found]))
    else:
        _print(found)
    if any(each.is_well is False for each in found):
        sys.exit(1)


def _examine(settings: "Settings") -> Iterator[Finding]:
    checks = (
        *(_check_versions, _check_memory, _check_home, _check_engines, _check_models),
        *(_check_engine, _check_local_servers, _check_database, _check_photos, _check_server),
    )
    for check in checks:
        yield from _guard(check, settings)


def _guard(
    check: "Callable[[Settings], Iterator[Finding]]", settings: "Settings"
) -> Iterator[Finding]:
    """Yield what ``check`` finds; what it raises is a finding too."""
    part = check.__name__.removeprefix("_check_").replace("_", " ")
    try:
        yield from check(settings)
    except MondrianError as exc:
        yield Finding(part, False, exc.message)
    except Exception as exc:
        yield Finding(part, False, f"{type(exc).__name__}: {exc}")


def _check_versions(_: "Settings") -> Iterator[Finding]:
    from mondrian import __version__

    system = f"{platform.system()} {platform.machine()}"
    yield Finding("mondrian", True, f"{__version__}, Python {platform.python_version()}, {system}")


def _check_memory(_: "Settings") -> Iterator[Finding]:
    import psutil

    from mondrian.models import Machine

    free = psutil.virtual_memory().available
    words = f"{Machine.read()}; {free / 1e9:.1f} GB free"
    yield Finding("memory", free > 700_000_000, words)


def _check_home(settings: "Settings") -> Iterator[Finding]:
    home = settings.home
    there = next(each for each in (home, *home.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free
    words = f"{home}, {free / 1e9:.1f} GB free on its disk"
    if not _is_writable(there):
        yield Finding("home", False, f"{words}; it cannot be written. Choose another with --home.")
        return
    yield Finding("home", free > _LEAST_BYTES, words + ("" if home.exists() else "; not made yet"))


def _is_writable(folder: Path) -> bool:
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _check_engines(_: "Settings") -> Iterator[Finding]:
    from mondrian.models import Machine

    for scheme, distribution in _ENGINES.items():
        try:
            yield Finding(f"engine {scheme}", True, f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            is_wanted = scheme != "mlx" or Machine.read().has_metal
            words = f"{distribution} is not installed: pip install {distribution}"
            yield Finding(f"engine {scheme}", False if is_wanted else None, words)


def _check_models(settings: "Settings") -> Iterator[Finding]:
    from mondrian.models import CATALOGUE, Machine, find_path, list_cached, list_pulled

    machine, home = Machine.read(), settings.home
    for model in [*CATALOGUE, *list_pulled(home), *list_cached(home)]:
        if not find_path(model, home):
            continue
        sees = "sees" if model.sees else "does not see"
        obstacle = model.obstacle(machine)
        words = f"{model.size}, {sees}" + (f", {obstacle}" if obstacle else "")
        yield Finding(f"model {model.url}", None if obstacle else True, words)


def _check_engine(settings: "Settings") -> Iterator[Finding]:
    """Check whether the engine of the settings can be opened."""
    from mondrian.engines import open_engine
    from mondrian.models import choose

    words = str(choose(settings.home).model.url) if settings.engine == "auto" else ""
    with closing(open_engine(settings.engine, home=settings.home)) as engine:
        sees = "sees the photo" if engine.sees else "does not see the photo"
        yield Finding("engine", True, f"{words or engine.url} is taken; it {sees}")


def _check_local_servers(_: "Settings") -> Iterator[Finding]:
    from mondrian.models import find_servers

    for server in find_servers():
        count = len(server.models)
        words = f"{server.address}, {count} model{'' if count == 1 else 's'}"
        if server.engine:
            yield Finding(server.name, True, f"{words}; use one that sees: -e '{server.engine}'")
        else:
            yield Finding(server.name, None, f"{words}, none of which sees")


def _check_database(settings: "Settings") -> Iterator[Finding]:
    from mondrian.database.postgres import open_database

    if not settings.database and not (settings.home / "postgres").exists():
        yield Finding("database", None, "embedded, not made yet: `mondrian serve` makes it")
        return
    with closing(open_database(settings.database, settings.home)) as opened:
        with opened.pool.connection() as connection:
            [row] = connection.execute(b"SHOW server_version").fetchall()
        kind = "yours" if settings.database else "embedded"
        yield Finding("database", True, f"{kind}, PostgreSQL {next(iter(dict(row).values()))}")


def _check_photos(settings: "Settings") -> Iterator[Finding]:
    if not settings.photos and not (settings.home / "photos").exists():
        yield Finding("photos", None, "a folder in the home, not made yet")
        return
    from mondrian.photos import PhotoStore

    PhotoStore.open(settings.photos_url)
    yield Finding("photos", True, settings.photos_url)


def _check_server(settings: "Settings") -> Iterator[Finding]:
    from mondrian.cli.jobs import connect

    try:
        with connect(settings) as client:
            health: dict[str, Any] = client.health()
            yield Finding("server", True, f"{settings.server}, version {health.get('version')}")
    except MondrianError as exc:
        is_wanted = "server" in settings.model_fields_set
        yield Finding("server", False if is_wanted else None, exc.message)


def _print(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    marks = {
        True: Text("✓ well", "green"),
        False: Text("✗ wrong", "red"),
        None: Text("– absent", "dim"),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for each in found:
        table.add_row(marks[each.is_well], printable(each.part), Text(printable(each.words)))
    get_stdout().print(table)
