"""Who may ask what: keys, short-lived tokens, and this machine alone where there is no key.

1. Without a key the server answers to loopback only, by the peer's address *and* by the ``Host``
   header: a foreign page may have its own name resolve to 127.0.0.1 (DNS rebinding).
2. A page that is not ours may send a form to us without asking. So a request that changes
   something is refused if its ``Origin`` is neither this server's nor one that was allowed.
3. A key goes into a header or a cookie, never into an address: addresses end up in logs. A token
   may stand there, for reading and for an hour.
4. Keys and tokens are compared in constant time.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from mondrian.errors import ForeignRequest, InvalidRequest, NotAllowed
from mondrian.settings import Settings

COOKIE = "mondrian_key"
TOKEN_SECONDS = 3600
SESSION_SECONDS = 30 * 24 * 3600

READING, SESSION = "read", "session"

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)
_PUBLIC = frozenset({"/", "/health", "/openapi.json"})
_WITH_TOKEN = re.compile(
    r"/(stream|photo|analysis|summary|report|advisor|advisor_image|advisor_artwork)/.+"
)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Who asks: ``owner`` is the client for the queue and for idempotency keys, by its key or else
    its address. ``has_key`` is false where no key was needed, or a reading token sufficed."""

    owner: str
    has_key: bool


class Access:
    """Decides who may ask what. ``settings.key`` is one key or several, after commas; ``now`` is
    the clock of tokens, in seconds since 1970."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        named_keys = (settings.key or "").split(",")
        self._keys = [key.strip() for key in named_keys if key.strip()]
        self._is_open = settings.open
        self._origins = {*settings.cors_origins, _origin(settings.base_url or "")}
        named = (settings.host, urlsplit(settings.base_url or "").hostname)
        self._hosts = {name for name in named if name} | {"localhost"}
        self._now = now

    @property
    def has_keys(self) -> bool:
        """Whether a key is needed at all."""
        return bool(self._keys)

    def admit(self, request: Request) -> Visitor:
        """Return who asks. Raises ``NotAllowed`` without the key that it takes,
        ``ForeignRequest`` from where the server does not answer, ``InvalidRequest`` without a
        proper ``Host``."""
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise InvalidRequest("The request needs a Host header with a name or an address.")
        if request.method not in _READS:
            self._refuse_foreign_origin(request, host)
        address = request.client.host if request.client else ""
        if not self._keys:
            self._refuse_strangers(address, host)
            return Visitor(owner=f"address:{address}", has_key=False)
        if visitor := self._by_key(request):
            return visitor
        if request.scope["path"] in _PUBLIC or self._has_token(request):
            return Visitor(owner=f"address:{address}", has_key=False)
        raise NotAllowed

    def make_token(self, request: Request, scope: str, seconds: int) -> tuple[str, int]:
        """A token for whoever showed a key, and when it ends, in seconds since 1970.

        Raises ``InvalidRequest`` on a server without a key.
        """
        if not self._keys:
            raise InvalidRequest("This server has no key, so nobody needs a token.")
        key, ends = self._key(request) or self._keys[0], int(self._now()) + seconds
        return f"{scope}.{ends}.{_signature(key, scope, ends)}", ends

    def _refuse_foreign_origin(self, request: Request, host: str) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if urlsplit(origin).netloc != host:
            raise ForeignRequest(
                f"A page of {origin[:200]} may not change anything here. "
                "MONDRIAN_CORS_ORIGINS names the pages that may."
            )

    def _refuse_strangers(self, address: str, host: str) -> None:
        if self._is_open:
            return
        name = _HOST.fullmatch(host)[1].strip("[]")  # type: ignore[index]
        if not _is_loopback(address) or not (name.lower() in self._hosts or _is_loopback(name)):
            raise ForeignRequest

    def _by_key(self, request: Request) -> Visitor | None:
        key = self._key(request)
        if key is None:
            return None
        return Visitor(owner=f"key:{hashlib.sha256(key.encode()).hexdigest()[:16]}", has_key=True)

    def _key(self, request: Request) -> str | None:
        """The key that was shown itself, or that signed the session in the cookie."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = [bearer.strip()] if scheme.lower() == "bearer" else []
        cookie = request.cookies.get(COOKIE, "")
        for key in self._keys:
            if any(_is_same(key, each) for each in [*shown, cookie]):
                return key
            if self._is_valid(cookie, key, SESSION):
                return key
        return None

    def _has_token(self, request: Request) -> bool:
        if request.method != "GET" or not _WITH_TOKEN.fullmatch(request.scope["path"]):
            return False
        token = request.query_params.get("token", "")
        return any(self._is_valid(token, key, READING) for key in self._keys)

    def _is_valid(self, token: str, key: str, scope: str) -> bool:
        match = re.fullmatch(rf"{scope}\.(\d{{1,12}})\.([0-9a-f]{{64}})", token, re.ASCII)
        if match is None or int(match[1]) < self._now():
            return False
        return _is_same(_signature(key, scope, int(match[1])), match[2])


def _signature(key: str, scope: str, ends: int) -> str:
    return hmac.new(key.encode(), f"mondrian {scope} {ends}".encode(), "sha256").hexdigest()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return bool((getattr(found, "ipv4_mapped", None) or found).is_loopback)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
