"""What an upload asks for besides its photo: advisors, mode, answer format."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mondrian.advisors import Advisor, choose_advisors
from mondrian.errors import InvalidRequest

MODES = {
    "baseline": "baseline",
    "rag": "rag",
    "lora": "lora",
    "raglora": "rag+lora",
    "abtest": "ab_test",
}
"""The modes that older clients ask for, by their letters. They run as ``baseline``, but for those
with ``lora`` in them on an engine that has an adapter."""

BASELINE = "baseline"

FORMATS = ("json", "html", "sse")
"""What an answer that was waited for may come as."""

_TRUTHS = {"true": True, "1": True, "yes": True, "on": True}

_TRUTHS |= {"false": False, "0": False, "no": False, "off": False, "": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadOptions:
    """What is asked of a photo. ``asked`` is the advisors as they were asked for: ``random`` is
    the same wish again, whoever it fell on."""

    asked: str
    advisors: tuple[str, ...]
    mode: str
    enable_rag: bool
    auto_analyze: bool
    response_format: str

    def fingerprint(self, photo_sha256: str) -> str:
        """What makes two uploads with one Idempotency-Key the same."""
        left_out = {"advisors", "response_format"}
        options = {name: value for name, value in asdict(self).items() if name not in left_out}
        return hashlib.sha256(json.dumps([photo_sha256, options]).encode()).hexdigest()


def parse_options(
    fields: Mapping[str, str], advisors: Mapping[str, Advisor], default_advisor: str
) -> UploadOptions:
    """Return the options in the fields of a form.

    Raises ``UnknownAdvisor`` and ``InvalidRequest``.
    """
    asked = fields.get("advisor", "").strip() or default_advisor
    mode = read_mode(fields.get("mode", ""))
    return UploadOptions(
        asked=asked.casefold(),
        advisors=tuple(advisor.id for advisor in choose_advisors(asked, advisors)),
        mode=mode,
        enable_rag=_read_truth(fields, "enable_rag", "rag" in mode),
        auto_analyze=_read_truth(fields, "auto_analyze", True),
        response_format=_read_format(fields.get("response_format", "")),
    )


def read_mode(text: str) -> str:
    """A mode in the spelling of today: ``(RAG)`` is ``rag``. Raises ``InvalidRequest``."""
    letters = re.sub(r"[\s()+_-]", "", text.casefold()) or BASELINE
    if letters not in MODES:
        raise InvalidRequest(f"There is no mode {text[:100]!r}. There are: {', '.join(MODES)}.")
    return MODES[letters]


def _read_format(text: str) -> str:
    format_ = text.strip().casefold() or FORMATS[0]
    if format_ not in FORMATS:
        raise InvalidRequest(f"response_format must be one of {', '.join(FORMATS)}.")
    return format_


def _read_truth(fields: Mapping[str, str], name: str, default: bool) -> bool:
    text = fields.get(name)
    if text is None:
        return default
    if (word := text.strip().casefold()) not in _TRUTHS:
        raise InvalidRequest(f"{name} must be true or false, not {text[:100]!r}.")
    return _TRUTHS[word]
