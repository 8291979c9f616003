"""A client of the service: hand in photos, watch jobs through every drop, fetch reports."""

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
"""So often ``/status`` is asked where a stream brings nothing, before it is tried again."""
_ID_LETTERS = 36
_PAGE = 1000
_MAX_FUTILE = 5
"""So many connections in a row may break before they brought anything new."""


class Client:
    """Talks to the service at ``base_url``, with its ``key`` if it has one. For one thread.

    Every method raises ``ServerUnavailable`` where no server answers and else the error of the tree
    that the server names. ``watch`` connects again after at most ``max_retry_seconds``, and waits
    for a server that is away for ``patience_seconds``.
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
        """Let the connections go."""
        self._http.close()

    def submit(
        self,
        photo: Path | str | bytes,
        *,
        advisor: str | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Hand in a photo, by its path or its bytes. Returns what ``POST /upload`` answers, with
        ``job_id``. Raises ``PhotoError`` and its kind."""
        name, content = "photo", photo
        if not isinstance(photo, bytes):
            name, content = Path(photo).name, _read(Path(photo))
        return self._ask(
            "POST",
            "/upload",
            files={"image": (name, content)},
            data={"advisor": advisor} if advisor else {},
            headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
        )

    def status(self, job_id: UUID | str) -> dict[str, Any]:
        """Where the job stands: ``GET /status``."""
        return self._ask("GET", f"/status/{_path(job_id)}")

    def report(self, job_id: UUID | str) -> dict[str, Any]:
        """The report of a job that is done: ``GET /report``. Raises ``JobConflict`` where it is
        not."""
        fields: dict[str, Any] = json.loads(self.export(job_id, "json"))
        return fields

    def export(self, job_id: UUID | str, format: str) -> bytes:  # noqa: A002
        """The report as a file: ``json``, ``md``, ``pdf`` or ``html``. Raises ``JobConflict`` where
        the job is not done."""
        path = f"/report/{_path(job_id)}"
        try:
            answer = _checked(self._http.get(path, params={"format": format}))
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        if answer.status_code == httpx.codes.ACCEPTED:
            raise JobConflict(
                f"The job is not done yet. Follow it with `mondrian watch {str(job_id)[:8]}`."
            )
        return answer.content

    def cancel(self, job_id: UUID | str) -> dict[str, Any]:
        """Cancel the job; returns how it stands. One that has ended stays as it is."""
        return self._ask("POST", f"/jobs/{_path(job_id)}/cancel")

    def retry(self, job_id: UUID | str) -> dict[str, Any]:
        """Make a new job of the same photo and fields; returns what ``submit`` does."""
        return self._ask("POST", f"/jobs/{_path(job_id)}/retry")

    def delete(self, job_id: UUID | str) -> None:
        """Cancel the job, then remove it with its report and its photo."""
        try:
            _checked(self._http.delete(f"/jobs/{_path(job_id)}"))
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc

    def jobs(self, limit: int = 50, before: str | None = None) -> list[dict[str, Any]]:
        """The newest jobs first, at most 1000; only those created ``before`` (an ISO time)."""
        params = {"limit": limit} | ({"before": before} if before else {})
        found: list[dict[str, Any]] = self._ask("GET", "/jobs", params=params)["jobs"]
        return found

    def find(self, prefix: str) -> str:
        """The id of the only job whose id begins with ``prefix``; a whole id is returned as it is.

        Raises ``JobNotFound`` where there is none, ``JobConflict`` where there are several.
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
        """The names of the server's advisors by their ids: ``GET /advisors``."""
        found = self._ask("GET", "/advisors")["advisors"]
        return {advisor["id"]: advisor["name"] for advisor in found}

    def health(self) -> dict[str, Any]:
        """What the server says of itself: ``GET /health``."""
        return self._ask("GET", "/health")

    def update_interval(self) -> float:
        """The time between two updates that the server promises, in seconds."""
        return float(self.health().get("update_interval", 5.0))

    def watch(
        self, job_id: UUID | str, *, include: Collection[str] = (), after: int | None = None
    ) -> Generator[StreamEvent, None, None]:
        """Yield the job's events until it ends, without gap or duplicate, through lost connections.

        ``include`` may ask for ``tokens`` and ``report``; ``after`` is the last number known, 0 for
        the whole log. After a lost connection only ``connected`` comes again; where the stream had
        no number yet, its opening events do. Where a proxy keeps the stream's bytes, or always
        breaks it inside one event, updates and the end are made of what ``/status`` says, and the
        stream is tried again from time to time.
        """
        place = _Place(cursor=None if after is None else str(after))
        interval = self.update_interval()
        while not place.is_ended:
            try:
                if place.is_kept_from:
                    yield from self._poll(job_id, place, interval)
                if not place.is_ended:
                    yield from self._follow(job_id, include, place, interval)
                should_pause = not (place.is_ended or place.is_kept_from)
            except (ServerUnavailable, StorageError):
                if time.monotonic() - place.heard > self._patience_seconds:
                    raise
                should_pause = True
            if should_pause:
                time.sleep(place.back_off(self._max_retry_seconds))

    def _follow(
        self, job_id: UUID | str, include: Collection[str], place: "_Place", interval: float
    ) -> Iterator[StreamEvent]:
        """The events of one connection."""
        decoder, is_silent = SseDecoder(), True
        is_trial = place.is_kept_from and not place.has_seen_end
        silence = interval * (_TRIAL_INTERVALS if is_trial else _SILENT_INTERVALS)
        try:
            with self._open(job_id, include, place, silence) as response:
                place.is_ended = response.status_code == httpx.codes.NO_CONTENT
                for chunk in _checked(response).iter_bytes():
                    is_silent = False
                    for event in decoder.feed(chunk):
                        place.move(event)
                        yield event
                    place.hear(decoder)
        except httpx.ReadTimeout:
            place.is_kept_from = place.is_kept_from or is_silent
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        except ValueError as exc:
            raise self._is_other() from exc
        finally:
            place.leave(is_silent)

    def _open(
        self, job_id: UUID | str, include: Collection[str], place: "_Place", silence: float
    ) -> AbstractContextManager[httpx.Response]:
        return self._http.stream(
            "GET",
            f"/stream/{_path(job_id)}",
            params={"include": ",".join(include)} if include else {},
            headers={"Last-Event-ID": place.cursor} if place.cursor is not None else {},
            timeout=httpx.Timeout(silence, connect=5.0),
        )

    def _poll(
        self, job_id: UUID | str, place: "_Place", interval_seconds: float
    ) -> Iterator[StreamEvent]:
        """What ``/status`` says, once per interval, a few times or until the job has ended."""
        for turn in range(_POLLS):
            time.sleep(interval_seconds if turn else 0)
            status = self.status(job_id)
            place.heard = time.monotonic()
            if status["status"] in ENDED:
                break
            yield _made_event(
                "thinking_update",
                job_id,
                thinking=status["llm_thinking"] or status["current_step"],
                percent=status["progress_percentage"],
                eta_seconds=status.get("eta_seconds"),
                queue_position=status.get("queue_position"),
            )
        else:
            return
        if place.has_seen_end:  # not even a stream that has ended comes through
            yield from self._end(job_id, status)
            place.is_ended = True
        place.has_seen_end = True

    def _end(self, job_id: UUID | str, status: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """The events that end the stream of a job that has ended."""
        match status["status"]:
            case Status.DONE:
                reports = self.report(job_id)["reports"]
                yield _made_event("analysis_complete", job_id, report=reports[0], reports=reports)
            case Status.ERROR:
                yield _made_event("error", job_id, error=status["error"])
        yield _made_event("done", job_id, status=status["status"])

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = _clean(_checked(self._http.request(method, path, **options)).json())
        except httpx.TransportError as exc:
            raise self._unavailable(exc) from exc
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._is_other()
        return answer

    def _unavailable(self, exc: httpx.TransportError) -> ServerUnavailable:
        return ServerUnavailable(
            f"No server answers at {self.base_url} ({_describe(exc)}). Start one with "
            "`mondrian serve`, or give its address with --server."
        )

    def _is_other(self) -> ServerUnavailable:
        return ServerUnavailable(
            f"What answers at {self.base_url} does not speak like Mondrian. Check the address."
        )


@dataclass(kw_only=True)
class _Place:
    """How far a watcher is: ``cursor`` is the last number seen, ``heard`` when anything came.

    ``is_kept_from`` says that a proxy on the way keeps the stream's bytes, or always breaks the
    line before an event is whole.
    """

    cursor: str | None = None
    heard: float = field(default_factory=time.monotonic)
    is_ended: bool = False
    is_kept_from: bool = False
    has_seen_end: bool = False
    _retry_seconds: float = 0.5
    _failures: int = 0
    _is_further: bool = False
    _futile: int = 0

    def hear(self, decoder: SseDecoder) -> None:
        """Take note that something came."""
        self.heard = time.monotonic()
        self._retry_seconds = decoder.retry_seconds or self._retry_seconds
        self.cursor = decoder.last_id or self.cursor

    def move(self, event: StreamEvent) -> None:
        """Take note of ``event``."""
        if event.type == "reset":
            self.cursor = None
        self.is_ended = event.type == "done"
        if event.seq is not None or event.type == "thinking_update":
            self._is_further, self.is_kept_from, self._failures = True, False, 0

    def leave(self, is_silent: bool) -> None:
        """Take note of the end of a connection, which had brought nothing or something."""
        if not is_silent:
            self._futile = 0 if self._is_further else self._futile + 1
            self.is_kept_from = self.is_kept_from or self._futile >= _MAX_FUTILE
        self._is_further = False

    def back_off(self, longest: float) -> float:
        """Seconds to wait before the next connection: twice as many each time, and never the same
        as everybody else's."""
        seconds: float = min(longest, self._retry_seconds * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(0.5, 1.0) * seconds


def _clean(value: Any) -> Any:
    """``value``, of JSON that a server sent, with its texts as lines that a terminal may show."""
    match value:
        case str():
            return "\n".join(printable(line, len(line)) for line in value.split("\n"))
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_clean(name): _clean(each) for name, each in value.items()}
    return value


def _made_event(type_: str, job_id: UUID | str, **fields: Any) -> StreamEvent:
    return StreamEvent(type=type_, fields={"type": type_, "job_id": str(job_id), **fields})


def only_job(prefix: str, found: Sequence[str]) -> str:
    """The only id of ``found``, whose ids begin with ``prefix``. Raises ``JobNotFound`` where there
    is none, ``JobConflict`` where there are several."""
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
    """What happened, without an operating system's numbers."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(exc)) or type(exc).__name__


def _path(job_id: UUID | str) -> str:
    return quote(str(job_id), safe="")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise PhotoError(f"{path} cannot be read: {reason}. Check the path.") from exc


def _checked(response: httpx.Response) -> httpx.Response:
    """The response, or the error that it tells."""
    if not response.is_error:
        return response
    response.read()
    try:
        told = response.json()
        code, message = str(told["code"]), str(told["error"])
    except (ValueError, KeyError, TypeError):
        code, message = "", _advise(response.status_code)
    unnamed = ServerUnavailable if response.is_server_error else RequestError
    raise (find_error(code) or unnamed)(message)


def _advise(status: int) -> str:
    """Return what to do about an answer that is none of ours, such as a proxy's."""
    if status == 413:
        return (
            "A proxy before the server refuses a body of this size (413). With nginx, raise "
            "client_max_body_size, for example to 60m, or send a smaller photo."
        )
    return f"The server answered {status}. Try again in a moment."
