"""The listening sockets of the server."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from mondrian.errors import SettingsError
from mondrian.settings import Settings

BACKLOG = 2048
_MAX_FILES = 65_536


def check_exposure(settings: Settings) -> None:
    """Raise ``SettingsError`` if the server would be exposed without a key or ``open``, or if a key
    is invalid."""
    keys, _ = settings.keys, settings.admin_keys  # reading both validates them
    if keys or settings.open:
        return
    base = urlsplit(settings.base_url or "").hostname
    for option, host in (("--host", settings.host), ("--base-url", base)):
        if host and not is_loopback(host):
            raise SettingsError(
                f"{option} {host} opens Mondrian to others. Say who may use it: with --key-file or "
                "MONDRIAN_KEY those who know a key, with --open everybody."
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def listen(settings: Settings) -> Iterator[list[socket.socket]]:
    """Listen at the address of the settings, and at its other ports (``also``).

    Yield the sockets, that of the main port first. Raise ``SettingsError`` for a port that cannot
    be bound.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with ExitStack() as stack:
        ports = (settings.port, *settings.also)
        yield [stack.enter_context(_open_socket(settings.host, port)) for port in ports]


def _open_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise SettingsError(
            f"Mondrian cannot serve at {host}, port {port}: {_describe(exc)}. Choose another "
            "with --host, --port and --also."
        ) from exc


def make_url(host: str, listening: socket.socket) -> str:
    """Return the URL of a bound socket."""
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _describe(exc: OSError) -> str:
    """Return the operating system's message alone: Python adds a tuple to it."""
    is_lookup = isinstance(exc, socket.gaierror)
    return os.strerror(exc.errno) if exc.errno and not is_lookup else str(exc.strerror or exc)
