"""Jobs and their events, and the transitions between a job's states.

::

    pending ──> queued ──> processing ──> analyzing ──> finalizing ──> done
                  ^            │              │              │
                  └────────────┴──────────────┘──────────────┘   only with an ``attempt`` event

and to ``error`` (from a running state) or ``cancelled`` (from every state).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from mondrian.errors import JobNotFound
from mondrian.purpose import Purpose

MAX_ATTEMPTS = 3
"""After this many failed attempts the job ends with an error. A release is not a failure."""


class Status(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    ANALYZING = "analyzing"
    FINALIZING = "finalizing"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


class StepPhase(StrEnum):
    """The step of a job, in order."""

    QUEUED = "queued"
    IMAGE_PROCESSING = "image_processing"
    ADVISOR_PREPARATION = "advisor_preparation"
    ADVISOR_ANALYSIS = "advisor_analysis"
    FINALIZING = "finalizing"
    DONE = "done"


class EventType(StrEnum):
    """The type of an event. docs/events.md describes each."""

    STATUS_UPDATE = "status_update"
    THINKING_UPDATE = "thinking_update"
    TOKEN = "token"
    REPORT_PARTIAL = "report_partial"
    ATTEMPT = "attempt"
    ANALYSIS_COMPLETE = "analysis_complete"
    ERROR = "error"
    DONE = "done"


RUNNING = frozenset({Status.PROCESSING, Status.ANALYZING, Status.FINALIZING})
"""A worker holds the job."""

ENDED = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED})
"""The job no longer changes."""

CLOSING = (EventType.ANALYSIS_COMPLETE, EventType.ERROR, EventType.DONE)
"""The events that end a log; the first of them begins its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A photo to be critiqued by one advisor or several, and its state.

    ``owner`` is the client, by its key or else its address: the queue is fair between owners.
    ``base_url`` (without a slash at its end) goes before the paths in ``status_update`` events.
    ``advisor_versions`` are those of ``advisors`` when the job was sent, as the store keeps them;
    none if an older program sent it. ``photo_bytes`` is the size of the stored photo, ``width`` and
    ``height`` are pixels.
    ``current_advisor`` counts from 1, 0 before the first; ``progress`` is percent, from 0 to 100.
    ``attempt`` is 1 at first and raised each time that a claim is taken away, ``failures`` counts
    those that a crash took. ``is_suspect`` tells that the engine crashed while it worked at the
    job, which then has the engine to itself. Events up to ``last_seq`` are in the log, less those
    up to ``pruned_seq``, whose time ran out. ``lease_seconds`` is how long its worker may still be
    silent, by the database's clock when the job was read; ``None`` if none has it. ``score`` is the
    mean of the overall scores of its reports, 1 to 10. ``retry_of`` is the job whose photo it took
    over. ``intent`` and ``genre`` are its ``purpose``: what the photographer meant. ``folder``
    names the folder that the photo was handed in with, empty for none.
    """

    id: UUID
    owner: str
    filename: str
    photo_key: str
    photo_sha256: str = ""
    photo_bytes: int = 0
    width: int = 0
    height: int = 0
    advisors: tuple[str, ...]
    advisor_versions: tuple[str, ...] = ()
    mode: str = "baseline"
    mode_used: str = "baseline"
    enable_rag: bool = False
    intent: str = ""
    genre: str = ""
    base_url: str = ""
    status: Status = Status.QUEUED
    step_phase: StepPhase = StepPhase.QUEUED
    current_step: str = "Waiting in queue"
    llm_thinking: str = ""
    current_advisor: int = 0
    progress: int = 0
    attempt: int = 1
    failures: int = 0
    is_suspect: bool = False
    last_seq: int = 0
    pruned_seq: int = 0
    claimed_by: str | None = None
    lease_seconds: float | None = field(default=None, compare=False)
    error: dict[str, Any] | None = None
    score: float | None = None
    retry_of: UUID | None = None
    folder: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def purpose(self) -> Purpose:
        """What the photographer meant."""
        return Purpose(intent=self.intent, genre=self.genre)

    @property
    def total_advisors(self) -> int:
        """The number of advisors that critique the photo."""
        return len(self.advisors)

    @property
    def is_ended(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A worker's right to work at one attempt of a job. It holds until another write raises the
    attempt or the job ends; from then on every write with it raises ``AttemptSuperseded``.
    ``is_takeover`` tells that the job was a lost worker's."""

    job: Job
    worker: str
    is_takeover: bool = False

    @property
    def attempt(self) -> int:
        """The attempt that this claim is for."""
        return self.job.attempt


class Event(NamedTuple):
    """One numbered line of a job's log: ``type`` is that of an ``EventType``, ``payload`` the
    compact JSON text that clients get.

    (A tuple, since thousands are read at once when a log is replayed.)
    """

    seq: int
    type: str
    payload: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to be appended to the log: ``fields`` are added to ``type`` and ``job_id``."""

    type: EventType
    fields: Mapping[str, Any]

    def encode(self, job_id: UUID) -> str:
        """Return the payload: one line of compact JSON, plain ASCII."""
        return encode_payload(self.type, job_id, self.fields)


def encode_payload(type: str, job_id: UUID, fields: Mapping[str, Any]) -> str:  # noqa: A002
    """Return one line of compact JSON with ``type`` and ``job_id`` before ``fields``."""
    payload = {"type": type, "job_id": str(job_id), **fields}
    return _ENCODER.encode(payload)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def name_log(epoch: str, job_id: UUID) -> str:
    """Return what a cursor says before the event's number: the epoch and the job."""
    return f"{epoch}.{job_id.hex[:8]}."


def parse_job_id(text: str) -> UUID:
    """Return the id in ``<uuid>`` or, as older clients write it, ``<uuid> (<mode>)``.

    Raise ``JobNotFound``: what is no id names no job.
    """
    match = re.fullmatch(r"\s*([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})"
                         r"(?:\s*\([^()]*\))?\s*", text)  # fmt: skip
    if match is None:
        raise JobNotFound
    return UUID(match[1])
