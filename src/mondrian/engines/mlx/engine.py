"""The ``mlx:`` engine: vision-language models on Apple's MLX, through mlx-vlm."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress, Request, Token
from mondrian.engines.mlx.grammar import make_guide
from mondrian.engines.mlx.hooks import StoppedError, Watch
from mondrian.errors import EngineFailed
from mondrian.process.child import Port

# one prefill chunk: a request stops within one, and shorter ones would cost speed
PREFILL_TOKENS = 512
# bytes loaded between two progress reports
LOAD_BYTES = 32_000_000


class Mlx:
    """Run the checkpoint in the folder ``path``, with the LoRA weights ``adapter`` for requests
    that ask for them. Without ``stream``, ``generate()`` returns all text at the end."""

    def __init__(
        self,
        *,
        path: Path,
        adapter: Path | None = None,
        stream: bool = True,
        max_tokens: int = 2048,
        temperature: float = 0.7,
    ) -> None:
        self._path = path
        self._adapter = adapter
        self._streams = stream
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._model: Any = None
        self._processor: Any = None
        self._watch: Any = None
        self._layers: Layers | None = None

    def load(self, port: Port) -> None:
        """Load the checkpoint: first its configuration, then its weights, with progress."""
        if self._watch is not None:
            return
        port.emit(Progress(phase=Phase.LOADING))
        try:
            import mlx_vlm

            model, processor = mlx_vlm.load(
                str(self._path),
                adapter_path=str(self._adapter) if self._adapter else None,
                lazy=True,
                trust_remote_code=False,
            )
        except Exception as exc:
            raise EngineFailed(self._explain_load_error(exc)) from exc
        layers = Layers(model, self._adapter) if self._adapter else None
        if not _read_weights(model, port):
            return
        self._layers = layers
        make_guide(processor, {})  # takes a second or more with a real vocabulary
        self._model, self._processor, self._watch = model, processor, Watch(model)

    def run(self, request: Request, port: Port) -> None:
        """Answer ``request``."""
        is_adapted = self._layers is not None and request.adapter
        if self._layers:
            self._layers.switch(is_adapted)
        watch, has_ended = self._watch, False
        try:
            watch.begin(port, (request.photo, is_adapted), has_photo=request.photo is not None)
            self._answer(request)
            has_ended = True
        except StoppedError:
            pass
        finally:
            if not has_ended:
                watch.forget_prompt()

    def _answer(self, request: Request) -> None:
        import mlx.core as mx
        import mlx_vlm

        arguments = self._make_arguments(request)
        mx.reset_peak_memory()  # measure this request's peak, weights included
        if not self._streams:
            arguments.setdefault("logits_processors", []).append(Counter(self._watch))
            self._emit(mlx_vlm.generate(self._model, self._processor, **arguments))
            return
        results = mlx_vlm.stream_generate(self._model, self._processor, **arguments)
        for place, result in enumerate(results):
            if place == 0:
                self._watch.finish_prefill(result.prompt_tokens)
            self._emit(result)

    def _emit(self, result: Any) -> None:
        self._watch.emit(_make_token(result, self._watch.encoding_seconds))

    def _make_arguments(self, request: Request) -> dict[str, Any]:
        temperature = self._temperature if request.temperature is None else request.temperature
        arguments = {
            "image": None if request.photo is None else [_decode(request.photo)],
            "max_tokens": request.max_tokens or self._max_tokens,
            "temperature": temperature,
            "seed": request.seed,
            "prefill_step_size": PREFILL_TOKENS if self._watch.can_pause else sys.maxsize,
            "prompt_cache_state": self._watch.prompt,
        }
        schema = request.schema
        if schema and (guide := make_guide(self._processor, schema)):
            arguments["logits_processors"] = [guide]
            schema = None
        return {"prompt": self._format_prompt(request, schema), **arguments}

    def _format_prompt(self, request: Request, schema: dict[str, Any] | None) -> str:
        """Return the prompt in the model's chat template, with ``schema`` as text, if any."""
        from mlx_vlm.prompt_utils import apply_chat_template, get_chat_template

        text = request.prompt
        if schema:
            text += f"\n\nAnswer with JSON that follows this schema: {json.dumps(schema)}"
        messages = [{"role": "user", "content": text}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        images = int(request.photo is not None)
        formatted = apply_chat_template(
            self._processor, self._model.config, messages, num_images=images, return_messages=True
        )
        if isinstance(formatted[-1], str):  # a model without chat: it gets the last text only
            return str(formatted[-1])
        for message in formatted:
            _put_photo_first(message)
        prompt: str = get_chat_template(self._processor, formatted, add_generation_prompt=True)
        return prompt

    def _explain_load_error(self, exc: Exception) -> str:
        words = str(exc).strip().partition("\n")[0] or type(exc).__name__
        return (
            f"mlx-vlm cannot load {self._path.name}: {words.rstrip('.')}. "
            "Check that its folder is complete, and that there is memory for it."
        )


class Counter:
    """Count tokens as a logits processor: ``generate()`` reports nothing while it runs."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._tokens = -1  # the first call precedes the first token
        self._first = 0.0

    def __call__(self, _tokens: Any, logits: Any) -> Any:
        """Return ``logits`` unchanged."""
        self._tokens += 1
        if self._tokens == 1:
            self._first = time.perf_counter()
            self._watch.finish_prefill()
        if self._tokens > 1:
            seconds = time.perf_counter() - self._first
            speed = (self._tokens - 1) / seconds
            self._watch.emit(Token(text="", generation_tokens=self._tokens, generation_tps=speed))
        return logits


class Layers:
    """The layers that a LoRA adapter changed; ``switch`` takes them out and puts them back."""

    def __init__(self, model: Any, weights: Path) -> None:
        _check_fit(weights, model)
        self._model = model
        self._is_on = True
        self._pairs = {
            name: (layer, base)
            for name, layer in model.named_modules()
            if (base := _find_base(layer)) is not None
        }
        if not self._pairs:
            raise EngineFailed("The adapter changes no layer of this model. Give a LoRA adapter.")

    def switch(self, is_on: bool) -> None:
        """Turn the adapter on or off."""
        from mlx_vlm.trainer.common.utils import set_module_by_name

        if is_on is not self._is_on:
            for name, (layer, base) in self._pairs.items():
                set_module_by_name(self._model, name, layer if is_on else base)
            self._is_on = is_on


def _check_fit(weights: Path, model: Any) -> None:
    """Raise ``EngineFailed`` unless ``model`` has a place for all of ``weights``: mlx-vlm silently
    drops the others."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    places = {name for name, _ in tree_flatten(model.parameters())}
    given: Any = mx.load(str(weights))
    if strange := sorted(given.keys() - places):
        raise EngineFailed(
            f"The adapter does not fit: there is no place for {strange[0]} in this model. Give one "
            "that mlx-vlm trained on this very model, or leave it out."
        )


def _find_base(layer: Any) -> Any:
    """Return the layer without its adapter, or ``None`` if it has none."""
    if not ("lora_a" in layer or "A" in layer):
        return None
    names = ("linear", "embedding", "original_layer")
    return next((layer[name] for name in names if name in layer), None)


def _read_weights(model: Any, port: Port) -> bool:
    """Read the weights that ``load`` only mapped and emit progress. Return whether all were read;
    ``False`` if the request was stopped."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    weights = [array for _, array in tree_flatten(model.parameters())]
    total, done = sum(array.nbytes for array in weights), 0
    while weights:
        some: list[Any] = []
        while weights and sum(array.nbytes for array in some) < LOAD_BYTES:
            some.append(weights.pop())
        mx.eval(some)
        done += sum(array.nbytes for array in some)
        progress = Progress(phase=Phase.LOADING, done=done, total=total, basis=Basis.MEASURED)
        if port.emit(progress):
            return False
    return True


def _put_photo_first(message: dict[str, Any]) -> None:
    """Move the photo to the front, so that a photo's advisors share the beginning of the prompt;
    some models' templates put it last."""
    if isinstance(message["content"], list):
        message["content"].sort(key=lambda part: part.get("type") in {"text", "input_text"})


def _decode(photo: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(photo)).convert("RGB")
    except (UnidentifiedImageError, OSError) as exc:
        raise EngineFailed(f"The photo cannot be decoded: {exc}.") from exc


def _make_token(result: Any, encoding_seconds: float) -> Token:
    """Return mlx-vlm's ``result`` with corrected speeds: it divides all tokens by the time since
    the first one, and the whole prompt, cached tokens too, by the time of encoding and prefill."""
    count, read = result.generation_tokens, result.prompt_tokens - result.cached_tokens
    prefill_seconds = result.prompt_tokens / result.prompt_tps - encoding_seconds
    return Token(
        text=result.text,
        generation_tokens=count,
        generation_tps=result.generation_tps * (count - 1) / count if count > 1 else None,
        prompt_tokens=result.prompt_tokens,
        prompt_tps=read / prefill_seconds,
        cached_tokens=result.cached_tokens,
        peak_memory_gb=result.peak_memory,
        finish_reason=result.finish_reason,
    )
