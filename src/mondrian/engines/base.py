"""The ``Engine`` protocol: what every engine takes, yields and promises."""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable


class Phase(StrEnum):
    """What is being done, in this order; a job may skip some.

    An engine passes through the five from ``WAITING``, which is for another request to end, to
    ``GENERATING``. ``ENCODING`` is the photo's way into the model, ``PREFILL`` the prompt's. After
    ``REPAIRING``, which begins where an answer cannot be read, an engine's phases come once more.
    """

    MEASURING = "measuring"
    WAITING = "waiting"
    LOADING = "loading"
    ENCODING = "encoding"
    PREFILL = "prefill"
    GENERATING = "generating"
    REPAIRING = "repairing"
    FINALIZING = "finalizing"

    @property
    def doing(self) -> str:
        """The phase in the words of a sentence: what was being done."""
        return _DOING[self]


_DOING = {
    Phase.MEASURING: "measuring the photo",
    Phase.WAITING: "waiting for the engine",
    Phase.LOADING: "loading the model",
    Phase.ENCODING: "looking at the photo",
    Phase.PREFILL: "reading the prompt",
    Phase.GENERATING: "generating",
    Phase.REPAIRING: "asking for a readable answer",
    Phase.FINALIZING: "writing the report",
}


class Basis(StrEnum):
    """What a figure rests on."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One question to an engine.

    ``photo`` is a JPEG in sRGB, upright, or ``None``; only an engine that ``sees`` gets one.
    ``schema`` is a JSON schema that the answer must follow, where the engine can enforce it.
    ``max_tokens`` and ``temperature`` of ``None`` mean the engine's own (2048 and 0.7 unless its
    URL says otherwise). ``alone`` asks that nothing else runs beside it where a crash would take
    it along: in the engine's process, if that is our own. ``adapter`` says
    whether the engine's adapter is used, if it has one.
    """

    system: str
    prompt: str
    photo: bytes | None = None
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    alone: bool = False
    adapter: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a phase is. ``done`` of ``total`` are in the phase's own unit: bytes while loading,
    tokens of the prompt while encoding and in prefill; ``None`` where the engine cannot tell."""

    phase: Phase
    done: float | None = None
    total: float | None = None
    basis: Basis = Basis.UNKNOWN


def describe(text: str) -> dict[str, str]:
    """Return the metadata of a field that docs/events.md describes by ``text``."""
    return {"doc": text}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """An engine's own figures of an answer, by the names that clients read. ``None``: unknown.

    Updates, reports, frames, SQL and docs/events.md take their figures from these fields.
    """

    tokens: int | None = field(default=None, metadata=describe("tokens written so far"))
    tokens_per_second: float | None = field(
        default=None, metadata=describe("how fast the engine writes")
    )
    prompt_tokens: int | None = field(default=None, metadata=describe("tokens of the whole prompt"))
    prompt_tokens_per_second: float | None = field(
        default=None, metadata=describe("how fast the engine read the prompt")
    )
    cached_tokens: int | None = field(
        default=None,
        metadata=describe("tokens of the prompt that the engine kept from an earlier request"),
    )
    peak_memory_gb: float | None = field(
        default=None, metadata=describe("the most memory that the engine has used, in 10^9 bytes")
    )
    finish_reason: str | None = field(
        default=None,
        metadata=describe("`stop`, `length`, or the engine's own word, once the answer is written"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A piece of the answer, with the engine's own figures so far (``None`` where it has none).

    ``text`` may hold no, one or several tokens' text; ``generation_tokens`` is the engine's count.
    Of ``prompt_tokens``, the whole prompt, ``cached_tokens`` were known from an earlier request.
    Speeds are in tokens per second, memory in gigabytes (10^9 bytes). ``finish_reason`` is set on
    the last piece only: ``stop``, ``length``, or the engine's own word.
    """

    text: str
    generation_tokens: int = 0
    generation_tps: float | None = None
    prompt_tokens: int | None = None
    prompt_tps: float | None = None
    cached_tokens: int | None = None
    peak_memory_gb: float | None = None
    finish_reason: str | None = None

    def figures(self) -> dict[str, Any]:
        """Return the figures as the fields of ``Figures``."""
        return {
            "tokens": self.generation_tokens,
            "tokens_per_second": self.generation_tps,
            "prompt_tokens": self.prompt_tokens,
            "prompt_tokens_per_second": self.prompt_tps,
            "cached_tokens": self.cached_tokens,
            "peak_memory_gb": self.peak_memory_gb,
            "finish_reason": self.finish_reason,
        }


Output: TypeAlias = Progress | Token


@runtime_checkable
class Engine(Protocol):
    """Anything that turns a ``Request`` into a stream of ``Progress`` and ``Token``.

    An engine is opened once and used for many requests, from any thread; requests beyond what it
    can do at once wait for each other.
    """

    @property
    def url(self) -> str:
        """Where the engine came from, as given to ``open_engine``, without secrets."""

    @property
    def model(self) -> str:
        """The model's name for people, such as ``SmolLM2-135M-Instruct.Q4_1``."""

    @property
    def sees(self) -> bool:
        """Whether the engine looks at ``Request.photo``."""

    @property
    def slots(self) -> int:
        """How many requests it works at at once, as far as it knows."""

    @property
    def has_adapter(self) -> bool:
        """Whether the engine has an adapter, which ``Request.adapter`` puts to use."""

    @property
    def status(self) -> str:
        """``unloaded``, ``loading``, ``ready`` or ``error: <what>``; read without waiting."""

    def load(self) -> None:
        """Load the model now rather than at the first request. Does nothing when it is loaded.

        Raises ``EngineError``.
        """

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """Answer ``request``, loading the model first if need be.

        Yields ``Progress`` whenever something is known and at least four times a second while
        nothing is (the last one again), then one ``Token`` or more, of which the last has a
        ``finish_reason``. Closing the generator stops the work: within a token while generating,
        within a chunk in prefill, and by ending the engine's process where neither comes. Who finds
        that it is stuck throws ``EngineStalled`` into it, which stops a load for others as well.

        Raises ``EngineError``; the engine can be used again after any of them but
        ``EngineClosed``.
        """

    def close(self) -> None:
        """Stop whatever runs and free the model, at once. May be called twice, from any thread."""
