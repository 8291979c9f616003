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

# one prefill chunk: small enough that progress and a stop come soon on a CPU
BATCH_TOKENS = 128

# a model's own marks between photo and text, which only the prompt as a whole counts
_MARKS_TOKENS = 8


class LlamaCpp:
    """Runs the GGUF file at ``path``; with the projector ``mmproj`` it sees.

    ``ctx`` is in tokens, for each of the ``slots`` requests that it works at at once, in one batch
    after the other. ``threads`` defaults to the cores that this process may use less one.
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
        """Load the model. Holds Python's lock from start to end."""
        if self._server is not None:
            return
        files = [path for path in (self._path, self._mmproj) if path]
        for path in files:
            if not path.is_file():
                raise ModelNotFound(f"There is no model file {path}. `mondrian models` lists them.")
        size = sum(path.stat().st_size for path in files)
        port.emit(Progress(phase=Phase.LOADING, total=size))
        # else it calls a debugger when it aborts: seconds, and its own words are lost in the noise
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        import xllamacpp

        try:
            self._server = xllamacpp.Server(self._parameters(xllamacpp))
        except (RuntimeError, ValueError) as exc:
            raise EngineFailed(self._refusal(exc)) from exc
        port.emit(Progress(phase=Phase.LOADING, done=size, total=size, basis=Basis.MEASURED))

    def run(self, request: Request, port: Port) -> None:
        """Answer ``request`` by llama.cpp's own chat completion."""
        errors: list[str] = []
        has_photo = request.photo is not None and self._mmproj is not None
        port.emit(Progress(phase=Phase.ENCODING if has_photo else Phase.PREFILL))
        after_photo = self._tokens_after_photo(request) if has_photo else None
        answer = Answer(request.max_tokens or self._max_tokens, after_photo)

        def take(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                errors.append(str(chunk["error"].get("message", chunk["error"])))
                return True
            for item in answer.read(chunk):
                port.emit(item)
            return answer.is_over or port.stopped.is_set()

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

    def _refusal(self, exc: Exception) -> str:
        name, check = self._path.name, "that it is a complete GGUF file"
        if self._mmproj:
            name += f" with {self._mmproj.name}"
            check = "that both are complete GGUF files, that they belong together"
        reason = str(exc).rstrip(".")
        return f"llama.cpp cannot load {name}: {reason}. Check {check}, and that there is memory."

    def _parameters(self, xllamacpp: Any) -> Any:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(self._path)
        if self._mmproj:
            parameters.mmproj.path = str(self._mmproj)
        parameters.n_parallel = self._slots
        parameters.n_ctx = self._slots * self._ctx
        parameters.cache_ram_mib = 0  # a slot keeps its last prompt: that is enough
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = self._threads
        parameters.verbosity = 1  # errors only
        # its server also listens on a loopback port, which no other program may use
        parameters.api_keys = [self._key]
        parameters.cors_origins = ""
        parameters.ui = parameters.endpoint_slots = False
        return parameters

    def _body(self, request: Request) -> dict[str, Any]:
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

    def _tokens_after_photo(self, request: Request) -> int:
        """How many tokens the model's template puts behind the photo."""
        template = {"messages": messages(request.system, request.prompt, b"")}
        prompt = self._call("/apply-template", template)["prompt"]
        after = re.split(r"<__media\w*__>", prompt)[-1]
        return len(self._call("/tokenize", {"content": after, "parse_special": True})["tokens"])

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        """The answer of llama.cpp's listener, for what has no call in process."""
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
    """Reads llama.cpp's chunks, whose progress tells the photo from the rest of the prompt.

    ``after_photo`` tells how many tokens of the prompt come after the photo, ``None`` that there
    is no photo. All before them is the photo's way into the model: it stands at the beginning.
    """

    def __init__(self, max_tokens: int, after_photo: int | None) -> None:
        super().__init__(max_tokens)
        self._after_photo = after_photo

    def _progress(self, done: int | None, total: int | None) -> Progress:
        photo = 0 if self._after_photo is None else (total or 0) - self._after_photo
        if (done or 0) < photo - _MARKS_TOKENS:
            return Progress(phase=Phase.ENCODING, done=done, total=photo, basis=Basis.MEASURED)
        return super()._progress(done, total)


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
