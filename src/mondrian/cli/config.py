"""``mondrian config``: each setting, its value, and where that comes from."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mondrian.cli.options import Group, JsonOption, command, describe

if TYPE_CHECKING:
    from mondrian.settings import Settings

_HIDDEN = "set, not shown"


@command(
    "home",
    group=Group.MACHINE,
    examples=["config", "config --example > ~/.mondrian/mondrian.toml"],
)
def config(
    settings: "Settings",
    as_json: JsonOption = False,
    example: Annotated[
        bool, typer.Option("--example", metavar="", help="Print a file with every setting.")
    ] = False,
) -> None:
    """Show each setting with its value and where that comes from. Secrets are not shown.

    An option wins over a variable, a variable over the file mondrian.toml, which is in the home
    folder, or else in /etc/mondrian.
    """
    from mondrian.settings import find_config, find_sources

    if example:
        print(make_example())
        return
    sources = find_sources(settings.home)
    if sources["home"] == "default" and settings.home != type(settings)().home:
        sources["home"] = "--home"
    path = find_config(settings.home)
    if as_json:
        shown = {name: {"value": _show(settings, name), "from": sources[name]} for name in sources}
        print(json.dumps({"file": path and str(path), "settings": shown}))
        return
    _print(settings, sources, f"File: {path or 'none'}")


def _show(settings: "Settings", name: str) -> Any:
    """Return a value as JSON; of a secret whether there is one."""
    from mondrian.settings import SECRETS

    if name in SECRETS:
        return _HIDDEN if getattr(settings, name) is not None else None
    return settings.model_dump(mode="json")[name]


def _print(settings: "Settings", sources: Mapping[str, str], title: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from mondrian.cli.app import get_stdout
    from mondrian.errors import printable

    table = Table(box=None, pad_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for name, source in sources.items():
        value = _show(settings, name)
        words = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = (
            "" if words in (None, "") else str(words).lower() if value in (True, False) else words
        )
        table.add_row(name, Text(printable(str(shown))), Text(printable(source)))
    console = get_stdout()
    if not console.is_terminal:
        console.width = 400
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    console.print(table)


def make_example() -> str:
    """Return a file of which each line is a comment."""
    from mondrian.settings import Settings

    lines = ["# Mondrian's settings. An option or a variable (MONDRIAN_PORT) wins over this file."]
    for name, field in Settings.model_fields.items():
        default = field.default
        value = json.dumps([*default] if isinstance(default, tuple) else default, default=str)
        lines += ["", f"# {describe(name)}", f"#{name} = {'...' if default is None else value}"]
    return "\n".join(lines)
