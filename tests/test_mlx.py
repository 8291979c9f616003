"""The ``mlx:`` engine on tiny checkpoints of four architectures, against mlx-vlm's own answers."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mondrian import Report, Update, critique, read_photo
from mondrian.engines import Basis, Phase, Progress, Request, Token, open_engine
from mondrian.engines.mlx.engine import Mlx, _make_token
from mondrian.engines.mlx.grammar import make_guide
from mondrian.engines.native.engine import HostedEngine
from mondrian.errors import EngineFailed, ModelNotFound, UnknownEngine
from mondrian.process.child import Port
from support.tiny_mlx import GLM_PHOTO, QWEN_PHOTO, SMOL_PHOTO
from support.working import jpeg

PHOTO, OTHER = jpeg(), jpeg(seed=2)
COMMON = "What is there? " * 9
ASKED = {"text": COMMON + "Say it.", "photo": COMMON + "Say it.", "other": COMMON + "Say it.",
         "next": COMMON + "Well?", "last": COMMON + "Whose light?"}  # fmt: skip
PHOTOS = {"photo": PHOTO, "next": PHOTO, "last": PHOTO, "other": OTHER}
SYSTEM = "You are a critic."
TOKENS = 24
NAMES = ("qwen2", "qwen3", "glm", "smol")

REFERENCE = """
import json, sys
from mlx_vlm import generate, load
for line in sys.stdin:
    asked = json.loads(line)
    model, processor = load(asked["model"])
    for prompt, photo in asked["prompts"]:
        image = [photo] if photo else None
        result = generate(model, processor, prompt, image, max_tokens=24, temperature=0.0)
        print(json.dumps(result.text), flush=True)
"""
"""Each prompt is answered by a model that has seen no other prompt before."""


def prompt_for(name: str, asked: str, has_photo: bool) -> str:
    """The prompt in the form of the model's chat template."""
    if name == "smol":
        photo = SMOL_PHOTO if has_photo else ""
        return (
            f"<|im_start|>System: {SYSTEM}<end_of_utterance>\n"
            f"User: {photo}{asked}<end_of_utterance>\nAssistant:"
        )
    photo = (GLM_PHOTO if name == "glm" else QWEN_PHOTO) if has_photo else ""
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{photo}{asked}<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.fixture(scope="module")
def expected(
    checkpoints: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """What ``generate()`` answers at temperature 0, by model and question."""
    folder = tmp_path_factory.mktemp("photos")
    files = {}
    for key, photo in PHOTOS.items():
        files[key] = folder / f"{key}.jpg"
        files[key].write_bytes(photo)
    lines = [
        json.dumps({
            "model": str(checkpoints / name),
            "prompts": [
                [prompt_for(name, asked, key in PHOTOS), str(files.get(key, ""))]
                for key, asked in ASKED.items()
            ],
        })
        for name in NAMES
    ]  # fmt: skip
    answers = subprocess.run(
        [sys.executable, "-c", REFERENCE],
        input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    texts = iter(map(json.loads, answers))
    return {name: {key: next(texts) for key in ASKED} for name in NAMES}


def opened(checkpoint: Path, query: str = "") -> HostedEngine:
    engine = open_engine(f"mlx:{checkpoint}?temperature=0{query}")
    assert isinstance(engine, HostedEngine)
    return engine


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest, checkpoints: Path) -> Iterator[HostedEngine]:
    with closing(opened(checkpoints / request.param)) as engine:
        yield engine


@pytest.fixture(scope="module")
def adapted(checkpoints: Path) -> Iterator[HostedEngine]:
    """One that answers by ``generate()``, with an adapter."""
    query = f"&stream=false&adapter={checkpoints / 'adapter'}"
    with closing(opened(checkpoints / "qwen3", query)) as engine:
        yield engine


def request_for(key: str) -> Request:
    return Request(
        system=SYSTEM, prompt=ASKED[key], photo=PHOTOS.get(key), max_tokens=TOKENS, adapter=False
    )


def told(engine: HostedEngine, request: Request) -> tuple[str, list[Progress], list[Token]]:
    """The text, the progress and the tokens of an answer."""
    items = list(engine.stream(request))
    tokens = [item for item in items if isinstance(item, Token)]
    progress = [item for item in items if isinstance(item, Progress)]
    return "".join(token.text for token in tokens), progress, tokens


def encodings(progress: list[Progress]) -> int:
    """How many times a photo went through the vision tower."""
    return sum(item.phase is Phase.ENCODING and item.done == 1 for item in progress)


def read(progress: list[Progress]) -> float:
    """How many tokens of the prompt were read, rather than kept."""
    done = [i.done for i in progress if i.phase is Phase.PREFILL and i.done is not None]
    return done[-1] - done[0]


def test_it_answers_as_generate_does(
    engine: HostedEngine, expected: dict[str, dict[str, str]]
) -> None:
    """Text, a photo, and two questions more that begin alike; then another photo, of one size
    with the first, under the very same words; then text alone."""
    asked = ("text", "photo", "next", "last", "other", "text")
    answers = [told(engine, request_for(key)) for key in asked]
    assert [text for text, *_ in answers] == [expected[engine.model][key] for key in asked]
    assert [encodings(progress) for _, progress, _ in answers] == [0, 1, 0, 0, 1, 0]
    goes_on = engine.model != "glm"  # mlx-vlm's GLM-4V fails where it is to go on from a prompt
    cached = [bool(tokens[-1].cached_tokens) for *_, tokens in answers]
    assert cached == [False, False, goes_on, goes_on, False, False]
    for _, progress, tokens in answers:  # what is in the cache counts as done
        first = next(i.done for i in progress if i.phase is Phase.PREFILL and i.done is not None)
        assert first == tokens[-1].cached_tokens
    if goes_on:
        photo, *others = (read(progress) for _, progress, _ in answers[1:4])
        assert sum(others) < 0.5 * photo


def test_all_figures_arrive(engine: HostedEngine) -> None:
    _, progress, tokens = told(engine, request_for("photo"))
    last = tokens[-1]
    assert (last.generation_tokens, last.finish_reason) == (TOKENS, "length")
    assert [token.generation_tokens for token in tokens] == [*range(1, TOKENS + 1), TOKENS]
    assert all(token.generation_tps for token in tokens[1:])
    assert last.prompt_tokens == progress[-1].total
    assert last.prompt_tps
    assert last.peak_memory_gb


def test_a_stopped_request_leaves_nothing_but_the_photo(
    engine: HostedEngine, expected: dict[str, dict[str, str]]
) -> None:
    told(engine, request_for("photo"))
    with closing(engine.stream(replace(request_for("next"), max_tokens=2000))) as stream:
        next(item for item in stream if isinstance(item, Token))
    assert engine.status == "ready"
    text, progress, tokens = told(engine, request_for("last"))
    assert text == expected[engine.model]["last"]
    assert (encodings(progress), tokens[-1].cached_tokens) == (0, 0)


def test_a_schema_is_kept_to_by_a_model_that_writes_noise(engine: HostedEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"comment": {"type": "string", "maxLength": 20}, "score": {"enum": [1, 10]}},
        "required": ["comment", "score"],
        "additionalProperties": False,
    }
    for seed in range(5):
        asked = replace(request_for("photo"), schema=schema, temperature=1.0, seed=seed)
        text, _, tokens = told(engine, replace(asked, max_tokens=200))
        assert json.loads(text).keys() == {"comment", "score"}
        assert tokens[-1].finish_reason == "stop"


def test_a_seed_makes_it_repeat_itself(engine: HostedEngine) -> None:
    asked = replace(request_for("text"), temperature=1.0)
    texts = [told(engine, replace(asked, seed=seed))[0] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_critique_is_a_report(checkpoints: Path) -> None:
    """What a random model says means nothing, but it comes in the shape that was asked for."""
    with closing(opened(checkpoints / "qwen2", "&max_tokens=700")) as engine:
        *events, report = critique(read_photo(PHOTO), "ansel", engine, seed=1)
    assert isinstance(report, Report)
    assert report.dimensions
    assert report.salvaged  # the tokens are short and do not suffice
    phases = dict.fromkeys(event.phase for event in events if isinstance(event, Update))
    order = [Phase.MEASURING, Phase.LOADING, Phase.ENCODING, Phase.PREFILL, Phase.GENERATING]
    assert list(phases)[:5] == order


def test_loading_is_counted_in_bytes(adapted: HostedEngine, checkpoints: Path) -> None:
    _, progress, _ = told(adapted, request_for("text"))
    [*_, last] = (item for item in progress if item.phase is Phase.LOADING)
    files = [*checkpoints.glob("qwen3/*.safetensors"), *checkpoints.glob("adapter/*.safetensors")]
    size = sum(path.stat().st_size for path in files)
    assert last.done == last.total
    assert last.total is not None
    assert 0.9 * size < last.total <= size
    assert last.basis is Basis.MEASURED


def test_without_a_stream_it_counts_all_the_same(
    adapted: HostedEngine, expected: dict[str, dict[str, str]]
) -> None:
    text, progress, tokens = told(adapted, request_for("photo"))
    assert text == expected["qwen3"]["photo"] == tokens[-1].text
    assert [token.generation_tokens for token in tokens] == [*range(2, TOKENS + 1), TOKENS]
    assert progress[-1].done == progress[-1].total == tokens[-1].prompt_tokens


def test_without_a_stream_it_stops_too(adapted: HostedEngine) -> None:
    adapted.load()
    pid = adapted.pid
    with closing(adapted.stream(replace(request_for("photo"), max_tokens=4000))) as stream:
        next(item for item in stream if isinstance(item, Token))
    assert adapted.pid == pid
    assert adapted.status == "ready"


def test_an_adapter_is_used_where_it_is_wanted(
    adapted: HostedEngine, expected: dict[str, dict[str, str]]
) -> None:
    plain = request_for("photo")
    texts = [told(adapted, replace(plain, adapter=wanted))[0] for wanted in (True, False, True)]
    assert texts[0] == texts[2] != texts[1] == expected["qwen3"]["photo"]
    assert adapted.has_adapter


def test_an_adapter_that_does_not_fit_is_refused(checkpoints: Path, tmp_path: Path) -> None:
    """Its layers are in the model, but not a weight of its file has the name of one of theirs."""
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(checkpoints / "adapter", tmp_path / "adapter")
    weights = load_file(folder / "adapters.safetensors")
    strange = {f"base_model.{name}": array for name, array in weights.items()}
    save_file(strange, folder / "adapters.safetensors")
    with (
        closing(opened(checkpoints / "qwen3", f"&adapter={folder}")) as engine,
        pytest.raises(EngineFailed, match=r"no place for base_model\..* in this model"),
    ):
        engine.load()


def test_what_is_not_there(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"`mondrian pull mlx-community/No-Such-4bit`"):
        open_engine("mlx:mlx-community/No-Such-4bit", home=tmp_path)
    with pytest.raises(ModelNotFound, match="no adapter"):
        open_engine(f"mlx:{checkpoints / 'qwen3'}", adapter=tmp_path)
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(ModelNotFound, match="no adapter"):
        open_engine(f"mlx:{checkpoints / 'qwen3'}", adapter=tmp_path)
    with pytest.raises(UnknownEngine, match="has no option 'adapter'"):
        open_engine("llamacpp:smollm2-135m", adapter=tmp_path)


def test_a_model_of_the_home_is_found_by_its_name(checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mlx-community" / "Tiny-4bit"
    shutil.copytree(checkpoints / "smol", folder)
    engine = open_engine("mlx:mlx-community/Tiny-4bit", home=tmp_path)
    assert (engine.model, engine.sees) == ("Tiny-4bit", True)
    (folder / "config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"config.json is missing"):
        open_engine("mlx:mlx-community/Tiny-4bit", home=tmp_path)


def test_a_broken_checkpoint_is_a_typed_error(checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "smol", tmp_path / "broken")
    (tmp_path / "broken" / "model-00002-of-00002.safetensors").write_bytes(b"nothing")
    with (
        closing(opened(tmp_path / "broken")) as engine,
        pytest.raises(EngineFailed, match="mlx-vlm cannot load broken: "),
    ):
        engine.load()


def test_without_mlx_it_says_what_to_install(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(UnknownEngine, match=r"`pip install 'mlx-vlm>=0\.7\.10'"):
        open_engine(f"mlx:{checkpoints / 'qwen2'}")


# In this process, where each item that it emits can be answered


class Listener(Port):
    """What is told, and an order to stop at the item that ``is_enough`` says so of."""

    def __init__(self, is_enough: Callable[[Any], bool] = lambda item: False) -> None:
        self.items: list[Any] = []
        self._is_enough = is_enough

    def emit(self, item: Any) -> bool:
        self.items.append(item)
        return self._is_enough(item)

    @property
    def text(self) -> str:
        return "".join(item.text for item in self.items if isinstance(item, Token))

    def done(self, phase: Phase) -> list[float]:
        """How far ``phase`` was, each time."""
        told = [item for item in self.items if isinstance(item, Progress) and item.phase is phase]
        return [item.done for item in told if item.done is not None]


@pytest.fixture(params=NAMES)
def chunked(
    request: pytest.FixtureRequest, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Mlx]:
    """A model that reads 8 tokens at a time, fewer than a photo has, and its name."""
    monkeypatch.setattr("mondrian.engines.mlx.engine.PREFILL_TOKENS", 8)
    mlx = Mlx(path=checkpoints / request.param, temperature=0)
    mlx.load(Listener())
    return request.param, mlx


def test_a_photo_may_lie_in_several_chunks(
    chunked: tuple[str, Mlx], expected: dict[str, dict[str, str]]
) -> None:
    name, mlx = chunked
    mlx.run(request_for("photo"), listener := Listener())
    assert listener.text == expected[name]["photo"]
    *done, last = listener.done(Phase.PREFILL)
    in_chunks = [*range(0, int(last) - 1, 8), last - 1]
    assert done == ([0, last - 1] if name == "glm" else in_chunks)  # its positions go wrong there


def test_a_prompt_that_nobody_waits_for_is_not_read_to_its_end(
    chunked: tuple[str, Mlx], expected: dict[str, dict[str, str]]
) -> None:
    def has_read(item: Any) -> bool:
        return isinstance(item, Progress) and item.phase is Phase.PREFILL and bool(item.done)

    name, mlx = chunked
    mlx.run(request_for("photo"), stopped := Listener(has_read))
    assert len(stopped.done(Phase.PREFILL)) == 2
    assert not stopped.text
    mlx.run(request_for("next"), listener := Listener())
    assert listener.text == expected[name]["next"]
    assert stopped.done(Phase.PREFILL) == [0, 8] or name == "glm"


def test_it_stops_at_the_token_that_nobody_wants(chunked: tuple[str, Mlx]) -> None:
    def is_third(item: Any) -> bool:
        return isinstance(item, Token) and item.generation_tokens == 3

    _, mlx = chunked
    mlx.run(request_for("photo"), listener := Listener(is_third))
    assert [i.generation_tokens for i in listener.items if isinstance(i, Token)] == [1, 2, 3]


def test_a_tower_that_is_not_seen_makes_encoding_an_estimate(
    chunked: tuple[str, Mlx], expected: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, mlx = chunked
    monkeypatch.setattr("mondrian.engines.mlx.hooks.TOWERS", ())
    mlx = Mlx(path=mlx._path, temperature=0)
    mlx.load(Listener())
    for key in ("photo", "next"):
        mlx.run(request_for(key), listener := Listener())
        assert listener.items[0] == Progress(phase=Phase.ENCODING, basis=Basis.ESTIMATED)
        assert listener.text == expected[name][key]


def test_a_schema_that_nothing_enforces_stands_in_the_prompt(
    chunked: tuple[str, Mlx], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, mlx = chunked
    asked = replace(request_for("photo"), schema={"type": "object"})
    assert "schema" not in mlx._make_arguments(asked)["prompt"]
    monkeypatch.setitem(sys.modules, "llguidance", None)
    assert 'follows this schema: {"type": "object"}' in mlx._make_arguments(asked)["prompt"]


def test_loading_stops_too_and_begins_anew(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mondrian.engines.mlx.engine.LOAD_BYTES", 1000)
    mlx = Mlx(path=checkpoints / "smol")
    mlx.load(stopped := Listener(lambda item: item.done is not None))
    mlx.load(whole := Listener())
    mlx.load(again := Listener())
    assert len(stopped.done(Phase.LOADING)) == 1
    assert len(whole.done(Phase.LOADING)) > 10
    assert whole.items[-1].done == whole.items[-1].total
    assert again.items == []


def test_speeds_are_of_what_was_done() -> None:
    """Of 100 tokens 40 were read, in half a second after one and a half of encoding; and four of
    five were written after the first, in two seconds."""
    figures = {"prompt_tokens": 100, "cached_tokens": 60, "prompt_tps": 50.0}
    figures |= {"generation_tokens": 5, "generation_tps": 2.5, "peak_memory": 1.0}
    result = SimpleNamespace(text="", finish_reason=None, **figures)
    token = _make_token(result, encoding_seconds=1.5)
    assert (token.prompt_tps, token.generation_tps) == (80, 2)
    result.generation_tokens = 1
    assert _make_token(result, 0).generation_tps is None


def test_a_model_without_a_chat_gets_a_text() -> None:
    pytest.importorskip("mlx_vlm")
    mlx = Mlx(path=Path("paligemma"))
    mlx._model = SimpleNamespace(config=SimpleNamespace(model_type="paligemma"))
    assert mlx._format_prompt(request_for("photo"), None) == f"<image>{ASKED['photo']}"


def test_without_llguidance_there_is_no_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlx_vlm")
    monkeypatch.setitem(sys.modules, "llguidance", None)
    assert make_guide(None, {}) is None


def test_memory_is_that_of_the_request(engine: HostedEngine) -> None:
    request = request_for("text")
    requests = (replace(request, prompt=5 * request.prompt), request)
    larger, smaller = (told(engine, each)[2][-1] for each in requests)
    assert larger.peak_memory_gb
    assert smaller.peak_memory_gb
    assert larger.peak_memory_gb > smaller.peak_memory_gb


class OnMain(Mlx):
    """Fails where it is not run by its process's main thread."""

    def load(self, port: Port) -> None:
        self._check()
        super().load(port)

    def run(self, request: Request, port: Port) -> None:
        self._check()
        super().run(request, port)

    def _check(self) -> None:
        assert threading.current_thread() is threading.main_thread()


def test_it_is_loaded_and_runs_on_the_main_thread(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    engine = opened(checkpoints / "smol")
    engine._native = f"{__name__}:OnMain"
    with closing(engine):
        text, *_ = told(engine, request_for("text"))
        assert text


def test_a_text_is_whole_at_its_end(checkpoints: Path, adapted: HostedEngine) -> None:
    """mlx-vlm holds back what comes after the last space, and gives it with the finish reason. A
    character that ``max_tokens`` cuts off is left out."""
    plain = replace(request_for("photo"), temperature=1.0)
    cut = [replace(plain, max_tokens=count, seed=1) for count in range(1, 20)]
    free = [replace(plain, max_tokens=900, seed=seed) for seed in range(4)]
    with closing(opened(checkpoints / "qwen3")) as engine:
        answers = [told(engine, each) for each in cut + free]
    texts = [text for text, *_ in answers]
    assert texts == [told(adapted, each)[0] for each in cut + free]
    assert len(set(texts[:19])) < 19  # there was a token with half a character
    assert not any(text.endswith("\ufffd") for text in texts)
    stopped = [tokens[-1] for *_, tokens in answers if tokens[-1].finish_reason == "stop"]
    assert any(last.text for last in stopped)


@pytest.mark.parametrize("version", ["0.6.3", "0.7.9", "0.5"])
def test_an_old_mlx_vlm_is_refused_with_what_to_install(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / f"mlx_vlm-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mlx-vlm\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownEngine, match=rf"{version} is too old.*'mlx-vlm>=0\.7\.10'"):
        open_engine(f"mlx:{tmp_path}")
