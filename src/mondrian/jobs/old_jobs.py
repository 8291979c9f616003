"""Convert a job of the old system into an ended job, its reports and its closing events.

1. A job is done only if a score of each of its advisors can be read. Otherwise it is an error that
   says so and keeps the text: no score is invented.
2. HTML of several advisors is split at its sections. It is never shown unchanged, and is stored as
   the text from which the report was read.
3. The same job gets the same id each time.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from mondrian.advisors import Advisor, find_advisor
from mondrian.answers import Answer as Judged
from mondrian.answers import read_answer
from mondrian.errors import AnswerError, EngineFailed, JobNotFound, UnknownAdvisor, printable
from mondrian.jobs.events import build_complete_fields
from mondrian.jobs.job import Entry, EventType, Job, Status, StepPhase, parse_job_id
from mondrian.jobs.old_database import OldJob
from mondrian.jobs.store import Answer
from mondrian.reports import IMPORTED, EngineFigures, Report, build_report

MAX_SHOWN = 100_000
"""The most characters kept of a text without scores."""

UNREADABLE = (
    "The scores of this job of the earlier system cannot be read. What can be shown of its text is "
    "kept; upload the photo again for a new critique."
)
UNTOLD = "The earlier system kept no critique of this job. Upload the photo again for a new one."

_MAX_ADVISORS = 20
_DONE = frozenset({"done", "complete", "completed", "finished", "success", "succeeded"})
_FAILED = frozenset({"error", "errored", "failed", "failure"})
_SECTION = re.compile(r"<[a-z]+\s[^<>]*\badvisor-section\b[^<>]*>", re.IGNORECASE)
_NAME = re.compile(r"""\bdata-advisor\s*=\s*["']?([^"'<>]{1,100})""", re.IGNORECASE)
_STRUCTURE = re.compile(
    r"</?(?:article|b|br|div|d[dlt]|em|h[1-6r]|header|li|main|ol|p|section|span|strong|table|tbody"
    r"|t[dhr]|thead|ul)\b",
    re.IGNORECASE,
)
"""Tags that structure a text. The others, such as pictures and links, are ignored."""

_END = "\n<h3>End</h3>\n"
_MARKUP = re.compile(r"<!--|<(script|style|template|noscript)\b[^<>]*>|</?[a-z!][^<>]*>", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """An ended job to be stored. ``is_unreadable`` is true for a critique without readable
    scores."""

    job: Job
    entries: Sequence[Entry] = ()
    reports: Sequence[Answer] = ()
    is_unreadable: bool = False


def make_id(old: OldJob) -> UUID:
    """Return the job's id if it is a UUID, otherwise one derived from it."""
    with suppress(JobNotFound):
        return parse_job_id(old.id)
    identity = old.id or json.dumps([old.filename, old.advisors, str(old.created_at), old.html])
    return uuid5(NAMESPACE_URL, f"mondrian-old-job:{identity}")


def convert(
    old: OldJob, advisors: Mapping[str, Advisor], *, owner: str, mode: str, dated: datetime
) -> Imported:
    """Convert ``old``, without its photo, for ``owner``. A job without a time is ``dated``;
    ``mode`` is its mode in today's spelling."""
    names = _parse_names(old.advisors, advisors)
    texts = _split(old, names, advisors)
    job = _make_job(old, tuple(texts), owner=owner, mode=mode, dated=dated)
    status = old.status.strip().casefold()
    if status in _DONE or (not status and (old.html or old.llm_outputs)):
        return _end_done(job, old, texts, advisors)
    if status in _FAILED:
        message = printable(old.error or old.current_step) or EngineFailed().message
        return _end_failed(job, EngineFailed().code, message, old)
    job = replace(job, status=Status.CANCELLED, current_step="Cancelled", attempt=2)
    return Imported(job=job)


def strip_tags(text: str) -> str:
    """Return the visible text of ``text``, HTML or not, without markup and scripts: at most
    ``MAX_SHOWN`` characters."""
    bare = html.unescape("\n".join(part for part, is_tag in _walk(text) if not is_tag))
    lines = (printable(line).strip() for line in bare[: 2 * MAX_SHOWN].splitlines())
    return "\n".join(line for line in lines if line)[:MAX_SHOWN]


def _end_done(
    job: Job, old: OldJob, texts: Mapping[str, str], advisors: Mapping[str, Advisor]
) -> Imported:
    try:
        reports = {name: _report(job, name, text, advisors) for name, text in texts.items()}
    except AnswerError as exc:
        has_text = any(texts.values()) or bool(old.html)
        ended = _end_failed(job, exc.code, UNREADABLE if has_text else UNTOLD, old)
        return replace(ended, is_unreadable=True)
    job = replace(
        job,
        status=Status.DONE,
        step_phase=StepPhase.DONE,
        current_step="Done",
        llm_thinking=job.llm_thinking or "Done",
        current_advisor=len(texts),
        progress=100,
    )
    answers = [
        Answer(advisor=name, report=report.model_dump(mode="json"), text=texts[name])
        for name, report in reports.items()
    ]
    complete = Entry(EventType.ANALYSIS_COMPLETE, build_complete_fields(list(reports.values())))
    return Imported(job=job, entries=[complete], reports=answers)


def _end_failed(job: Job, code: str, message: str, old: OldJob) -> Imported:
    error = {"code": code, "message": message, "retryable": False}
    job = replace(job, status=Status.ERROR, current_step=message, error=error)
    text = strip_tags(old.html or old.llm_outputs)
    offsets = {"offset": 0, "utf16_offset": 0}
    fields = {"advisor": job.advisors[0], "attempt": job.attempt, "text": text, **offsets}
    return Imported(job=job, entries=[Entry(EventType.TOKEN, fields)] if text else [])


def _make_job(
    old: OldJob, advisors: tuple[str, ...], *, owner: str, mode: str, dated: datetime
) -> Job:
    job_id = make_id(old)
    head = f"{job_id.hex[:8]}-"
    created = old.created_at or old.started_at or old.completed_at or dated
    return Job(
        id=job_id,
        owner=owner,
        filename=head + strip_folders(old.filename).removeprefix(head),
        photo_key=f"{job_id}.jpg",
        advisors=advisors,
        mode=mode,
        mode_used=mode,
        enable_rag=old.enable_rag,
        llm_thinking=printable(old.llm_thinking, 1000),
        created_at=created,
        started_at=old.started_at and max(old.started_at, created),
        completed_at=max(old.completed_at or old.started_at or created, created),
    )


def strip_folders(filename: str) -> str:
    """Return the name of a file without folders, printable, at most 120 characters."""
    return printable(re.split(r"[/\\]", filename)[-1], 120).strip(" .") or "photo"


def _report(job: Job, name: str, text: str, advisors: Mapping[str, Advisor]) -> Report:
    answer = _read(text)
    if not any(dimension.score is not None for dimension in answer.dimensions):
        raise AnswerError
    known = advisors.get(name)
    took = (job.completed_at or job.created_at) - (job.started_at or job.created_at)
    figures = EngineFigures(
        url=IMPORTED,
        model="an earlier system",
        sees=True,
        tokens=0,
        seconds=took.total_seconds(),
    )
    return build_report(
        answer,
        advisor=name,
        advisor_name=known.name if known else "",
        evidence={},
        measurements={},
        engine=figures,
    )


def _read(text: str) -> Judged:
    parts = [part for part, is_tag in _walk(text) if not is_tag or _STRUCTURE.match(part)]
    if text.rstrip().endswith(">"):  # nothing is cut off, and a heading says so
        parts.append(_END)
    return read_answer("".join(parts))


def _split(old: OldJob, names: Sequence[str], advisors: Mapping[str, Advisor]) -> dict[str, str]:
    """Return the text of each advisor's critique, empty if they cannot be told apart."""
    starts = list(_SECTION.finditer(old.html))[: _MAX_ADVISORS + 1]
    ends = [*(each.start() for each in starts[1:]), len(old.html)]
    if len(starts) > 1:
        parts = [(_NAME.search(each[0]), old.html[each.start() : end])
                for each, end in zip(starts, ends, strict=True)]  # fmt: skip
        sections = {_find_id(name[1], advisors): text for name, text in parts if name}
        if len(sections) == len(starts) <= _MAX_ADVISORS:
            return sections
        if len(starts) == len(names):
            return {name: text for name, (_, text) in zip(names, parts, strict=True)}
    if len(names) > 1:
        return {**dict.fromkeys(names, ""), **_parse_outputs(old.llm_outputs, names, advisors)}
    return {names[0]: _choose(old, names, advisors)}


def _choose(old: OldJob, names: Sequence[str], advisors: Mapping[str, Advisor]) -> str:
    """Return the text with more readable dimensions: the HTML or the model's answer."""
    outputs = _parse_outputs(old.llm_outputs, names, advisors).get(names[0], old.llm_outputs)
    return max((old.html, outputs), key=_count_dimensions)


def _count_dimensions(text: str) -> int:
    try:
        return len(_read(text).dimensions)
    except AnswerError:
        return 0


def _parse_outputs(
    text: str, names: Sequence[str], advisors: Mapping[str, Advisor]
) -> dict[str, str]:
    """Return the model's answers by advisor, if ``text`` is a JSON object of them."""
    with suppress(ValueError, RecursionError):
        match json.loads(text):
            case dict() as found:
                by_id = {_find_id(key[:100], advisors): value for key, value in found.items()}
                return {
                    name: value.replace("\0", "\ufffd")
                    for name in names
                    if isinstance(value := by_id.get(name), str)
                }
    return {}


def _parse_names(text: str, advisors: Mapping[str, Advisor]) -> list[str]:
    """Return the ids of the advisors in a list with commas or in JSON: at least one."""
    found: object = None
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
    given = found if isinstance(found, list) else text.split(",")
    names = [_find_id(str(each)[:100], advisors) for each in given[:_MAX_ADVISORS] if each]
    return list(dict.fromkeys(names)) or ["unknown"]


def _find_id(name: str, advisors: Mapping[str, Advisor]) -> str:
    """Return the id of the advisor with that name, or for an unknown one a word of it."""
    with suppress(UnknownAdvisor):
        return find_advisor(name, advisors).id
    return re.sub(r"[^a-z0-9]+", "-", name.casefold())[:40].strip("-") or "unknown"


def _walk(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of HTML and whether each is a tag, without comments and scripts. Time is
    linear in the length of ``text``."""
    begin, lower = 0, text.lower() if text.isascii() else text
    while match := _MARKUP.search(text, begin):
        yield text[begin : match.start()], False
        if match[0] == "<!--":
            end, length = lower.find("-->", match.end()), 3
        elif match[1]:
            end, length = lower.find(f"</{match[1].lower()}", match.end()), 0
        else:
            yield match[0], True
            end, length = match.end(), 0
        begin = len(text) if end < 0 else end + length
    yield text[begin:], False
