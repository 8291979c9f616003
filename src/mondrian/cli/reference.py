"""``mondrian reference``: the tables of docs/ that are made from the code."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from mondrian.cli.app import app
from mondrian.cli.options import SettingsCommand, describe_range
from mondrian.errors import RetryPolicy, list_errors


@app.command(hidden=True)
def reference(
    docs: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder docs/.")],
) -> None:
    """Write the tables of docs/ that are made from the code."""
    for page in TABLES:
        path = docs / f"{page}.md"
        path.write_text(fill(page, path.read_text(encoding="utf-8")), encoding="utf-8")


def fill(page: str, text: str) -> str:
    """Return the ``text`` of a page of docs/ with its table as it should be."""
    begin, end = "<!-- made by `mondrian reference docs` -->\n", "\n<!-- end -->"
    pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    return pattern.sub(lambda _: TABLES[page](), text, count=1)


def _make_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _list_settings() -> str:
    from mondrian import settings

    rows = []
    for name, field in settings.Settings.model_fields.items():
        meaning = f"{field.description}{describe_range(name)}"
        default = settings.default(name)
        default = default if field.default in (None, ()) else f"`{default}`"
        rows.append((f"`{settings.variable(name)}`", _list_options(name), meaning, default))
    return _make_table(("variable", "option", "meaning", "default"), rows)


def _list_options(name: str) -> str:
    """Return the option of a setting, and the commands that call it otherwise."""
    from mondrian import settings

    common = [settings.spelling(name)]
    if settings.Settings.model_fields[name].default is True:
        common.append(f"--no-{common[0].removeprefix('--')}")
    spelled = common + [short for short in [settings.find_option(name).short] if short]
    texts = [", ".join(f"`{each}`" for each in spelled)]
    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        renamed = command.settings.items() if isinstance(command, SettingsCommand) else ()
        texts += [
            f"of `{command.name}` `--{parameter.replace('_', '-')}`"
            for parameter, field in renamed
            if field == name != parameter
        ]
    return ", ".join(texts)


def _list_errors() -> str:
    retried = {RetryPolicy.AGAIN: "yes", RetryPolicy.END: "no", RetryPolicy.FORGET: "elsewhere"}
    rows = [
        (
            f"`{error().code}`",
            str(error.http_status),
            str(error.exit_code),
            retried[error.retry_policy],
            error().message,
        )
        for error in list_errors()
    ]
    return _make_table(("code", "HTTP", "exit", "tried again", "what it says by itself"), rows)


def _list_genres() -> str:
    from mondrian.findings.genres import COUNTED, NOT_COUNTED
    from mondrian.findings.kinds import KINDS

    rows = [
        (
            f"`{kind}`",
            KINDS[kind].severity.name.lower(),
            *("–" if kind in ones else "counts" for ones in NOT_COUNTED.values()),
        )
        for kind in COUNTED
    ]
    return _make_table(("finding", "is a", *NOT_COUNTED), rows)


TABLES: dict[str, Callable[[], str]] = {
    "settings": _list_settings,
    "errors": _list_errors,
    "findings": _list_genres,
}
"""What makes the table of each page."""
