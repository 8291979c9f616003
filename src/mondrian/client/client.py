"""A client of the service: submit photos, watch jobs across reconnects, fetch reports."""

import json
import random
import re
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

import httpx

from mondrian.client.decoder import SseDecoder, StreamEvent
from mondrian.errors import (
    JobConflict,
    JobNotFound,
    PhotoError,
    RequestError,
    ServerUnavailable,
    SettingsError,
    StorageError,
    find_error,
    printable,
)
from mondrian.jobs.job import ENDED, Status
from mondrian.settings import DEFAULT_SERVER

_SILENT_INTERVALS = 3
_TRIAL_INTERVALS = 1.5
_POLLS = 3
"""The number of requests to ``/status``, if a stream is silent, before it is opened again."""
_ID_LETTERS = 36
_PAGE = 1000
_MAX_FUTILE = 5
"""The number of connections in a row that may break without progress."""


class Client:
    """A client of the service at ``base_url``, with an API ``key`` if it needs one. Not
    thread-safe.

    Every method raises ``ServerUnavailable`` if no server answers, otherwise the error class for
    the code in the response. ``watch`` reconnects after at most ``max_retry_seconds``, and retries
    for ``patience_seconds`` while the server is unavailable.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_SERVER,
        key: str | None = None,
        *,
        max_retry_seconds: float = 15.0,
        patience_seconds: float = 300.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.base_url = base_url.rstrip("/")
        self._max_retry_seconds = max_retry_seconds
        self._patience_seconds = patience_seconds
        try:
            self._http = httpx.Client(
                base_url=self.base_url, headers=headers, timeout=httpx.Timeout(30.0, connect=5.0)
            )
        except httpx.InvalidURL as exc:
            raise SettingsError(f"The server's address {base_url!r} is no URL.") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        photo: Path | str | bytes,
        *,
        advisor: str | None = None,
        intent: str = "",
        genre: str = "",
        folder: str = "",
        callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Submit a photo, by its path or its bytes. ``intent`` is what the photographer meant,
        ``genre`` one of ``purpose.GENRES``, ``folder`` names the folder that it is of;
        ``callback_url`` is told of the job's end. Return the response of ``POST /upload``, with
        ``job_id``. Raise ``PhotoError``."""
        name, content = "photo", photo
        fields = {
            "advisor": advisor,
            "intent": intent,
            "genre": genre,
            "folder": folder,
            "callback_url": callback_url,
        }
        if not isinstance(photo, bytes):
            name, content = Path(photo).name, _read_file(Path(photo))
        return self._request(
            "POST",
            "/upload",
            files={"image": (name, content)},
            data={name: value for name, value in fields.items() if value},
            headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
        )

    def status(self, job_id: UUID | str) -> dict[str, Any]:
        """Return the status of the job: ``GET /status``."""
        return self._request("GET", f"/status/{_quote(job_id)}")

    def report(self, job_id: UUID | str) -> dict[str, Any]:
        """Return the report of a completed job: ``GET /report``. Raise ``JobConflict`` if it is
        not done."""
        fields: dict[str, Any] = json.loads(self.export(job_id, "json"))
        return fields

    def export(self, job_id: UUID | str, format: str) -> bytes:  # noqa: A002
        """Return the report as a file: ``json``, ``md``, ``pdf`` or ``html``. Raise ``JobConflict``
        if the job is not done."""
        path = f"/report/{_quote(job_id)}"
        try:
            answer = _raise_for_error(self._http.get(path, params={"format": format}))
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        if answer.status_code == httpx.codes.ACCEPTED:
            raise JobConflict(
                f"The job is not done yet. Follow it with `mondrian watch {str(job_id)[:8]}`."
            )
        return answer.content

    def cancel(self, job_id: UUID | str) -> dict[str, Any]:
        """Cancel the job and return its status. One that has ended does not change."""
        return self._request("POST", f"/jobs/{_quote(job_id)}/cancel")

    def retry(self, job_id: UUID | str) -> dict[str, Any]:
        """Create a new job with the same photo and fields; return the same as ``submit``."""
        return self._request("POST", f"/jobs/{_quote(job_id)}/retry")

    def delete(self, job_id: UUID | str) -> None:
        """Cancel the job, then delete it with its report and its photo."""
        try:
            _raise_for_error(self._http.delete(f"/jobs/{_quote(job_id)}"))
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc

    def jobs(self, limit: int = 50, before: str | None = None) -> list[dict[str, Any]]:
        """Return at most 1000 jobs, newest first; only those created ``before`` (an ISO time)."""
        params = {"limit": limit} | ({"before": before} if before else {})
        found: list[dict[str, Any]] = self._request("GET", "/jobs", params=params)["jobs"]
        return found

    def find(self, prefix: str) -> str:
        """Return the id of the only job whose id begins with ``prefix``, or ``prefix`` if it is a
        full id.

        Raise ``JobNotFound`` if there is none, ``JobConflict`` if there are several.
        """
        prefix = prefix.strip().lower()
        if len(prefix) >= _ID_LETTERS:
            return prefix
        found, before = list[str](), None
        while page := self.jobs(_PAGE, before):
            found += [job["job_id"] for job in page if job["job_id"].startswith(prefix)]
            before = page[-1]["created_at"]
            if len(page) < _PAGE:
                break
        return only_job(prefix, found)

    def advisors(self) -> dict[str, str]:
        """Return the names of the server's advisors by id: ``GET /advisors``."""
        found = self._request("GET", "/advisors")["advisors"]
        return {advisor["id"]: advisor["name"] for advisor in found}

    def health(self) -> dict[str, Any]:
        """Return the health of the server: ``GET /health``."""
        return self._request("GET", "/health")

    def update_interval(self) -> float:
        """Return the server's interval between two updates, in seconds."""
        return float(self.health().get("update_interval", 5.0))

    def watch(
        self, job_id: UUID | str, *, include: Collection[str] = (), after: int | None = None
    ) -> Generator[StreamEvent, None, None]:
        """Yield the job's events until it ends, without gaps or duplicates across reconnects.

        ``include`` may name ``tokens`` and ``report``; ``after`` is the last sequence number seen,
        0 for the whole log. After a reconnect only ``connected`` is repeated, or the opening events
        if none had a number yet. If a proxy buffers the stream, or always cuts it inside one event,
        updates and the end are made from ``/status``, and the stream is retried periodically.
        """
        position = _Position(cursor=None if after is None else str(after))
        interval = self.update_interval()
        while not position.is_ended:
            try:
                if position.is_buffered:
                    yield from self._poll(job_id, position, interval)
                if not position.is_ended:
                    yield from self._follow(job_id, include, position, interval)
                should_pause = not (position.is_ended or position.is_buffered)
            except (ServerUnavailable, StorageError):
                if time.monotonic() - position.last_received > self._patience_seconds:
                    raise
                should_pause = True
            if should_pause:
                time.sleep(position.back_off(self._max_retry_seconds))

    def _follow(
        self, job_id: UUID | str, include: Collection[str], position: "_Position", interval: float
    ) -> Iterator[StreamEvent]:
        """Yield the events of one connection."""
        decoder, is_silent = SseDecoder(), True
        is_trial = position.is_buffered and not position.has_seen_end
        silence = interval * (_TRIAL_INTERVALS if is_trial else _SILENT_INTERVALS)
        try:
            with self._open_stream(job_id, include, position, silence) as response:
                position.is_ended = response.status_code == httpx.codes.NO_CONTENT
                for chunk in _raise_for_error(response).iter_bytes():
                    is_silent = False
                    for event in decoder.feed(chunk):
                        position.record_event(event)
                        yield event
                    position.record_chunk(decoder)
        except httpx.ReadTimeout:
            position.is_buffered = position.is_buffered or is_silent
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        except ValueError as exc:
            raise self._not_mondrian() from exc
        finally:
            position.record_disconnect(is_silent)

    def _open_stream(
        self, job_id: UUID | str, include: Collection[str], position: "_Position", silence: float
    ) -> AbstractContextManager[httpx.Response]:
        return self._http.stream(
            "GET",
            f"/stream/{_quote(job_id)}",
            params={"include": ",".join(include)} if include else {},
            headers={"Last-Event-ID": position.cursor} if position.cursor is not None else {},
            timeout=httpx.Timeout(silence, connect=5.0),
        )

    def _poll(
        self, job_id: UUID | str, position: "_Position", interval_seconds: float
    ) -> Iterator[StreamEvent]:
        """Yield an update from ``/status`` per interval, a few times or until the job has ended."""
        for turn in range(_POLLS):
            time.sleep(interval_seconds if turn else 0)
            status = self.status(job_id)
            position.last_received = time.monotonic()
            if status["status"] in ENDED:
                break
            yield _make_event(
                "thinking_update",
                job_id,
                thinking=status["llm_thinking"] or status["current_step"],
                percent=status["progress_percentage"],
                eta_seconds=status.get("eta_seconds"),
                queue_position=status.get("queue_position"),
            )
        else:
            return
        if position.has_seen_end:  # even an ended stream is not delivered
            yield from self._make_end(job_id, status)
            position.is_ended = True
        position.has_seen_end = True

    def _make_end(self, job_id: UUID | str, status: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """Yield the final events of a job that has ended."""
        match status["status"]:
            case Status.DONE:
                reports = self.report(job_id)["reports"]
                yield _make_event("analysis_complete", job_id, report=reports[0], reports=reports)
            case Status.ERROR:
                yield _make_event("error", job_id, error=status["error"])
        yield _make_event("done", job_id, status=status["status"])

    def _request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = _clean(_raise_for_error(self._http.request(method, path, **options)).json())
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._not_mondrian()
        return answer

    def _unavailable(self, exc: httpx.TransportError) -> ServerUnavailable:
        return ServerUnavailable(
            f"No server answers at {self.base_url} ({_describe(exc)}). Start one with "
            "`mondrian serve`, or give its address with --server."
        )

    def _not_mondrian(self) -> ServerUnavailable:
        return ServerUnavailable(
            f"The server at {self.base_url} is not a Mondrian server. Check the address."
        )


@dataclass(kw_only=True)
class _Position:
    """The position of ``watch`` in a stream: ``cursor`` is the last event id seen,
    ``last_received`` the time of the last bytes.

    ``is_buffered`` is true if a proxy buffers the stream, or always cuts the connection inside an
    event.
    """

    cursor: str | None = None
    last_received: float = field(default_factory=time.monotonic)
    is_ended: bool = False
    is_buffered: bool = False
    has_seen_end: bool = False
    _retry_seconds: float = 0.5
    _failures: int = 0
    _has_progress: bool = False
    _futile: int = 0

    def record_chunk(self, decoder: SseDecoder) -> None:
        """Record that bytes were received."""
        self.last_received = time.monotonic()
        self._retry_seconds = decoder.retry_seconds or self._retry_seconds
        self.cursor = decoder.last_id or self.cursor

    def record_event(self, event: StreamEvent) -> None:
        """Record the receipt of ``event``."""
        if event.type == "reset":
            self.cursor = None
        self.is_ended = event.type == "done"
        if event.seq is not None or event.type == "thinking_update":
            self._has_progress, self.is_buffered, self._failures = True, False, 0

    def record_disconnect(self, is_silent: bool) -> None:
        """Record the end of a connection; ``is_silent`` if it delivered nothing."""
        if not is_silent:
            self._futile = 0 if self._has_progress else self._futile + 1
            self.is_buffered = self.is_buffered or self._futile >= _MAX_FUTILE
        self._has_progress = False

    def back_off(self, longest: float) -> float:
        """Return the seconds to wait before the next connection: exponential backoff with
        jitter."""
        seconds: float = min(longest, self._retry_seconds * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(0.5, 1.0) * seconds


def _clean(value: Any) -> Any:
    """Return ``value``, JSON from a server, with control characters removed from its texts."""
    match value:
        case str():
            return "\n".join(printable(line, len(line)) for line in value.split("\n"))
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_clean(name): _clean(each) for name, each in value.items()}
    return value


def _make_event(type_: str, job_id: UUID | str, **fields: Any) -> StreamEvent:
    return StreamEvent(type=type_, fields={"type": type_, "job_id": str(job_id), **fields})


def only_job(prefix: str, found: Sequence[str]) -> str:
    """Return the only id in ``found``, the ids that begin with ``prefix``. Raise ``JobNotFound`` if
    there is none, ``JobConflict`` if there are several."""
    several = sorted(set(found))
    if not several:
        raise JobNotFound(
            f"There is no job whose id begins with {prefix!r}. `mondrian jobs` lists them."
        )
    if len(several) > 1:
        raise JobConflict(
            f"{len(several)} jobs have an id that begins with {prefix!r}, among them {several[0]} "
            f"and {several[1]}. Give more of it."
        )
    return several[0]


def _describe(exc: httpx.TransportError) -> str:
    """Return the cause, without the operating system's error number."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(exc)) or type(exc).__name__


def _quote(job_id: UUID | str) -> str:
    return quote(str(job_id), safe="")


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise PhotoError(f"{path} cannot be read: {reason}. Check the path.") from exc


def _raise_for_error(response: httpx.Response) -> httpx.Response:
    """Return the response, or raise the error that it reports."""
    if not response.is_error:
        return response
    response.read()
    try:
        fields = response.json()
        code, message = str(fields["code"]), str(fields["error"])
    except (ValueError, KeyError, TypeError):
        code, message = "", _advise(response.status_code)
    unnamed = ServerUnavailable if response.is_server_error else RequestError
    raise (find_error(code) or unnamed)(message)


def _advise(status: int) -> str:
    """Return advice on an error response that is not from Mondrian, such as a proxy's."""
    if status == 413:
        return (
            "A proxy before the server rejects a body of this size (413). With nginx, raise "
            "client_max_body_size, for example to 60m, or send a smaller photo."
        )
    return f"The server answered {status}. Try again in a moment."
