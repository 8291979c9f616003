"""The server's URL for other devices of the network."""

import socket
from ipaddress import ip_address

from mondrian.settings import Settings

_UNUSED_ADDRESSES = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849): nothing is sent to them."""


def find_network_url(settings: Settings, port: int) -> str | None:
    """Return the server's URL for other devices, without a trailing slash; ``None`` if it listens
    on loopback only or no such address is known."""
    if settings.base_url:
        return settings.base_url.rstrip("/")
    try:
        host = ip_address(settings.host)
    except ValueError:  # a name
        return None if settings.host == "localhost" else f"http://{settings.host}:{port}"
    if host.is_loopback:
        return None
    named = str(host) if not host.is_unspecified else _find_own_address(host.version)
    return named and f"http://{f'[{named}]' if ':' in named else named}:{port}"


def _find_own_address(version: int) -> str | None:
    """Return this machine's source address for other networks."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_UNUSED_ADDRESSES[family], 9))
            found = str(probe.getsockname()[0])
    except OSError:
        return None
    return None if ip_address(found).is_unspecified else found
