"""The ``llamacpp:`` engine on a tiny model that sees, and on the embedded one."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from mondrian.engines import Basis, Phase, Progress, Request, Token
from mondrian.engines.native.engine import HostedEngine
from mondrian.errors import (
    EngineFailed,
)
from support.hosted import (
    open_hosted,
    scene,
    tokens_of,
)


def test_llamacpp_keeps_to_a_schema(home: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "score": {"const": 6.5},
            "comment": {"enum": ["The horizon leans.", 'A "quote", and é.']},
        },
        "required": ["score", "comment"],
        "additionalProperties": False,
    }
    with closing(open_hosted("llamacpp:smollm2-135m", home)) as engine:
        request = Request(system="", prompt="Judge the photo.", schema=schema)
        text = "".join(token.text for token in tokens_of(engine.stream(request)))
    answer = json.loads(text)
    assert answer["score"] == 6.5
    assert answer["comment"] in schema["properties"]["comment"]["enum"]  # type: ignore[index]
    assert "\n" not in text


@pytest.fixture
def seeing(tiny_vlm: str) -> Iterator[HostedEngine]:
    with closing(open_hosted(f"{tiny_vlm}&ctx=2048")) as engine:
        yield engine


def look(seed: int | None, prompt: str = "What is there?") -> Request:
    photo = None if seed is None else scene(seed)
    return Request(system="x", prompt=prompt, photo=photo, max_tokens=24, temperature=0)


def answer_to(engine: HostedEngine, request: Request) -> tuple[str, Token]:
    tokens = tokens_of(engine.stream(request))
    return "".join(token.text for token in tokens), tokens[-1]


def test_llamacpp_sees_the_photo(seeing: HostedEngine) -> None:
    assert seeing.sees
    without, last = answer_to(seeing, look(None))
    assert last.prompt_tokens
    answers = {seed: answer_to(seeing, look(seed)) for seed in (1, 2)}
    for text, token in answers.values():
        assert text != without
        assert token.prompt_tokens
        assert token.prompt_tokens > last.prompt_tokens + 50
    assert answers[1][0] != answers[2][0]
    assert answer_to(seeing, look(1))[0] == answers[1][0]


def test_llamacpp_tells_encoding_from_prefill(seeing: HostedEngine) -> None:
    items = list(seeing.stream(look(1, "light " * 100)))
    told = [item for item in items if isinstance(item, Progress) and item.total]
    encoding = [item for item in told if item.phase is Phase.ENCODING]
    prefill = [item for item in told if item.phase is Phase.PREFILL]
    assert {item.basis for item in encoding + prefill} == {Basis.MEASURED}
    [photo_end], [total] = ({item.total for item in part} for part in (encoding, prefill))
    assert photo_end
    assert total
    assert all(item.done is not None and item.done < photo_end for item in encoding)
    assert all(item.done is not None and item.done > photo_end for item in prefill)
    assert 600 <= total - photo_end < 660  # the prompt, of which each byte is a token
    assert prefill[-1].done == total


def test_llamacpp_encodes_a_photo_once_for_all_advisors(seeing: HostedEngine) -> None:
    common = "light " * 30
    _, first = answer_to(seeing, look(1, f"{common}You are Ansel Adams."))
    items = list(seeing.stream(look(1, f"{common}You are Edward Weston.")))
    last = items[-1]
    assert isinstance(last, Token)
    assert last.cached_tokens
    assert last.prompt_tokens
    assert first.prompt_tokens
    assert last.prompt_tokens > first.prompt_tokens  # the whole prompt, read or not
    assert last.prompt_tokens - last.cached_tokens < 60
    counted = [item.phase for item in items if isinstance(item, Progress) and item.total]
    assert Phase.ENCODING not in counted


def test_llamacpps_listener_is_closed_to_others(home: Path) -> None:
    import httpx

    with closing(open_hosted("llamacpp:smollm2-135m", home)) as engine:
        engine.load()
        connections = psutil.Process(engine.pid).net_connections("tcp")
        ports = [c.laddr for c in connections if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in ports} <= {"127.0.0.1"}
        for address in ports:
            for path in ("/v1/models", "/props", "/slots", "/metrics"):
                assert httpx.get(f"http://127.0.0.1:{address.port}{path}").status_code in {
                    401,
                    403,
                    404,
                    501,
                }
            answer = httpx.post(f"http://127.0.0.1:{address.port}/completion", json={"prompt": "x"})
            assert answer.status_code == 401


def test_a_broken_model_file_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "not a model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    with (
        closing(open_hosted(f"llamacpp:{path}")) as engine,
        pytest.raises(EngineFailed, match=r"cannot load not a model.gguf"),
    ):
        engine.load()


def test_a_projector_of_another_model_is_a_typed_error(home: Path, tiny_vlm: str) -> None:
    _, _, projector = tiny_vlm.partition("?")
    with (
        closing(open_hosted(f"llamacpp:smollm2-135m?{projector}", home)) as engine,
        pytest.raises(EngineFailed, match=r"with mmproj-tiny.gguf: .* belong together"),
    ):
        engine.load()
