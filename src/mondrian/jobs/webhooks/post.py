"""One POST to an address that was checked, with one deadline for all of it."""

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpcore
import httpx

from mondrian.jobs.webhooks.urls import Network, resolve


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    networks: Sequence[Network] | None,
    seconds: float,
) -> tuple[int, str]:
    """Send ``body`` and return the status of the answer and its ``Retry-After``.

    Nothing else is read, and no redirect followed. ``networks`` are the private ones that may be
    connected to, ``None`` allows every address. Raise ``ForbiddenAddress``, ``OSError``,
    ``httpcore`` errors, and ``httpcore.TimeoutException`` after ``seconds``.
    """
    parsed = httpx.URL(url)
    target = httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )
    given = [("Host", parsed.netloc.decode("ascii")), *headers.items()]
    backend = _CheckedBackend(networks, time.monotonic() + seconds)
    with (
        httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), network_backend=backend
        ) as pool,
        pool.stream("POST", target, headers=given, content=body) as response,
    ):
        found = {name.lower(): value for name, value in response.headers}
        return response.status, found.get(b"retry-after", b"").decode("latin-1")


class _CheckedBackend(httpcore.SyncBackend):
    """Resolves names itself, and connects to an address that it has checked."""

    def __init__(self, networks: Sequence[Network] | None, deadline: float) -> None:
        self._networks = networks
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        failure: Exception | None = None
        for address in resolve(host, port, self._networks):
            try:
                left = _count_left(self._deadline)
                stream = super().connect_tcp(address, port, left, local_address, socket_options)
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure or httpcore.ConnectError("no address")


class _TimedStream(httpcore.NetworkStream):
    """A connection on which everything together has one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return at most ``max_bytes``."""
        return self._stream.read(max_bytes, _count_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send ``buffer``."""
        self._stream.write(buffer, _count_left(self._deadline))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the same, encrypted: the certificate must be that of the URL's name."""
        left = _count_left(self._deadline)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _count_left(deadline: float) -> float:
    """Return the seconds until ``deadline``. Raise ``ConnectTimeout`` after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ConnectTimeout("out of time")
    return left
