"""Load advisors: Markdown files with front matter and a prompt.

A built-in advisor is a folder, ``builtin/<id>/advisor.md``; a user's may be a single ``<id>.md``.
The advisor's own phrasings are beside it, in ``phrases.toml`` or ``<id>.toml``; missing ones
default to the neutral ones of ``builtin/phrases.toml``. docs/advisors.md shows both files.
"""

import random
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, TypeAlias

from mondrian.answers import DIMENSIONS
from mondrian.errors import InvalidAdvisor, UnknownAdvisor
from mondrian.findings import KINDS, Finding

BUILT_IN = Path(__file__).with_name("builtin")
FEWEST_PHRASES = 3
_WEB = r"^(https://[!-~]+)?$"


@dataclass(frozen=True, kw_only=True, slots=True)
class FocusArea:
    """One area that an advisor focuses on."""

    title: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Artwork:
    """One known work of an advisor; ``year`` may be a span such as ``1942–43``."""

    title: str
    year: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrasing:
    """An advisor's sentences for one finding: at least three comments and recommendations."""

    comments: tuple[str, ...]
    recommendations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Advisor:
    """One advisor. ``prompt`` is for a vision model, ``voice``, one sentence, for one without
    vision; ``phrasings`` maps the id of every finding to the sentences that the latter may choose.
    ``weights`` are the weights of dimensions in the overall score, from 0.25 to 4, by default
    1."""

    id: str
    name: str
    years: str
    specialty: str
    bio: str
    voice: str
    wikipedia_url: str
    commons_url: str
    focus_areas: tuple[FocusArea, ...]
    artworks: tuple[Artwork, ...]
    prompt: str
    phrasings: Mapping[str, Phrasing]
    weights: Mapping[str, float] = field(default_factory=dict)


def load_advisors(home: Path | None = None) -> dict[str, Advisor]:
    """Return the built-in advisors and those of ``home/advisors``, by id.

    A user's advisor replaces the built-in one of the same id. Raise ``InvalidAdvisor``, with the
    file and the problem.
    """
    own = {} if home is None else _read_folder(home / "advisors")
    return {**_load_built_in(), **own}


@cache
def _load_built_in() -> Mapping[str, Advisor]:
    return _read_folder(BUILT_IN)


@cache
def _load_neutral() -> Mapping[str, Phrasing]:
    return _read_phrasings(BUILT_IN / "phrases.toml")


def _read_folder(folder: Path) -> dict[str, Advisor]:
    single = [(path, path.with_suffix(".toml")) for path in folder.glob("*.md")]
    folders = [(path, path.with_name("phrases.toml")) for path in folder.glob("*/advisor.md")]
    advisors = [_read_advisor(*paths) for paths in sorted(single + folders)]
    return {advisor.id: advisor for advisor in advisors}


def find_advisor(name: str, advisors: Mapping[str, Advisor]) -> Advisor:
    """Return the advisor with that id or name, such as ``Ansel Adams``, ``adams`` or ``okeeffe``.

    Raise ``UnknownAdvisor``, with the closest id and a list of all.
    """
    wanted = _normalize(name)
    by_name = {alias: advisor for advisor in advisors.values() for alias in _list_aliases(advisor)}
    known = by_name | {_normalize(key): advisor for key, advisor in advisors.items()}
    if wanted in known:
        return known[wanted]
    near = get_close_matches(wanted, known, n=1)
    hint = f" Did you mean {known[near[0]].id}?" if near else ""
    raise UnknownAdvisor(f"There is no advisor {name!r}.{hint} There are: {', '.join(advisors)}.")


def choose_advisors(spec: str, advisors: Mapping[str, Advisor]) -> list[Advisor]:
    """Return the advisors in ``spec``: one, several separated by commas, ``all`` or ``random``.

    Duplicates are removed, the order is kept. Raise ``UnknownAdvisor``.
    """
    match spec.strip().casefold():
        case "all":
            return list(advisors.values())
        case "random":
            return [random.choice(list(advisors.values()))]
    found = [find_advisor(name, advisors) for name in spec.split(",") if name.strip()]
    if not found:
        raise UnknownAdvisor(f"No advisor was named. There are: {', '.join(advisors)}.")
    return list({advisor.id: advisor for advisor in found}.values())


def _normalize(name: str) -> str:
    """Return ``name`` without case, accents, spaces and punctuation: ``georgiaokeeffe`` for
    ``Georgia O’Keeffe``."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", name.casefold())))


def _list_aliases(advisor: Advisor) -> Iterator[str]:
    """Return the endings of the name: ``vincentvangogh``, ``vangogh``, ``gogh``."""
    words = advisor.name.split()
    return (_normalize(" ".join(words[i:])) for i in range(len(words)))


def sentences(finding: Finding, advisor: Advisor) -> Phrasing:
    """Return the sentences of ``advisor`` for ``finding``, with placeholders filled."""
    phrasing = advisor.phrasings[finding.id]
    return replace(
        phrasing,
        comments=tuple(s.format_map(finding.placeholders) for s in phrasing.comments),
        recommendations=tuple(s.format_map(finding.placeholders) for s in phrasing.recommendations),
    )


def _read_advisor(path: Path, phrases: Path) -> Advisor:
    import frontmatter

    try:
        head, prompt = frontmatter.parse(path.read_text(encoding="utf-8-sig"))
    except Exception as exc:  # YAML's errors, bytes that are not text, files that cannot be read
        raise InvalidAdvisor(f"{path} cannot be read: {exc}") from exc
    fields = _read_head(path, head)
    if not prompt:
        raise InvalidAdvisor(f"{path} has no prompt: write it below the front matter.")
    phrasings = {**_load_neutral(), **(_read_phrasings(phrases) if phrases.exists() else {})}
    return Advisor(**fields, prompt=prompt, phrasings=phrasings)


def _read_head(path: Path, head: Mapping[str, object]) -> dict[str, Any]:
    """Return the front matter as fields of ``Advisor``; only ``name`` is required."""
    from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

    Weight: TypeAlias = Annotated[float, Field(ge=0.25, le=4)]
    stem = path.parent.name if path.name == "advisor.md" else path.stem

    class Head(BaseModel):
        model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

        id: str = Field(default=stem, pattern=r"^[a-z0-9][a-z0-9_-]*$", validate_default=True)
        name: str = Field(min_length=1)
        years: str = ""
        specialty: str = ""
        bio: str = ""
        voice: str = ""
        wikipedia_url: str = Field(default="", pattern=_WEB)
        commons_url: str = Field(default="", pattern=_WEB)
        focus_areas: tuple[FocusArea, ...] = ()
        artworks: tuple[Artwork, ...] = ()
        weights: dict[Annotated[str, AfterValidator(_check_dimension)], Weight] = {}

    try:
        read = Head.model_validate(head)
    except ValidationError as exc:
        problem = exc.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise InvalidAdvisor(f"{path}: `{where}` is wrong: {problem['msg']}.") from exc
    return {name: getattr(read, name) for name in Head.model_fields}


def _check_dimension(name: str) -> str:
    if name not in DIMENSIONS:
        raise ValueError(f"{name!r} is none of {', '.join(DIMENSIONS)}")
    return name


def _read_phrasings(path: Path) -> dict[str, Phrasing]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise InvalidAdvisor(f"{path} cannot be read: {exc}") from exc
    return {kind: _read_phrasing(path, kind, table) for kind, table in tables.items()}


def _read_phrasing(path: Path, kind: str, table: object) -> Phrasing:
    if kind not in KINDS:
        raise InvalidAdvisor(f"{path}: there is no finding `{kind}`. docs/findings.md lists them.")
    if not isinstance(table, dict) or set(table) != {"comments", "recommendations"}:
        raise InvalidAdvisor(
            f"{path}: [{kind}] must have `comments` and `recommendations`, no more."
        )
    for part, sentences in table.items():
        _check_sentences(f"{path}: `{part}` of [{kind}]", sentences, KINDS[kind].placeholders)
    return Phrasing(**{part: tuple(sentences) for part, sentences in table.items()})


def _check_sentences(where: str, sentences: object, placeholders: frozenset[str]) -> None:
    if not isinstance(sentences, list) or not all(isinstance(s, str) for s in sentences):
        raise InvalidAdvisor(f"{where} must be a list of sentences.")
    if not all(sentence.strip() for sentence in sentences):
        raise InvalidAdvisor(f"{where} hold an empty sentence.")
    if len(set(sentences)) < FEWEST_PHRASES:
        raise InvalidAdvisor(f"{where} need at least {FEWEST_PHRASES} different sentences.")
    for sentence in sentences:
        for name in _find_placeholders(where, sentence) - placeholders:
            allowed = ", ".join(f"{{{known}}}" for known in sorted(placeholders)) or "none"
            raise InvalidAdvisor(f"{where} use {{{name}}}; placeholders there are: {allowed}.")


def _find_placeholders(where: str, sentence: str) -> set[str]:
    """Return the names in braces, with any conversion and format, so that those are rejected."""
    try:
        fields = [parts[1:] for parts in Formatter().parse(sentence)]
    except ValueError as exc:
        raise InvalidAdvisor(f"{where} have a stray brace in {sentence!r}.") from exc
    return {
        name + (f"!{turn}" if turn else "") + (f":{form}" if form else "")
        for name, form, turn in fields
        if name is not None
    }
