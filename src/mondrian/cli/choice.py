"""What is said about the choice of an engine: which one ``auto`` takes, and how to get one that
sees."""

from contextlib import suppress
from typing import TYPE_CHECKING

from mondrian.cli.app import get_stderr
from mondrian.errors import ModelNotFound

if TYPE_CHECKING:
    from mondrian.models import Choice
    from mondrian.settings import Settings


def print_choice(settings: "Settings", *, should_suggest: bool = False) -> None:
    """Say on stderr what ``auto`` takes and, if asked, how to get an engine that sees. Raise
    ``ModelNotFound`` that says it too."""
    from mondrian.models import choose

    if settings.engine != "auto":
        return
    try:
        choice = choose(settings.home)
    except ModelNotFound as exc:
        raise ModelNotFound(f"{exc.message}{_suggest_servers()}") from exc
    _print(choice.summary)
    if should_suggest and not choice.model.sees:
        _print(suggest(settings))


def suggest(settings: "Settings") -> str:
    """Return how to get an engine that sees on this machine, in a line."""
    from mondrian.models import choose, find_servers, suggest_seeing

    choice: Choice | None = None
    with suppress(ModelNotFound):
        choice = choose(settings.home)
    return suggest_seeing(choice, find_servers())


def _suggest_servers() -> str:
    from mondrian.models import find_servers, suggest_seeing

    servers = [server for server in find_servers() if server.engine]
    return f" Or: {suggest_seeing(None, servers)}" if servers else ""


def _print(words: str) -> None:
    get_stderr().print(words, soft_wrap=True, markup=False, highlight=False)
