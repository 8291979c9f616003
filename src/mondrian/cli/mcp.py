"""``mondrian mcp``: critiques as tools for language models."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mondrian import errors
from mondrian.cli.options import Group, command

if TYPE_CHECKING:
    from mondrian.settings import Settings

_PICTURES = Path("~/Pictures")
_LEAVE_SECONDS = 10.0

# The child serves until its standard input ends, which it does with this process, however it dies.
_CHILD = """
import os, signal, sys, threading
def leave():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=leave, daemon=True).start()
from mondrian.cli.main import main
main()
"""


@command(
    *("server", "key", "home", "engine"),
    group=Group.SERVICE,
    examples=["mcp", "mcp --root ~/Pictures --root /mnt/photos", "mcp --http --port 5006"],
)
def mcp(
    settings: "Settings",
    root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder whose photos may be read, again for more.",
            show_default=str(_PICTURES),
        ),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", metavar="", help="Streamable HTTP, in place of stdio.")
    ] = False,
    port: Annotated[
        int, typer.Option(metavar="NUMBER", help="The port of --http, on this machine.")
    ] = 5006,
) -> None:
    """Offer critiques to language models as tools, over the Model Context Protocol.

    They are jobs of --server; without one, and if none answers on this machine, a server is
    started for as long as this command runs.
    """
    _check_installed()
    from mondrian.client import Client
    from mondrian.client.tools import make_tools

    key = (settings.key or "").partition(",")[0] or None
    with _find_server(settings) as url:
        server = make_tools(lambda: Client(url, key), root or [_PICTURES])
        if http:
            print(f"Mondrian's tools are at http://127.0.0.1:{port}/mcp", file=sys.stderr)
            server.run("streamable-http", port=port)
        else:
            server.run("stdio")


def _check_installed() -> None:
    try:
        import mcp as _  # noqa: F401
    except ImportError as exc:
        raise errors.SettingsError(
            "The MCP library is not installed: pip install 'mondrian-critique[mcp]', or `uv tool "
            "install 'mondrian-critique[mcp]'`."
        ) from exc


@contextmanager
def _find_server(settings: "Settings") -> Iterator[str]:
    """Yield the URL of the server that is meant, or of one that is started."""
    if "server" in settings.model_fields_set or _is_serving(settings):
        yield settings.server
        return
    command = ["serve", "--port", "0", "--host", "127.0.0.1", "--home", str(settings.home)]
    if "engine" in settings.model_fields_set:
        command += ["--engine", settings.engine]
    with _serve(command) as url:
        yield url


def _is_serving(settings: "Settings") -> bool:
    from mondrian.client import Client

    try:
        with Client(settings.server) as client:
            return bool(client.health())
    except errors.MondrianError:
        return False


@contextmanager
def _serve(command: Sequence[str]) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin
        assert child.stdout
        try:
            words = child.stdout.readline().split()
            if not words:
                raise errors.ServerUnavailable("No server could be started: see above.")
            yield words[-1]
        finally:
            child.stdin.close()
            try:
                child.wait(_LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
