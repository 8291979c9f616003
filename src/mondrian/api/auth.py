"""Authentication and authorization: keys, sessions, short-lived tokens, loopback without a key.

1. Without a key only loopback is served, by the peer's address *and* the ``Host`` header: a foreign
   page may resolve its own name to 127.0.0.1 (DNS rebinding). Where ``hosts`` are set, other names
   are rejected with keys and with ``open`` too.
2. A foreign page may submit a form to this server (CSRF). So a request that changes something is
   rejected if its ``Origin`` is neither this server's nor an allowed one.
3. A job belongs to its owner: a key, or a browser's session. For all others it does not exist.
   Without keys, loopback sees every job; an ``open`` server serves a job to clients that know its
   id, but lists only a browser's own.
4. A key is sent in a header, a form or a cookie, never in a URL: URLs end up in logs. A URL may
   carry a token, valid for an hour, for reading one job. It is not derived from the key.
5. Keys are compared in constant time; clients that send wrong ones are throttled (``guesses.py``).
"""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from mondrian.api.guesses import Guesses, Tally
from mondrian.api.signing import SESSION_SECONDS, Session, Signer
from mondrian.errors import ForeignRequest, InvalidRequest, NotAllowed, StorageError
from mondrian.jobs.job import Job
from mondrian.jobs.store import Store
from mondrian.settings import Settings

COOKIE = "mondrian_key"
LOGIN_CODE_SECONDS = 900

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)
_PUBLIC = re.compile(
    r"/|/health(?:/live|/ready)?|/openapi\.json|/session|/login|/manifest\.webmanifest|/favicon\.ico|"
    r"/icon-\d+\.png|/web/.+"
)
_WITH_TOKEN = re.compile(r"/(stream|photo|analysis|summary|report)/.+")
_WITH_ANY_TOKEN = re.compile(r"/(advisor|advisor_image|advisor_artwork)/.+")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_CACHE_SECONDS = 5.0
"""Seconds until a session that was ended at another server ends here too."""
_MAX_CACHED = 4096
_MAX_SESSIONS = 100
"""Most sessions without a key for one address, until it has been idle for ten minutes."""


class Right(StrEnum):
    """Which jobs a visitor may see, change and delete."""

    ALL = "all"
    """All jobs."""

    OWN = "own"
    """Those of the same owner."""

    KNOWN = "known"
    """Those whose id the visitor knows."""

    ONE = "one"
    """The job that a token names, read-only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """The client of a request. ``owner`` identifies it for the queue, idempotency keys and the
    ownership of jobs: its key, its session, or else its address. ``has_key`` is false where no key
    was needed or a token sufficed. ``job_id`` and ``token_ends`` are those of the token, if any."""

    owner: str
    right: Right
    has_key: bool = False
    is_admin: bool = False
    session: Session | None = None
    job_id: UUID | None = None
    token_ends: int | None = None

    def may_access(self, job: Job) -> bool:
        """Return whether this visitor may read ``job``."""
        match self.right:
            case Right.OWN:
                return job.owner == self.owner
            case Right.ONE:
                return job.id == self.job_id
        return True

    def owns(self, job: Job) -> bool:
        """Return whether this visitor owns ``job`` or may see all jobs. For requests that do not
        name the job by its id."""
        return self.right is Right.ALL or (self.may_access(job) and job.owner == self.owner)

    @property
    def listed_owner(self) -> str | None:
        """Return the owner whose jobs are listed for this visitor; ``None`` for all jobs."""
        if self.right is Right.ALL:
            return None
        is_known = self.session is not None or self.right is Right.OWN
        return self.owner if is_known else ""  # many people may share an address


class Access:
    """Authenticates requests.

    ``store`` holds the secret that signs tokens and sessions, and the ended sessions. Raise
    ``SettingsError`` for invalid keys, and ``StorageError``.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.guesses = Guesses()
        self.signer = Signer(store.read_signing_secret())
        self._keys = settings.keys
        self._admin_keys = settings.admin_keys
        self._owners = {make_owner(key): key in self._admin_keys for key in self._all_keys}
        self._is_open = settings.open
        base = urlsplit(settings.base_url or "")
        self._origins = {*settings.cors_origins, f"{base.scheme}://{base.netloc}"}
        named = (*settings.hosts, settings.host, base.hostname or "")
        self._hosts = {name.lower() for name in named if name} | {"localhost"}
        self._has_hosts = bool(settings.hosts)
        self._cookie_path = base.path.rstrip("/") or "/"
        self._is_https = base.scheme == "https"
        self._store = store
        self._cached_ends: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._new_sessions = Tally()
        self._login_codes: dict[str, float] = {}

    @property
    def has_keys(self) -> bool:
        """Return whether the server requires a key."""
        return bool(self._keys)

    @property
    def gives_sessions(self) -> bool:
        """Return whether a browser without a key gets a session, so that its jobs can be listed."""
        return self._is_open and not self._keys

    async def admit(self, request: Request) -> Visitor:
        """Return the visitor that sent ``request``.

        Raise ``NotAllowed`` without a required key, after a delay if a wrong one was sent;
        ``ForeignRequest`` for a foreign host, origin or peer; ``InvalidRequest`` without a valid
        ``Host``.
        """
        self._check_host(request)
        if request.method not in _READS:
            self._refuse_foreign_origin(request)
        if key := self._read_key(request):
            return self._make_visitor(make_owner(key), has_key=True)
        if session := await self._read_session(request):
            return self._make_visitor(session.owner, session, has_key=session.owner in self._owners)
        if self._keys and (visitor := self._admit_by_token(request)):
            return visitor
        if self._all_keys and self._is_guess(request):
            await self.guesses.slow(_get_address(request))
        if not self._keys:
            return self._admit_without_key(request)
        if _PUBLIC.fullmatch(request.scope["path"]):
            return Visitor(owner=f"address:{_get_address(request)}", right=Right.OWN)
        raise NotAllowed

    async def log_in(self, request: Request, key: str) -> Visitor:
        """Return the visitor with ``key``, sent in a form. Raise ``NotAllowed``, after a delay, for
        a wrong one."""
        if found := self._find_key(key.strip()):
            return self._make_visitor(make_owner(found), has_key=True)
        await self.guesses.slow(_get_address(request))
        raise NotAllowed

    def make_login_code(self) -> str:
        """Return a code that logs one browser in with the first key, once, within 15 minutes. Raise
        ``InvalidRequest`` on a server without a key."""
        if not self._keys:
            raise InvalidRequest("This server has no key, so there is no need to log in.")
        code = secrets.token_urlsafe(16)
        self._login_codes[code] = time.monotonic() + LOGIN_CODE_SECONDS
        return code

    async def use_login_code(self, request: Request, code: str) -> Visitor:
        """Return the visitor that ``code`` logs in, and invalidate it. Raise ``NotAllowed``, after
        a delay, for an invalid code."""
        if self._login_codes.pop(code, 0.0) >= time.monotonic():
            return self._make_visitor(make_owner(self._keys[0]), has_key=True)
        await self.guesses.slow(_get_address(request))
        raise NotAllowed("This code was used before, or is too old. Log in with the key.")

    def make_token(self, visitor: Visitor, job_id: UUID | None) -> tuple[str, int]:
        """Return a token for reading a job, or the advisors' pictures, and its expiry (Unix time).

        Raise ``InvalidRequest`` on a server without a key, ``NotAllowed`` without a key sent.
        """
        if not self._keys:
            raise InvalidRequest("This server has no key, so no token is needed.")
        if not visitor.has_key:
            raise NotAllowed
        return self.signer.make_token(job_id)

    def new_session(self, request: Request, visitor: Visitor) -> tuple[str, Session]:
        """Return a cookie's value and its new session: of the key that was sent, or on an open
        server the browser's own.

        Raise ``InvalidRequest`` where none is needed, ``NotAllowed`` without a key, or for too many
        from one address.
        """
        if visitor.has_key:
            return self.signer.make_session(visitor.owner)
        if self._keys:
            raise NotAllowed
        if not self.gives_sessions:
            raise InvalidRequest("This server has no key, so no session is needed.")
        if self._new_sessions.add(_get_address(request)) > _MAX_SESSIONS:
            raise NotAllowed("Too many sessions were asked for from here. Try again later.")
        return self.signer.make_session("")

    def end_session(self, session: Session) -> None:
        """End ``session`` at all servers of this database. Raise ``StorageError``."""
        self._store.end_session(session.id, session.ends)
        self._cache_end(session.id, is_ended=True)

    def set_cookie(self, request: Request, answer: Response, value: str) -> None:
        """Set the session's cookie to ``value`` for 30 days, limited to the base URL's path."""
        answer.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_SECONDS,
            path=self._cookie_path,
            httponly=True,
            samesite="strict",
            secure=self._is_https or request.url.scheme == "https",
        )

    def delete_cookie(self, answer: Response) -> None:
        """Delete the session's cookie."""
        answer.delete_cookie(COOKIE, path=self._cookie_path, httponly=True, samesite="strict")

    @property
    def _all_keys(self) -> tuple[str, ...]:
        return (*self._keys, *self._admin_keys)

    def _make_visitor(
        self, owner: str, session: Session | None = None, *, has_key: bool
    ) -> Visitor:
        is_admin = self._owners.get(owner, False)
        right = Right.OWN if self._keys else Right.KNOWN if self._is_open else Right.ALL
        return Visitor(
            owner=owner,
            right=Right.ALL if is_admin else right,
            has_key=has_key,
            is_admin=is_admin,
            session=session,
        )

    def _admit_without_key(self, request: Request) -> Visitor:
        if not self._is_open:
            self._refuse_strangers(request)
        right = Right.KNOWN if self._is_open else Right.ALL
        return Visitor(owner=f"address:{_get_address(request)}", right=right)

    def _check_host(self, request: Request) -> None:
        hosts = request.headers.getlist("host")
        if not hosts and request.scope.get("http_version") == "1.0" and _is_probe(request):
            return  # load balancers probe like this
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            raise InvalidRequest("The request needs one Host header with a name or an address.")
        name = _parse_host_name(request)
        if self._has_hosts and not (name in self._hosts or _is_loopback(name)):
            raise ForeignRequest(
                f"This server does not answer to the name {name[:100]}. MONDRIAN_HOSTS lists those "
                "that it answers to."
            )

    def _refuse_foreign_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is None or origin in self._origins or "*" in self._origins:
            return
        if origin != f"{request.url.scheme}://{request.headers['host']}":
            raise ForeignRequest(
                f"A page of {origin[:200]} may not change anything here. MONDRIAN_CORS_ORIGINS "
                "names the pages that may, MONDRIAN_BASE_URL the address behind a proxy."
            )

    def _refuse_strangers(self, request: Request) -> None:
        name = _parse_host_name(request)
        if not _is_loopback(_get_address(request)) or not (
            name in self._hosts or _is_loopback(name)
        ):
            raise ForeignRequest

    def _read_key(self, request: Request) -> str | None:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = bearer.strip() if scheme.lower() == "bearer" else ""
        return self._find_key(shown) or self._find_key(request.cookies.get(COOKIE, ""))

    def _find_key(self, shown: str) -> str | None:
        # Compare all keys, so that the time reveals nothing.
        found = [key for key in self._all_keys if hmac.compare_digest(key.encode(), shown.encode())]
        return found[0] if found else None

    def _is_guess(self, request: Request) -> bool:
        """Return whether the request sent a wrong key, or a badly signed token or cookie."""
        signed = (request.cookies.get(COOKIE, ""), request.query_params.get("token", ""))
        is_forged = any(text and not self.signer.is_ours(text) for text in signed)
        return is_forged or "authorization" in request.headers

    async def _read_session(self, request: Request) -> Session | None:
        session = self.signer.read_session(request.cookies.get(COOKIE, ""))
        if session is None:
            return None
        is_own = session.owner == f"session:{session.id}" and self.gives_sessions
        is_valid = is_own or session.owner in self._owners
        return None if not is_valid or await self._is_ended(session.id) else session

    async def _is_ended(self, session_id: str) -> bool:
        was_ended, until = self._cached_ends.get(session_id, (False, 0.0))
        if was_ended or time.monotonic() < until:
            return was_ended
        try:
            is_ended = await asyncio.to_thread(self._store.is_session_ended, session_id)
        except StorageError:  # nothing can be read without the database anyway
            return was_ended
        self._cache_end(session_id, is_ended=is_ended)
        return is_ended

    def _cache_end(self, session_id: str, *, is_ended: bool) -> None:
        self._cached_ends[session_id] = (is_ended, time.monotonic() + _CACHE_SECONDS)
        self._cached_ends.move_to_end(session_id)
        if len(self._cached_ends) > _MAX_CACHED:
            self._cached_ends.popitem(last=False)

    def _admit_by_token(self, request: Request) -> Visitor | None:
        path = request.scope["path"]
        is_of_job = _WITH_TOKEN.fullmatch(path)
        if request.method not in ("GET", "HEAD") or not (
            is_of_job or _WITH_ANY_TOKEN.fullmatch(path)
        ):
            return None
        token = self.signer.read_token(request.query_params.get("token", ""))
        if token is None or (is_of_job and token.job_id is None):
            return None
        return Visitor(
            owner=f"token:{token.job_id}",
            right=Right.ONE,
            job_id=token.job_id,
            token_ends=token.ends,
        )


def _is_probe(request: Request) -> bool:
    path: str = request.scope["path"]
    return path == "/health" or path.startswith("/health/")


def make_owner(key: str) -> str:
    """Return the owner that the jobs of ``key`` are stored with."""
    return f"key:{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _get_address(request: Request) -> str:
    return request.client.host if request.client else ""


def _parse_host_name(request: Request) -> str:
    match = _HOST.fullmatch(request.headers.get("host", "localhost"))
    assert match
    return match[1].strip("[]").lower()


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return address == "localhost"
    return bool((getattr(found, "ipv4_mapped", None) or found).is_loopback)
