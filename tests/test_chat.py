"""OpenAI's client gets critiques: the same jobs with the same log."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from mondrian.answers import DIMENSIONS, show_name
from mondrian.api import Limits
from mondrian.api.chat import ChatText
from mondrian.jobs.job import Status
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.reports import Report
from support.demo_reports import demo_report
from support.servers import make_app, running
from support.service import KEY, Service, another, bearer
from support.uploads import jpeg
from support.working import Hire, answer, at_work, recording, wait_for, wait_for_end


def ask(text: str = "For a poster.", *urls: str) -> list[dict[str, Any]]:
    """The messages of a chat that asks about photos, this test's own without ``urls``."""
    own = f"data:image/jpeg;base64,{base64.b64encode(jpeg()).decode()}"
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls or (own,)]
    return [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": [{"type": "text", "text": text}, *images]},
    ]


def connect(url: str, key: str = "none needed") -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)


def complete(client: OpenAI, messages: Any = None, model: str = "ansel", **more: Any) -> Any:
    said: Any = messages or ask()
    return client.chat.completions.create(model=model, messages=said, **more)


def reports_of(store: Store) -> list[Report]:
    [job] = store.list_jobs()
    return [Report.model_validate(each.report) for each in store.read_reports(job.id)]


def test_advisors_are_models(service: Service) -> None:
    client = connect(service.url)
    found = {model.id: model for model in client.models.list()}
    assert {"ansel", "okeefe"} < found.keys()
    assert client.models.retrieve("ansel") == found["ansel"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_a_critique_is_waited_for(service: Service) -> None:
    with service.working():
        made = complete(connect(service.url), model="ansel,okeefe")
    [job] = service.store.list_jobs()
    assert (job.status, job.advisors) == (Status.DONE, ("ansel", "okeefe"))
    assert job.intent == "For a poster."
    assert made.id == f"chatcmpl-{job.id.hex}"
    reports = reports_of(service.store)
    [choice] = made.choices
    assert choice.finish_reason == "stop"
    text = choice.message.content
    assert "## Ansel Adams" in text
    assert all(text.count(f"### {show_name(name)}\n") == 2 for name in DIMENSIONS)
    assert made.usage.completion_tokens == sum(each.engine.tokens for each in reports)
    assert made.usage.prompt_tokens == sum(each.engine.prompt_tokens or 0 for each in reports)


@pytest.fixture
def working(
    store: Store, photos: PhotoStore, database: str, tmp_path: Path, hire: Hire
) -> Iterator[str]:
    """The URL of a server with a worker, whose engine takes its time."""
    url = recording(tmp_path, {"phase": "prefill"}, {"after": 0.4, "phase": "prefill"}, pause=0.02)
    app = make_app(store, database, tmp_path, update_interval=0.1)
    with at_work(hire(url, update_interval=0.1)), running(app) as address:
        yield address


def test_a_critique_is_streamed(working: str, store: Store) -> None:
    options = {"include_usage": True}
    chunks = list(complete(connect(working), stream=True, stream_options=options))
    *told, usage = chunks
    deltas = [chunk.choices[0].delta for chunk in told]
    texts = [delta.content for delta in deltas if delta.content]
    assert len(texts) > 5
    reports = reports_of(store)
    assert "".join(texts) == ChatText({"ansel": "Ansel Adams"}).finish(reports)
    thoughts = [delta.reasoning_content for delta in deltas if hasattr(delta, "reasoning_content")]
    assert len(thoughts) > 2
    assert [chunk.choices[0].finish_reason for chunk in told if chunk.choices[0].finish_reason] == [
        "stop"
    ]
    assert usage.usage.completion_tokens == reports[0].engine.tokens > 0


def test_updates_go_on_as_comments_beside_the_text(working: str) -> None:
    body = {"model": "ansel", "messages": ask(), "stream": True}
    said = httpx.post(f"{working}/v1/chat/completions", json=body, timeout=60).text
    lines = said.split("\n\n")
    first = next(n for n, line in enumerate(lines) if '"delta":{"content":"' in line and n)
    assert any(line.startswith(": Generating analysis... (") for line in lines[first:])
    assert not any("reasoning_content" in line for line in lines[first:])
    assert lines[-2:] == ["data: [DONE]", ""]


def test_a_client_that_leaves_does_not_lose_the_job(working: str, store: Store) -> None:
    stream = complete(connect(working), stream=True)
    next(iter(stream))
    stream.close()
    [job] = store.list_jobs()
    assert wait_for_end(store, job).status is Status.DONE
    assert store.read_reports(job.id)[0].text == answer()


def test_a_job_that_fails_is_an_error(service: Service) -> None:
    def fail() -> None:
        claim = wait_for(lambda: service.store.claim("worker", 60))
        error = {"code": "engine_failed", "message": "The engine failed.", "retryable": True}
        service.store.finish(claim, error=error)

    client = connect(service.url)
    stream = complete(client, stream=True)
    fail()
    with pytest.raises(openai.APIError, match="The engine failed"):
        list(stream)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (ask("x", "https://example.org/a.jpg"), "is an address"),
        (ask("x", "file:///etc/passwd"), "is an address"),
        ([{"role": "user", "content": "Who are you?"}], "no photo in the last message"),
        (ask("x", "data:image/png;base64,AA==", "data:image/png;base64,AA=="), "several photos"),
        (ask("x", "data:image/png,abc"), "must be in Base64"),
        (ask("x", "data:image/png;base64,a?b"), "damaged"),
        ([*ask(), {"role": "user", "content": "And now?"}], "no photo in the last message"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_refused(service: Service, messages: Any, words: str, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        complete(connect(service.url), messages, stream=stream)
    assert service.store.list_jobs() == []


def test_a_photo_that_is_none(service: Service) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        complete(connect(service.url), ask("x", "data:image/png;base64,bm8gcGhvdG8="))
    assert (caught.value.status_code, caught.value.code) == (415, "unsupported_photo")


def test_an_unknown_model(service: Service) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        complete(connect(service.url), model="gpt-9")
    assert caught.value.code == "model_not_found"


def test_keys_are_bearers(locked: Service) -> None:
    with pytest.raises(openai.AuthenticationError):
        complete(connect(locked.url, "a wrong key, and a long one"))
    with locked.working():
        assert complete(connect(locked.url, KEY)).choices[0].message.content
    answer = locked.client.get("/v1/nothing", headers=bearer())
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"messages": []}', b"[" * 100_000])
def test_bodies_that_are_not_understood(service: Service, body: bytes) -> None:
    answer = service.client.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    with another(service, limits=Limits(max_photo_bytes=1000)) as small:
        answer = small.client.post("/v1/chat/completions", content=b" " * 1_100_000)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
        with pytest.raises(openai.APIStatusError) as caught:
            complete(connect(small.url), ask("x", f"data:image/png;base64,{'A' * 2000}"))
        assert (caught.value.status_code, caught.value.code) == (413, "photo_too_large")


def test_the_example_of_the_page_runs(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "connect.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "boats.jpg").write_bytes(jpeg())
    code = code.replace("http://127.0.0.1:5005", service.url)
    code = code.replace("boats.jpg", str(tmp_path / "boats.jpg"))
    with service.working():
        exec(compile(code, "connect.md", "exec"), {})
    assert "### Composition" in capsys.readouterr().out


# the text


def part(name: str, comment: str, recommendation: str = "", score: float | None = None) -> Any:
    dimension: dict[str, Any] = {"name": name, "score": score, "comment": comment}
    dimension["recommendation"] = recommendation
    if score is not None:
        dimension["evidence"] = []
    return {"advisor": "ansel", "n": 1, "m": 8, "dimension": dimension}


def test_a_section_grows_by_whole_words() -> None:
    text = ChatText({"ansel": "Ansel Adams"})
    added = [
        text.add_part({"advisor": "ansel", "image_description": "A *boat*."}),
        text.add_part(part("Lighting", "The R&")),
        text.add_part(part("Lighting", "The R&D of light is har")),
        text.add_part(part("Lighting", "The R&D of light is hard.", "Wai")),
        text.add_part(part("Lighting", "The R&D of light is hard.", "Wait.", 6.0)),
    ]
    assert added[1:3] == ["\n\n### Lighting\n\nThe", " R\\&D of light is"]
    assert "".join(added) == (
        "A \\*boat\\*.\n\n### Lighting\n\nThe R\\&D of light is hard.\n\n"
        "**Try:** Wait.\n\n*6.0 / 10*"
    )


def test_what_has_changed_is_said_once_more() -> None:
    report = demo_report()
    name = report.dimensions[0].name
    text = ChatText({"ansel": "Ansel Adams"})
    said = text.add_part(part(name, "Not what came in the end.", "", 3.0))
    rest = text.finish([report])
    assert "Not what came" in said
    assert rest.count(f"### {name}") == 1
    assert report.dimensions[0].comment[:10] in rest


def test_a_new_attempt_begins_again() -> None:
    text = ChatText({"ansel": "Ansel Adams"})
    assert text.begin_again() == ""
    first = text.add_part(part("Lighting", "Soft.", "", 7.0))
    assert "begins again" in text.begin_again()
    assert text.add_part(part("Lighting", "Soft.", "", 7.0)).strip() == first.strip()


def test_openapi_tells_of_it(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    answers = described["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert "ChatProblem" in json.dumps(answers["400"])
