"""The options of an upload: advisors, intent and genre, mode, response format."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mondrian.advisors import Advisor, choose_advisors
from mondrian.errors import InvalidRequest, printable
from mondrian.jobs.store import Target
from mondrian.purpose import Purpose

MODES = ("baseline", "rag", "lora", "rag+lora", "ab_test")
"""The modes that clients may request. They run as ``baseline``, except those with ``lora`` on an
engine that has an adapter."""

BASELINE = "baseline"

FORMATS = ("json", "html", "sse")
"""The response formats of ``/analyze``."""

MAX_FOLDER = 200

MAX_ADVISORS_BYTES = 2000
"""Bytes of the ids of a job's advisors, and 8 for each: an entry of PostgreSQL's indexes has 2,704
at most."""

_PART = re.compile("rag|lora").findall

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True}

_BOOLEANS |= {"false": False, "0": False, "no": False, "off": False, "": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadOptions:
    """The options of an upload. ``asked`` is the advisors as requested: ``random`` stays the same
    option, whichever advisor was drawn. ``intent`` and ``genre`` are what the photographer meant,
    or empty. ``callback`` is told of the job's end. ``folder`` is the photo's, empty for none."""

    asked: str
    advisors: tuple[str, ...]
    mode: str
    enable_rag: bool
    auto_analyze: bool
    response_format: str
    intent: str = ""
    genre: str = ""
    callback: Target | None = None
    folder: str = ""

    def fingerprint(self, photo_sha256: str) -> str:
        """Return the hash by which two uploads with one ``Idempotency-Key`` are the same."""
        left_out = {"advisors", "response_format", "callback", "folder"}
        given = {name: value for name, value in asdict(self).items() if value != ""}
        options = {name: value for name, value in given.items() if name not in left_out}
        if self.callback:
            options["callback_url"] = self.callback.url
        return hashlib.sha256(json.dumps([photo_sha256, options]).encode()).hexdigest()


def parse_options(
    fields: Mapping[str, str], advisors: Mapping[str, Advisor], default_advisor: str
) -> UploadOptions:
    """Return the options in the fields of a form.

    Raise ``UnknownAdvisor`` and ``InvalidRequest``.
    """
    asked = fields.get("advisor", "").strip() or default_advisor
    mode, purpose = parse_mode(fields.get("mode", "")), _parse_purpose(fields)
    return UploadOptions(
        asked=asked.casefold(),
        advisors=_parse_advisors(asked, advisors),
        mode=mode,
        enable_rag=_parse_bool(fields, "enable_rag", "rag" in mode),
        auto_analyze=_parse_bool(fields, "auto_analyze", True),
        response_format=_parse_format(fields.get("response_format", "")),
        intent=purpose.intent,
        genre=purpose.genre,
        folder=_parse_folder(fields.get("folder", "")),
    )


def _parse_advisors(asked: str, advisors: Mapping[str, Advisor]) -> tuple[str, ...]:
    chosen = tuple(advisor.id for advisor in choose_advisors(asked, advisors))
    if sum(len(advisor) + 8 for advisor in chosen) > MAX_ADVISORS_BYTES:
        raise InvalidRequest(f"{len(chosen)} advisors are too many for one photo. Name fewer.")
    return chosen


def _parse_purpose(fields: Mapping[str, str]) -> Purpose:
    try:
        return Purpose.parse(fields.get("intent", ""), fields.get("genre", ""))
    except ValueError as exc:
        reason = str(exc)
        raise InvalidRequest(f"{reason[0].upper()}{reason[1:]}.") from exc


def parse_mode(text: str) -> str:
    """Return the mode of ``MODES`` for ``text``, in any spelling of older clients.

    Words may be in any order, with any separators: ``(RAG)`` is ``rag``, ``LoRA + RAG`` and
    ``lora_rag`` are ``rag+lora``. Other words beside ``rag`` and ``lora`` are ignored. Raise
    ``InvalidRequest``.
    """
    words = re.findall(r"[^\W\d_]+", text.casefold())
    parts = {part for word in words if re.fullmatch("(rag|lora)+", word) for part in _PART(word)}
    if parts:
        return "+".join(sorted(parts, reverse=True))
    if set(words) <= {"base", BASELINE}:
        return BASELINE
    if "".join(words) == "abtest":
        return "ab_test"
    raise InvalidRequest(f"There is no mode {text[:100]!r}. Send one of: {', '.join(MODES)}.")


def _parse_folder(text: str) -> str:
    if len(text) > MAX_FOLDER:
        raise InvalidRequest(f"A folder's name has at most {MAX_FOLDER} characters.")
    return printable(text).strip()


def _parse_format(text: str) -> str:
    format_ = text.strip().casefold() or FORMATS[0]
    if format_ not in FORMATS:
        raise InvalidRequest(f"response_format must be one of {', '.join(FORMATS)}.")
    return format_


def _parse_bool(fields: Mapping[str, str], name: str, default: bool) -> bool:
    text = fields.get(name)
    if text is None:
        return default
    if (word := text.strip().casefold()) not in _BOOLEANS:
        raise InvalidRequest(f"{name} must be true or false, not {text[:100]!r}.")
    return _BOOLEANS[word]
