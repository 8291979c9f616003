"""The ``Engine`` protocol: requests in, progress and tokens out, and the guarantees of both."""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable


class Phase(StrEnum):
    """Phases of a job, in this order; a job may skip some.

    An engine passes through the five from ``WAITING`` (for another request to end) to
    ``GENERATING``. ``ENCODING`` computes the photo's features, ``PREFILL`` reads the prompt. After
    ``REPAIRING``, which begins when an answer cannot be parsed, an engine's phases repeat.
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
        """Return the phase as a phrase for a sentence, such as ``loading the model``."""
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
    """How a figure was obtained."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request to an engine.

    ``photo`` is a JPEG in sRGB, upright, or ``None``; only an engine that ``sees`` gets one.
    ``schema`` is a JSON schema that the answer must follow, where the engine can enforce it.
    ``max_tokens`` and ``temperature`` of ``None`` mean the engine's defaults (2048 and 0.7 unless
    its URL sets others). ``alone`` asks that no other request runs in the engine's process, if it
    is a child of ours, so that a crash affects this one only. ``adapter`` selects the engine's
    adapter, if it has one.
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
    """Progress of a phase. ``done`` and ``total`` are in the phase's own unit: bytes while loading,
    tokens of the prompt while encoding and in prefill; ``None`` if the engine does not know.
    ``is_reserved`` tells, while waiting, that the request under way has the engine to itself."""

    phase: Phase
    done: float | None = None
    total: float | None = None
    basis: Basis = Basis.UNKNOWN
    is_reserved: bool = False


def describe(text: str) -> dict[str, str]:
    """Return the metadata of a field that docs/events.md describes by ``text``."""
    return {"doc": text}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """An engine's own figures for an answer, under the names that clients read. ``None``: unknown.

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

    ``text`` holds the text of zero or more tokens; ``generation_tokens`` is the engine's count.
    Of ``prompt_tokens``, the whole prompt, ``cached_tokens`` were cached by an earlier request.
    Speeds are in tokens per second, memory in gigabytes (10^9 bytes). ``finish_reason`` is set on
    the last piece only: ``stop``, ``length``, or the engine's own word. A child process sends
    tokens in batches (``may_wait``).
    """

    may_wait: ClassVar[bool] = True

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
    """Turn a ``Request`` into a stream of ``Progress`` and ``Token``.

    An engine is opened once and used for many requests, from any thread; requests beyond its
    ``slots`` wait for each other.
    """

    @property
    def url(self) -> str:
        """Return the URL given to ``open_engine``, without secrets."""

    @property
    def model(self) -> str:
        """Return the model's display name, such as ``SmolLM2-135M-Instruct.Q4_1``."""

    @property
    def sees(self) -> bool:
        """Return whether the engine uses ``Request.photo``."""

    @property
    def slots(self) -> int:
        """Return how many requests run at once, as far as the engine knows."""

    @property
    def has_adapter(self) -> bool:
        """Return whether the engine has an adapter, which ``Request.adapter`` selects."""

    @property
    def status(self) -> str:
        """Return ``unloaded``, ``loading``, ``ready`` or ``error: <message>``, without blocking."""

    def load(self) -> None:
        """Load the model now rather than at the first request. Do nothing if it is loaded.

        Raise ``EngineError``.
        """

    def stream(self, request: Request) -> Generator[Output, None, None]:
        """Answer ``request``, loading the model first if necessary.

        Yields ``Progress`` whenever there is news, and the last one again at least four times a
        second while there is none; then one ``Token`` or more, of which the last has a
        ``finish_reason``. Closing the generator stops the work: within a token while generating,
        within a chunk in prefill, else by killing the engine's process. A caller that detects a
        stall throws ``EngineStalled`` into it, which also stops a load that others wait for.

        Raise ``EngineError``; the engine can be used again after any of them but
        ``EngineClosed``.
        """

    def close(self) -> None:
        """Stop all requests and free the model at once. Idempotent and thread-safe."""
