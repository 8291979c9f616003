"""Deliver webhooks from the database: one thread claims them, and one thread runs each delivery."""

import logging
import random
import threading
from collections.abc import Sequence
from ssl import SSLError

import httpcore

from mondrian.errors import JobNotFound, StorageError
from mondrian.jobs.store import Delivery, Store
from mondrian.jobs.webhooks.message import make_headers, make_message
from mondrian.jobs.webhooks.post import post
from mondrian.jobs.webhooks.urls import ForbiddenAddress, read_networks
from mondrian.settings import Settings

log = logging.getLogger(__name__)

DELAYS_SECONDS = (5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 50_400)
"""Seconds from each failed attempt to the next, a fifth more or less: nine more in 32 hours."""

SLOTS = 8
TIMEOUT_SECONDS = 15.0
LEASE_SECONDS = 45.0
POLL_SECONDS = 1.0
AWAY_SECONDS = 5.0
_MAX_RETRY_AFTER_SECONDS = 86_400
_GONE = 410


class Deliverer:
    """Delivers webhooks; ``base_url`` goes before the links in messages to the operator's URL.

    Raise ``SettingsError`` for invalid secrets or networks.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        base_url: str = "",
        delays_seconds: Sequence[float] = DELAYS_SECONDS,
    ) -> None:
        self._store = store
        self._secrets = settings.webhook_secrets
        self._networks = read_networks(settings.webhook_networks)
        self._base_url = base_url
        self._delays = delays_seconds
        self._slots = threading.Semaphore(SLOTS)

    def run(self, left: threading.Event) -> None:
        """Deliver what is due until ``left`` is set."""
        pause = 0.0
        while self._secrets and not left.wait(pause):
            try:
                pause = 0.0 if self._start_next() else POLL_SECONDS
            except StorageError:
                pause = AWAY_SECONDS

    def _start_next(self) -> bool:
        """Begin to deliver one that is due, in a thread. Return whether there was one."""
        if not self._slots.acquire(timeout=POLL_SECONDS):
            return True
        delivery = None
        try:
            delivery = self._store.claim_webhook(LEASE_SECONDS)
        finally:
            if delivery is None:
                self._slots.release()
        if delivery is None:
            return False
        threading.Thread(target=self._run_one, args=[delivery], name="webhook", daemon=True).start()
        return True

    def _run_one(self, delivery: Delivery) -> None:
        try:
            self.deliver(delivery)
        except StorageError as exc:  # it is due again when its lease is over
            log.warning("webhook %s: %s", delivery.id.hex, exc.message)
        except Exception:
            log.exception("unexpected error in webhook %s", delivery.id.hex)
        finally:
            self._slots.release()

    def deliver(self, delivery: Delivery) -> None:
        """Send a claimed webhook once, and record what came of it. Raise ``StorageError``."""
        try:
            job = self._store.read(delivery.job_id)
        except JobNotFound:  # its webhooks went with it
            return
        reports = self._store.read_reports(job.id)
        body = make_message(job, reports, delivery.base_url or self._base_url)
        status, outcome, asked_seconds = self._send(delivery, body)
        delay = self._choose_delay(delivery.attempts, asked_seconds)
        if status == "waiting" and delay is None:
            status = "failed"
        if status != "delivered":
            then = f"again in {delay:.0f} s" if status == "waiting" else "given up"
            where = f"webhook {delivery.id.hex} of job {job.id} to {delivery.host}"
            log.warning("%s: %s (attempt %d, %s)", where, outcome, delivery.attempts, then)
        self._store.finish_webhook(delivery, status, outcome, delay or 0.0)

    def _send(self, delivery: Delivery, body: bytes) -> tuple[str, str, float]:
        """Return the new status, what came of it, and after how many seconds the receiver wants to
        be asked again (0 if it does not say)."""
        headers = make_headers(delivery.id, body, self._secrets)
        networks = self._networks if delivery.is_callback else None
        try:
            code, retry_after = post(
                delivery.url, body, headers, networks=networks, seconds=TIMEOUT_SECONDS
            )
        except ForbiddenAddress:
            return "failed", "its address is private, which this server does not allow", 0.0
        except Exception as exc:  # a receiver may answer anything
            return "waiting", _describe(exc), 0.0
        if 200 <= code < 300:
            return "delivered", f"answered {code}", 0.0
        if 300 <= code < 400:
            return "waiting", f"answered {code}: redirects are not followed", 0.0
        return (
            "failed" if code == _GONE else "waiting",
            f"answered {code}",
            _read_seconds(retry_after),
        )

    def _choose_delay(self, attempts: int, asked_seconds: float) -> float | None:
        """Return the seconds until the next attempt, ``None`` after the last."""
        if attempts > len(self._delays):
            return None
        return max(self._delays[attempts - 1] * random.uniform(0.8, 1.2), asked_seconds)


def _describe(exc: Exception) -> str:
    """Return what went wrong in a few words, which are not the receiver's."""
    if isinstance(exc, httpcore.TimeoutException | TimeoutError):
        return f"no answer in {TIMEOUT_SECONDS:.0f} s"
    if isinstance(exc, SSLError) or isinstance(exc.__cause__, SSLError) or "SSL" in str(exc):
        return "its certificate is not accepted"
    if isinstance(exc, httpcore.ProtocolError):
        return "it does not speak HTTP"
    if isinstance(exc, httpcore.ReadError | httpcore.WriteError):
        return "the connection was lost"
    if isinstance(exc, httpcore.ConnectError | OSError):
        return "it cannot be reached"
    return f"not sent ({type(exc).__name__})"


def _read_seconds(retry_after: str) -> float:
    is_number = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10
    return min(float(retry_after), _MAX_RETRY_AFTER_SECONDS) if is_number else 0.0
