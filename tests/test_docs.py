"""What a reader looks up must be there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from mondrian.cli.main import app
from mondrian.cli.reference import TABLES, fill
from mondrian.engines.base import Phase
from mondrian.engines.open import _OPENERS
from mondrian.errors import MondrianError, list_errors
from mondrian.findings import KINDS
from mondrian.jobs.events import UPDATE_FIELDS
from mondrian.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_tables_made_from_the_code_are_up_to_date(name: str) -> None:
    """If not: `mondrian reference docs`."""
    text = page(name)
    assert TABLES[name]() in text
    assert fill(name, text) == text


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_described(field: str) -> None:
    assert Settings.model_fields[field].description
    assert f"| `MONDRIAN_{field.upper()}` |" in page("settings")


@pytest.mark.parametrize("error", list_errors())
def test_every_error_is_documented(error: type[MondrianError]) -> None:
    assert f"| `{error().code}` | {error.http_status} | {error.exit_code} |" in page("errors")


@pytest.mark.parametrize("kind", KINDS)
def test_every_finding_is_documented(kind: str) -> None:
    assert f"`{kind}`" in page("findings")


def test_every_engine_and_phase_is_documented() -> None:
    for scheme in _OPENERS:
        assert f"`{scheme}:" in page("engines")
    assert all(f"`{phase}`" in page("events") for phase in Phase)


def test_every_command_and_option_is_documented() -> None:
    everything = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        if command.hidden:
            continue
        assert f"mondrian {name}" in everything, name
        for option in command.get_params(typer.Context(command)):
            for spelling in option.opts:
                assert not spelling.startswith("--") or spelling in everything, spelling


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_room_is_on_the_map() -> None:
    rooms = DOCS.parent / "src" / "mondrian"
    map_ = page("architecture")
    for path in rooms.iterdir():
        if not path.name.startswith("_"):
            assert f"{path.name}" in map_, path.name


def test_the_fields_of_an_update_are_described_as_declared() -> None:
    rows = [f"| `{name}` | {words} |" for name, words in UPDATE_FIELDS.items()]
    assert "\n".join(rows) in page("events")


def test_every_error_code_has_its_trouble() -> None:
    shooting = page("troubleshooting")
    for error in list_errors():
        assert f"`{error().code}`" in shooting, error


TASKS = ("notify", "connect", "install")


def list_commands(name: str) -> list[list[str]]:
    """The commands of Mondrian in the shell blocks of a page, without what the shell does."""
    blocks = re.findall(r"```sh\n(.*?)```", page(name), re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    words = [shlex.split(re.sub(r" > \S+", "", line), comments=True) for line in lines]
    found = [each[each.index("mondrian") :] for each in words if "mondrian" in each]
    return [each for each in found if len(each) > 1 and not each[1].startswith("&")]


@pytest.mark.parametrize("name", TASKS)
def test_the_commands_of_a_page_are_understood(name: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = list_commands(name)
    assert found
    for _, command, *rest in found:
        commands[command].make_context(command, rest)
