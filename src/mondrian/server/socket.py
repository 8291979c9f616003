"""The door of the server: the address it listens at."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from mondrian.errors import SettingsError
from mondrian.settings import Settings

BACKLOG = 2048
_MAX_FILES = 65_536


def check_exposure(settings: Settings) -> None:
    """Raise ``SettingsError`` if the server would be open to strangers without a word, or if a key
    is no good."""
    keys, _ = settings.keys, settings.admin_keys  # both are read, and so checked
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
    """Whether only this machine can reach ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def bound(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the address of the settings, with room for many clients."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        door = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise SettingsError(
            f"Mondrian cannot serve at {settings.host}, port {settings.port}: "
            f"{_describe(exc)}. Choose another with --host and --port."
        ) from exc
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with door:
        yield door


def _describe(exc: OSError) -> str:
    """What the operating system refused, in its words alone: Python adds a tuple to them."""
    is_lookup = isinstance(exc, socket.gaierror)
    return os.strerror(exc.errno) if exc.errno and not is_lookup else str(exc.strerror or exc)


def address(host: str, door: socket.socket) -> str:
    """The URL that a bound socket answers at."""
    port = door.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
