"""Limits of connections, in total and per address."""

import asyncio
import resource
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from mondrian.api.guesses import find_network
from mondrian.errors import ServerBusy, SettingsError, TooManyRequests
from mondrian.settings import Settings

_OTHER_FILES = 200
"""Files reserved for the database, photos and child processes."""

Network = IPv4Network | IPv6Network


class Connection(Protocol):
    """One client's connection."""

    transport: asyncio.Transport


@dataclass(kw_only=True, eq=False)
class Connections:
    """The connections of one server: at most ``most`` in total, ``most_per_address`` from one
    address (for IPv6, from one /64).

    ``proxies`` are exempt from the latter: all their clients share one address. At the total limit
    the connection idle for longest is closed, so idle connections block no client.
    """

    most: int = 10_000
    most_per_address: int = 256
    proxies: Sequence[Network] = (ip_network("127.0.0.1"), ip_network("::1"))
    _addresses: dict[Connection, str] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _idle: OrderedDict[Connection, None] = field(default_factory=OrderedDict)

    def enter(self, connection: Connection, address: str) -> None:
        """Count a new connection from ``address``. Raise ``TooManyRequests`` or ``ServerBusy`` over
        a limit; the connection is counted until ``leave`` all the same."""
        name = "" if self._is_proxy(address) else find_network(address)
        self._addresses[connection] = name
        self._counts[name] += 1
        if name and self._counts[name] > self.most_per_address:
            raise TooManyRequests(
                "Too many connections from this address. Close some and try again."
            )
        if len(self._addresses) > self.most and not self._make_room():
            raise ServerBusy
        self._idle[connection] = None

    def hold(self, connection: Connection) -> None:
        """Mark ``connection`` as busy with a request."""
        self._idle.pop(connection, None)

    def free(self, connection: Connection) -> None:
        """Mark ``connection`` as idle."""
        if connection in self._addresses:
            self._idle[connection] = None

    def leave(self, connection: Connection) -> None:
        """Stop counting ``connection``."""
        self._idle.pop(connection, None)
        name = self._addresses.pop(connection, None)
        if name is not None:
            self._counts[name] -= 1
            if not self._counts[name]:
                del self._counts[name]

    def _make_room(self) -> bool:
        if not self._idle:
            return False
        longest, _ = self._idle.popitem(last=False)
        longest.transport.abort()
        return True

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:  # a Unix socket has none
            return True
        return any(found in each for each in self.proxies)


def make_connections(settings: Settings) -> Connections:
    """Return the connections of a server, within this process's limit of open files. Raise
    ``SettingsError`` for invalid proxies."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Connections(
        most=min(settings.connections, max(16, files - _OTHER_FILES)),
        most_per_address=settings.connections_per_address,
        proxies=_read_networks(settings.trusted_proxies),
    )


def _read_networks(names: Sequence[str]) -> list[Network]:
    """Return the addresses and networks of ``names``. Raise ``SettingsError`` for invalid
    ones."""
    try:
        return [ip_network(name) for name in names]
    except ValueError as exc:
        raise SettingsError(
            f"--proxies {', '.join(names)}: {exc}. Give addresses, or networks as 10.0.0.0/8."
        ) from exc
