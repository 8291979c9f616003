"""The ``llamacpp:`` engine: llama.cpp in process, through xllamacpp."""

import contextlib
import json
import os
import re
import secrets
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from mondrian.engines.base import Basis, Phase, Progress, Request
from mondrian.engines.chat import ChatAnswer, chat_body, messages
from mondrian.errors import EngineFailed, ModelNotFound
from mondrian.process.child import Port

# one prefill chunk: small enough for frequent progress and a prompt stop on a CPU
BATCH_TOKENS = 128

# a model's own markers between photo and text, which are counted in the whole prompt only
_MARKS_TOKENS = 8


class LlamaCpp:
    """Run the GGUF file at ``path``; with the projector ``mmproj`` it sees photos.

    ``ctx`` is in tokens, for each of the ``slots`` requests that run at once (continuous batching).
    ``threads`` defaults to the cores that this process may use less one.
    """

    def __init__(
        self,
        *,
        path: Path,
        mmproj: Path | None = None,
        ctx: int = 8192,
        slots: int = 1,
        threads: int | None = None,
        max_tokens: int = 2048,
        temperature: float = 0.7,
    ) -> None:
        self._path = path
        self._mmproj = mmproj
        self._ctx = ctx
        self._slots = slots
        self._threads = threads or max(1, available_cores() - 1)
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._server: Any = None
        self._key = secrets.token_urlsafe(32)

    def load(self, port: Port) -> None:
        """Load the model. Holds the GIL throughout."""
        if self._server is not None:
            return
        files = [path for path in (self._path, self._mmproj) if path]
        for path in files:
            if not path.is_file():
                raise ModelNotFound(f"There is no model file {path}. `mondrian models` lists them.")
        size = sum(path.stat().st_size for path in files)
        port.emit(Progress(phase=Phase.LOADING, total=size))
        # else it runs a debugger when it aborts, which takes seconds and buries its own message
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        import xllamacpp

        try:
            self._server = xllamacpp.Server(self._make_parameters(xllamacpp))
        except (RuntimeError, ValueError) as exc:
            raise EngineFailed(self._explain_refusal(exc)) from exc
        port.emit(Progress(phase=Phase.LOADING, done=size, total=size, basis=Basis.MEASURED))

    def run(self, request: Request, port: Port) -> None:
        """Answer ``request`` with llama.cpp's own chat completion."""
        errors: list[str] = []
        has_photo = request.photo is not None and self._mmproj is not None
        port.emit(Progress(phase=Phase.ENCODING if has_photo else Phase.PREFILL))
        after_photo = self._count_after_photo(request) if has_photo else None
        answer = Answer(request.max_tokens or self._max_tokens, after_photo)

        def emit(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                errors.append(str(chunk["error"].get("message", chunk["error"])))
                return True
            for item in answer.read(chunk):
                port.emit(item)
            return answer.is_over or port.stopped.is_set()

        try:
            self._server.handle_chat_completions(self._make_body(request), emit)
        except (RuntimeError, ValueError) as exc:
            errors.append(str(exc))
        if port.stopped.is_set():
            return
        if errors:
            raise EngineFailed(f"llama.cpp reported: {errors[0]}")
        if answer.finish_reason is None:
            raise EngineFailed("llama.cpp ended its answer without a reason. Try again.")
        port.emit(answer.last())

    def _explain_refusal(self, exc: Exception) -> str:
        name, check = self._path.name, "that it is a complete GGUF file"
        if self._mmproj:
            name += f" with {self._mmproj.name}"
            check = "that both are complete GGUF files, that they belong together"
        reason = str(exc).rstrip(".")
        return f"llama.cpp cannot load {name}: {reason}. Check {check}, and that there is memory."

    def _make_parameters(self, xllamacpp: Any) -> Any:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self._path)
        if self._mmproj:
            parameters.mmproj.path = str(self._mmproj)
        parameters.n_parallel = self._slots
        parameters.n_ctx = self._slots * self._ctx
        parameters.cache_ram_mib = 0  # a slot keeps its last prompt, which is enough
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = self._threads
        parameters.verbosity = 1  # errors only
        # its server also listens on a loopback port: keep other programs out
        parameters.api_keys = [self._key]
        parameters.cors_origins = ""
        parameters.ui = parameters.endpoint_slots = False
        return parameters

    def _make_body(self, request: Request) -> dict[str, Any]:
        body = chat_body(
            request,
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            sees=self._mmproj is not None,
        )
        body |= {"return_progress": True, "timings_per_token": True}
        if request.schema is not None:
            body["grammar"] = grammar(request.schema)
        return body

    def _count_after_photo(self, request: Request) -> int:
        """Return how many tokens of the prompt come after the photo, by the model's template."""
        template = {"messages": messages(request.system, request.prompt, b"")}
        prompt = self._call("/apply-template", template)["prompt"]
        after = re.split(r"<__media\w*__>", prompt)[-1]
        return len(self._call("/tokenize", {"content": after, "parse_special": True})["tokens"])

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        """Return the response of llama.cpp's HTTP server, for what has no in-process call."""
        host = self._server.listening_address.removeprefix("http://")
        with closing(HTTPConnection(host)) as connection:
            key = {"Authorization": f"Bearer {self._key}"}
            connection.request("POST", path, json.dumps(body), key)
            response = connection.getresponse()
            answer = json.load(response)
        if response.status != HTTPStatus.OK:
            raise EngineFailed(f"llama.cpp refused {path}: {answer}")
        return answer


class Answer(ChatAnswer):
    """Convert llama.cpp's chunks; its progress separates the photo from the rest of the prompt.

    ``after_photo`` is how many tokens of the prompt come after the photo, ``None`` without a photo.
    All tokens before them count as encoding: the photo is at the beginning of the prompt.
    """

    def __init__(self, max_tokens: int, after_photo: int | None) -> None:
        super().__init__(max_tokens)
        self._after_photo = after_photo

    def _make_progress(self, done: int | None, total: int | None) -> Progress:
        photo = 0 if self._after_photo is None else (total or 0) - self._after_photo
        if (done or 0) < photo - _MARKS_TOKENS:
            return Progress(phase=Phase.ENCODING, done=done, total=photo, basis=Basis.MEASURED)
        return super()._make_progress(done, total)


def grammar(schema: dict[str, Any]) -> str:
    """Return ``schema`` as llama.cpp's grammar, without optional white space: a small model that
    may write it between JSON tokens writes little else."""
    import xllamacpp

    tight = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    text: str = xllamacpp.json_schema_to_grammar(json.dumps({**schema, "x-guidance": tight}))
    # a build without llguidance gives GBNF instead, and ignores x-guidance
    return re.sub(r"^space ::= .*$", 'space ::= " "?', text, flags=re.MULTILINE)


def available_cores() -> int:
    """Return how many cores this process may use."""
    with contextlib.suppress(AttributeError):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
