"""URLs of webhooks: which are accepted, and to which addresses they may lead."""

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from mondrian.errors import InvalidRequest, SettingsError
from mondrian.jobs.store import Target
from mondrian.settings import Settings

MAX_LETTERS = 2000

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_METADATA = frozenset({IPv4Address("168.63.129.16")})
"""Addresses that look public and belong to a cloud's own network: Azure's host."""
_LOCAL_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa")


class ForbiddenAddress(Exception):
    """The name has no address that a webhook may lead to."""


def read_target(url: str, networks: Sequence[str] = (), *, base_url: str = "") -> Target:
    """Return the target of a ``callback_url``.

    Raise ``InvalidRequest`` for what is no http(s) URL, names a user, or plainly leads to a private
    address that none of ``networks`` allows. Other names are resolved when the message is sent.
    """
    target = read_url(url, base_url=base_url, is_callback=True)
    host, allowed = target.host.strip("[]"), read_networks(networks)
    try:
        is_bad = not is_allowed(ip_address(host), allowed)
    except ValueError:
        is_bad = not allowed and (host == "localhost" or host.endswith(_LOCAL_ENDINGS))
    if is_bad:
        raise InvalidRequest(
            "callback_url leads to a private address. The server's operator may allow its network "
            "with MONDRIAN_WEBHOOK_NETWORKS."
        )
    return target


def read_webhook(settings: Settings) -> Target | None:
    """Return the target that the operator set, at any address. Raise ``SettingsError`` for one that
    cannot be used."""
    if settings.webhook is None:
        return None
    try:
        return read_url(settings.webhook, is_callback=False)
    except InvalidRequest as exc:
        raise SettingsError(exc.message.replace("callback_url", "--webhook")) from exc


def check_settings(settings: Settings) -> None:
    """Raise ``SettingsError`` for settings of webhooks that cannot be used."""
    _ = settings.webhook_secrets
    read_webhook(settings)
    read_networks(settings.webhook_networks)


def read_url(url: str, *, base_url: str = "", is_callback: bool) -> Target:
    """Return the target at ``url``. Raise ``InvalidRequest`` for a URL that cannot be used."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as exc:
        raise InvalidRequest("callback_url is not a URL.") from exc
    host = parsed.raw_host.decode("ascii")
    is_named = re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", host, re.ASCII | re.IGNORECASE)
    if parsed.scheme not in ("http", "https") or not is_named or len(url) > MAX_LETTERS:
        raise InvalidRequest(
            f"callback_url must be an http or https URL of at most {MAX_LETTERS} characters."
        )
    if parsed.userinfo or parsed.fragment:
        raise InvalidRequest(
            "callback_url must not have a user, a password or a #fragment. Put a secret into its "
            "path, or check the signature."
        )
    return Target(url=str(parsed), host=host.lower(), base_url=base_url, is_callback=is_callback)


def read_networks(names: Iterable[str]) -> list[Network]:
    """Return the networks of ``names``. Raise ``SettingsError`` for one that is none."""
    try:
        return [ip_network(name) for name in names]
    except ValueError as exc:
        raise SettingsError(
            f"--webhook-network: {exc}. Give addresses, or networks as 192.168.1.0/24."
        ) from exc


def is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Return whether a callback may lead to ``address``: a public one, or one in ``networks``.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, Teredo, NAT64) counts as that.
    """
    meant = _unwrap(address)
    if any(each in network for each in (address, meant) for network in networks):
        return True
    is_old_local = isinstance(meant, IPv6Address) and meant.is_site_local
    is_public = meant.is_global and not (meant.is_multicast or is_old_local)
    return is_public and meant not in _METADATA


def _unwrap(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def resolve(host: str, port: int, networks: Sequence[Network] | None) -> list[str]:
    """Return the addresses of ``host`` that may be connected to, all of them with ``networks``
    ``None``. Raise ``ForbiddenAddress`` without any, and ``OSError`` for a name without address."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(str(each[4][0]) for each in found)
    if networks is not None:
        addresses = dict.fromkeys(
            each for each in addresses if is_allowed(ip_address(each.partition("%")[0]), networks)
        )
    if not addresses:
        raise ForbiddenAddress
    return list(addresses)
