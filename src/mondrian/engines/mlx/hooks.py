"""Hooks into mlx-vlm: progress of its phases, and what is cached for the next request.

1. ``stream_generate`` yields nothing before the first token. It moves a progress bar after each
   prefill chunk that was really computed; ``Bar`` replaces that bar.
2. MLX is lazy: a vision tower only builds the graph, which prefill then computes. So the tower is
   wrapped and its output evaluated at once: only then can encoding be timed separately.
3. The tower's output is cached, and so is the prompt's cache up to the prompts' common prefix.
   Two photos of one size are the same tokens, so both caches belong to one photo and one adapter.
4. A request that did not end leaves a cache in an unknown state: it is dropped.
5. Few models can resume from a cache after a photo. Others use wrong positions and fail (GLM), or
   keep the photo outside of the cache and lose it (mllama): they read each prompt from the start.
   Those with positions of their own (GLM) also use wrong ones after a chunk, without failing: they
   read a prompt in one piece.
"""

import time
from collections.abc import Callable
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress
from mondrian.process.child import Port

TOWERS = ("vision_tower", "vision_model", "vision_encoder", "visual")
# mlx-vlm's model types whose positions are right after a cache or a chunk, and whose photo is
# entirely in the cache: each was tested with mlx-vlm 0.7.10, except the two that share another's
# code (idefics3, qwen3_5_moe)
GO_ON = frozenset({
    "idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe",
    "qwen3_5", "qwen3_5_moe",  # their cache cannot be truncated: it is not used yet
})  # fmt: skip


class StoppedError(Exception):
    """The request was stopped: raised from the hooks that mlx-vlm calls."""


class Watch:
    """Watch one loaded model, one request at a time, and emit its progress to ``port``.

    ``can_pause`` is whether the model can read a prompt in chunks, ``encoding_seconds`` the time of
    the vision tower in this request.
    """

    def __init__(self, model: Any) -> None:
        self._prompt = KeptPrompt()
        self._can_go_on = model.config.model_type in GO_ON
        self.can_pause = self._can_go_on or not _has_positions(model)
        self._port: Port | None = None
        self._kept_for: object = None
        self._features: list[Any] = []
        self._calls = 0
        self.encoding_seconds = 0.0
        self._prompt_tokens: int | None = None
        self._has_tower = self._wrap_tower(model)
        self._replace_bar()

    @property
    def prompt(self) -> "KeptPrompt | None":
        """Return the cache that mlx-vlm resumes from, ``None`` if the model cannot."""
        return self._prompt if self._can_go_on else None

    def begin(self, port: Port, kept_for: object, *, has_photo: bool) -> None:
        """Begin a request. Caches are used if they were made for an equal ``kept_for``."""
        self._port, self._calls, self._prompt_tokens = port, 0, None
        self.encoding_seconds = 0.0
        if kept_for != self._kept_for:
            self.forget()
            self._kept_for = kept_for
        self._prompt.length = None
        if has_photo and not self._features:
            # if the tower was not found, its time is part of prefill
            basis = Basis.UNKNOWN if self._has_tower else Basis.ESTIMATED
            self.emit(Progress(phase=Phase.ENCODING, basis=basis))
        else:
            self.emit(Progress(phase=Phase.PREFILL))

    def forget(self) -> None:
        """Drop all caches."""
        self._kept_for, self._features = None, []
        self.forget_prompt()

    def forget_prompt(self) -> None:
        """Drop the prompt's cache and keep the photo's features, which are always complete."""
        self._prompt = KeptPrompt()

    def emit(self, item: Any) -> None:
        """Emit ``item``. Raise ``StoppedError`` if the request was stopped."""
        assert self._port is not None
        if self._port.emit(item):
            raise StoppedError

    def finish_prefill(self, prompt_tokens: int | None = None) -> None:
        """Emit that the whole prompt has been read: at the first token."""
        if total := prompt_tokens or self._prompt_tokens:
            self._emit_prefill(total, total)

    def open_bar(self, *, total: int, **_: object) -> "Bar":
        """Return mlx-vlm's progress bar; ``total`` counts the tokens that are not in the cache."""
        self._prompt_tokens = whole = self._prompt.length or total
        self._emit_prefill(whole - total, whole)
        return Bar(whole - total, lambda done: self._emit_prefill(done, whole))

    def encode(self, compute: Callable[[], Any]) -> Any:
        """Return the vision tower's output, evaluated now or cached from an earlier request."""
        self._calls += 1
        if self._calls <= len(self._features):
            return self._features[self._calls - 1]
        import mlx.core as mx
        from mlx.utils import tree_flatten

        start = time.perf_counter()
        features = compute()
        mx.eval([leaf for _, leaf in tree_flatten(features) if isinstance(leaf, mx.array)])
        self.encoding_seconds += time.perf_counter() - start
        self._features.append(features)
        self.emit(Progress(phase=Phase.ENCODING, done=1, total=1, basis=Basis.MEASURED))
        self.emit(Progress(phase=Phase.PREFILL))
        return features

    def _emit_prefill(self, done: int, total: int) -> None:
        self.emit(Progress(phase=Phase.PREFILL, done=done, total=total, basis=Basis.MEASURED))

    def _wrap_tower(self, model: Any) -> bool:
        for name in TOWERS:
            if (tower := getattr(model, name, None)) is not None:
                setattr(model, name, Tower(tower, self))
                return True
        return False

    def _replace_bar(self) -> None:
        from mlx_vlm.generate import ar

        ar.tqdm = self.open_bar


def _has_positions(model: Any) -> bool:
    language = getattr(model, "language_model", model)
    return hasattr(language, "_position_ids") or hasattr(language, "_rope_deltas")


class Tower:
    """Wrap a model's vision tower."""

    def __init__(self, tower: Any, watch: Watch) -> None:
        self._tower = tower
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tower, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the tower's output, evaluated or cached."""
        return self._watch.encode(lambda: self._tower(*args, **kwargs))


class Bar:
    """A progress bar for mlx-vlm: ``update`` adds to ``done`` and calls ``emit`` with the sum."""

    def __init__(self, done: int, emit: Callable[[int], None]) -> None:
        self._done = done
        self._emit = emit

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        """Add ``count`` tokens."""
        self._done += count
        self._emit(self._done)


class KeptPrompt:
    """The last request's cache and tokens, in the shape of mlx-vlm's ``PromptCacheState``.

    ``length`` is the size of the prompt that was compared last, in tokens.
    """

    def __init__(self) -> None:
        self.cache: list[Any] | None = None
        self.token_ids: list[int] = []
        self.length: int | None = None

    def find_prefix_length(self, new_ids: list[int]) -> int:
        """Return how many tokens at the beginning of ``new_ids`` are in the cache, at most all but
        one: mlx-vlm needs one to read."""
        self.length = len(new_ids)
        most = min(len(self.token_ids), len(new_ids) - 1)
        return next((n for n in range(most) if self.token_ids[n] != new_ids[n]), most)

    def update(self, token_ids: list[int], kv_cache: list[Any]) -> None:
        """Keep the cache of a request that ended."""
        self.token_ids, self.cache = token_ids, kv_cache
