"""The ``llamacpp:`` engine: llama.cpp in process, through xllamacpp."""

import contextlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress, Request, Token
from mondrian.engines.host import Port
from mondrian.errors import EngineFailed, ModelNotFound

# one prefill chunk: small enough that progress and a stop come soon on a CPU
BATCH_TOKENS = 128


class LlamaCpp:
    """Runs the GGUF file at ``path``; with the projector ``mmproj`` it sees.

    ``ctx`` is in tokens, ``threads`` defaults to the cores that this process may use less one.
    """

    def __init__(
        self,
        *,
        path: Path,
        mmproj: Path | None = None,
        ctx: int = 8192,
        threads: int | None = None,
        max_tokens: int = 2048,
        temperature: float = 0.7,
    ) -> None:
        self._path = path
        self._mmproj = mmproj
        self._ctx = ctx
        self._threads = threads or max(1, available_cores() - 1)
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._server: Any = None

    def load(self, port: Port) -> None:
        """Load the model. Holds Python's lock from start to end."""
        if self._server is not None:
            return
        files = [path for path in (self._path, self._mmproj) if path]
        for path in files:
            if not path.is_file():
                raise ModelNotFound(f"There is no model file {path}. `mondrian models` lists them.")
        size = sum(path.stat().st_size for path in files)
        port.emit(Progress(phase=Phase.LOADING, total=size))
        import xllamacpp

        try:
            self._server = xllamacpp.Server(self._parameters(xllamacpp))
        except (RuntimeError, ValueError) as exc:
            raise EngineFailed(
                f"llama.cpp cannot load {self._path.name}: {exc}. "
                "Check that it is a complete GGUF file, and that there is memory for it."
            ) from exc
        port.emit(Progress(phase=Phase.LOADING, done=size, total=size, basis=Basis.MEASURED))

    def run(self, request: Request, port: Port) -> None:
        """Answer ``request`` by llama.cpp's own chat completion."""
        errors: list[str] = []
        answer = Answer()

        def take(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                errors.append(str(chunk["error"].get("message", chunk["error"])))
                return True
            for item in answer.read(chunk):
                port.emit(item)
            return port.stopped.is_set()

        port.emit(Progress(phase=Phase.PREFILL))
        try:
            self._server.handle_chat_completions(self._body(request), take)
        except (RuntimeError, ValueError) as exc:
            errors.append(str(exc))
        if port.stopped.is_set():
            return
        if errors:
            raise EngineFailed(f"llama.cpp reported: {errors[0]}")
        if answer.finish_reason is None:
            raise EngineFailed("llama.cpp ended its answer without a reason. Try again.")
        port.emit(answer.last())

    def _parameters(self, xllamacpp: Any) -> Any:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self._path)
        if self._mmproj:
            parameters.mmproj.path = str(self._mmproj)
        parameters.n_ctx = self._ctx
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = self._threads
        parameters.verbosity = 1  # errors only
        # its server also listens on a loopback port, which nobody else may use
        parameters.api_keys = [secrets.token_urlsafe(32)]
        parameters.cors_origins = ""
        parameters.ui = parameters.endpoint_slots = False
        return parameters

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": self._content(request)},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "timings_per_token": True,
            "max_tokens": request.max_tokens or self._max_tokens,
            "temperature": self._temperature
            if request.temperature is None
            else request.temperature,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.schema is not None:
            body["grammar"] = grammar(request.schema)
        return body

    def _content(self, request: Request) -> Any:
        if request.photo is None or not self._mmproj:
            return request.prompt
        from base64 import b64encode

        url = f"data:image/jpeg;base64,{b64encode(request.photo).decode()}"
        return [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": request.prompt},
        ]


class Answer:
    """Reads llama.cpp's chunks as ``Progress`` and ``Token``, by the chunks' own timings."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._figures: dict[str, Any] = {}

    def read(self, chunk: dict[str, Any]) -> list[Progress | Token]:
        """The items of one chunk, of which there may be none."""
        timings = chunk.get("timings")
        if timings and timings["predicted_n"]:
            self._figures = {
                "generation_tokens": timings["predicted_n"],
                # until the second token there is no time to divide by
                "generation_tps": timings["predicted_per_second"] or None,
                "prompt_tokens": timings["cache_n"] + timings["prompt_n"],
                "prompt_tps": timings["prompt_per_second"] or None,
            }
        if progress := chunk.get("prompt_progress"):
            return [
                Progress(
                    phase=Phase.PREFILL,
                    done=progress["processed"],
                    total=progress["total"],
                    basis=Basis.MEASURED,
                )
            ]
        for choice in chunk.get("choices", ()):
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if text := choice["delta"].get("content"):
                return [Token(text=text, **self._figures)]
        return []

    def last(self) -> Token:
        """The piece that ends the answer: no text, the final figures and the finish reason."""
        return Token(text="", finish_reason=self.finish_reason, **self._figures)


def grammar(schema: dict[str, Any]) -> str:
    """``schema`` as llama.cpp's grammar, on one line: a small model that may write white space
    between the marks of JSON writes little else."""
    import xllamacpp

    tight = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    text: str = xllamacpp.json_schema_to_grammar(json.dumps({**schema, "x-guidance": tight}))
    # a build without llguidance gives GBNF instead, and ignores x-guidance
    return re.sub(r"^space ::= .*$", 'space ::= " "?', text, flags=re.MULTILINE)


def available_cores() -> int:
    """How many cores this process may use."""
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
