"""What mlx-vlm is doing, seen where it shows it, and what of it is kept for the next request.

1. ``stream_generate`` says nothing before the first token. It shows prefill on a progress bar,
   moved after each chunk that was really computed; ours takes that bar's place.
2. MLX computes late: a vision tower only describes the work, which prefill then does. So the tower
   is wrapped, and what it gives is computed at once: only then is encoding told apart.
3. What the tower gave is kept, and so is the prompt's cache, as far as two prompts begin alike.
   Two photos of one size are the same tokens: both belong to one photo, under one adapter.
4. A request that did not end leaves a cache that nothing can be said of: it is dropped.
5. Few models can go on from a cache behind a photo. Others take the wrong positions and fail
   (GLM), or have the photo outside of the cache and lose it (mllama): they read each prompt anew.
   Those with positions of their own (GLM) take wrong ones behind a chunk, too, without failing:
   they read a prompt in one piece.
"""

import time
from collections.abc import Callable
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress
from mondrian.process.child import Port

TOWERS = ("vision_tower", "vision_model", "vision_encoder", "visual")
# mlx-vlm's model types whose positions are right behind a cache or a chunk, and whose photo is
# nothing but tokens in the cache: each was run so with mlx-vlm 0.7.10, but the two that share
# another's code (idefics3, qwen3_5_moe)
GO_ON = frozenset({
    "idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe",
    "qwen3_5", "qwen3_5_moe",  # their cache cannot be cut: it is used for nothing yet
})  # fmt: skip


class StoppedError(Exception):
    """The request is not wanted any more: raised where mlx-vlm calls us."""


class Watch:
    """Watches one loaded model, a request at a time, and tells ``port`` what it sees.

    ``can_pause`` tells whether the model can read a prompt in chunks, ``encoding_seconds`` what the
    vision tower took in this request.
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
        self._take_bar()

    @property
    def prompt(self) -> "KeptPrompt | None":
        """What mlx-vlm is to go on from, if the model can."""
        return self._prompt if self._can_go_on else None

    def begin(self, port: Port, kept_for: object, *, has_photo: bool) -> None:
        """A request begins. What was kept is used if it was kept for the same."""
        self._port, self._calls, self._prompt_tokens = port, 0, None
        self.encoding_seconds = 0.0
        if kept_for != self._kept_for:
            self.forget()
            self._kept_for = kept_for
        self._prompt.length = None
        if has_photo and not self._features:
            # without a tower that we can see, its time is part of prefill's
            basis = Basis.UNKNOWN if self._has_tower else Basis.ESTIMATED
            self.tell(Progress(phase=Phase.ENCODING, basis=basis))
        else:
            self.tell(Progress(phase=Phase.PREFILL))

    def forget(self) -> None:
        """Keep nothing."""
        self._kept_for, self._features = None, []
        self.forget_prompt()

    def forget_prompt(self) -> None:
        """Keep the photo's features alone, which are whole as soon as they are there."""
        self._prompt = KeptPrompt()

    def tell(self, item: Any) -> None:
        """Pass ``item`` on. Raises ``StoppedError`` if the request was stopped."""
        assert self._port is not None
        if self._port.emit(item):
            raise StoppedError

    def tell_prefill_is_done(self, prompt_tokens: int | None = None) -> None:
        """The first token has come, so the whole prompt has been read."""
        if total := prompt_tokens or self._prompt_tokens:
            self._tell_prefill(total, total)

    def bar(self, *, total: int, **_: object) -> "Bar":
        """What mlx-vlm takes for its progress bar; ``total`` counts what is not in the cache."""
        self._prompt_tokens = whole = self._prompt.length or total
        self._tell_prefill(whole - total, whole)
        return Bar(whole - total, lambda done: self._tell_prefill(done, whole))

    def encode(self, compute: Callable[[], Any]) -> Any:
        """What the vision tower gives, computed now, or what it gave for this photo before."""
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
        self.tell(Progress(phase=Phase.ENCODING, done=1, total=1, basis=Basis.MEASURED))
        self.tell(Progress(phase=Phase.PREFILL))
        return features

    def _tell_prefill(self, done: int, total: int) -> None:
        self.tell(Progress(phase=Phase.PREFILL, done=done, total=total, basis=Basis.MEASURED))

    def _wrap_tower(self, model: Any) -> bool:
        for name in TOWERS:
            if (tower := getattr(model, name, None)) is not None:
                setattr(model, name, Tower(tower, self))
                return True
        return False

    def _take_bar(self) -> None:
        from mlx_vlm.generate import ar

        ar.tqdm = self.bar


def _has_positions(model: Any) -> bool:
    language = getattr(model, "language_model", model)
    return hasattr(language, "_position_ids") or hasattr(language, "_rope_deltas")


class Tower:
    """Stands where a model's vision tower stood."""

    def __init__(self, tower: Any, watch: Watch) -> None:
        self._tower = tower
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tower, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the tower gives."""
        return self._watch.encode(lambda: self._tower(*args, **kwargs))


class Bar:
    """A progress bar as mlx-vlm uses one: ``update`` adds to ``done``, and it is told."""

    def __init__(self, done: int, tell: Callable[[int], None]) -> None:
        self._done = done
        self._tell = tell

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        """So many more tokens are done."""
        self._done += count
        self._tell(self._done)


class KeptPrompt:
    """The last request's cache and tokens, in the shape of mlx-vlm's ``PromptCacheState``.

    ``length`` is that of the prompt which was compared last, in tokens.
    """

    def __init__(self) -> None:
        self.cache: list[Any] | None = None
        self.token_ids: list[int] = []
        self.length: int | None = None

    def find_prefix_length(self, new_ids: list[int]) -> int:
        """How many tokens ``new_ids`` begins with that are in the cache; one must be left."""
        self.length = len(new_ids)
        most = min(len(self.token_ids), len(new_ids) - 1)
        return next((n for n in range(most) if self.token_ids[n] != new_ids[n]), most)

    def update(self, token_ids: list[int], kv_cache: list[Any]) -> None:
        """Keep the cache of a request that has ended."""
        self.token_ids, self.cache = token_ids, kv_cache
