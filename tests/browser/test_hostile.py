"""Nothing that a model, a photo's name or a server says does anything on a page but be read."""

import pytest
from playwright.sync_api import Page, expect

from mondrian.answers import DIMENSIONS
from mondrian.jobs.job import Entry, EventType
from support.browser import HOSTILE, Visiting
from support.service import Service
from support.uploads import jpeg

OURS = """() => ({
    scripts: [...document.scripts].filter((each) => !each.src.startsWith(`${origin}/web/`)).length,
    frames: document.querySelectorAll("iframe, object, embed, base").length,
    links: document.querySelectorAll("[href^='javascript:' i], [src='x']").length,
    handlers: [...document.querySelectorAll("*")].filter((each) => [...each.attributes].some(
        (one) => one.name.startsWith("on"))).length,
    hacked: window.hacked ?? 0,
})"""


def only_read(page: Page) -> None:
    """See that the page holds no script, frame, link or handler that is not ours."""
    page.wait_for_timeout(50)
    found = page.evaluate(OURS)
    assert not any(found.values()), found


@pytest.fixture
def job(service: Service) -> str:
    """A job whose photo and intent are an enemy's."""
    name = HOSTILE.replace("/", "") + ".jpg"
    intent = {"intent": HOSTILE[:250]}
    answer = service.client.post("/upload", files={"image": (name, jpeg())}, data=intent)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def test_while_it_is_written(visit: Visiting, service: Service, job: str) -> None:
    claim = service.claim()
    page = visit(service.url).open(f"/jobs/{job}")
    thinking = {"thinking": HOSTILE, "phase": "generating", "percent": None, "basis": "unknown"}
    entries = [Entry(EventType.THINKING_UPDATE, thinking)]
    for name in (*DIMENSIONS, HOSTILE):
        dimension = {"name": name, "score": None, "comment": HOSTILE, "recommendation": HOSTILE}
        fields = {"advisor": "ansel", "attempt": 1, "n": 1, "m": 8, "dimension": dimension}
        entries.append(Entry(EventType.REPORT_PARTIAL, fields))
    described = {"advisor": HOSTILE, "attempt": 1, "n": 0, "m": 8, "image_description": HOSTILE}
    service.store.append(claim, [*entries, Entry(EventType.REPORT_PARTIAL, described)])
    expect(page.locator("#thinking")).to_contain_text("<script>")
    expect(page.locator(".comment").last).to_contain_text("<script>")
    only_read(page)


def test_when_it_is_done(visit: Visiting, service: Service, job: str) -> None:
    service.finish(service.claim(), HOSTILE)
    page = visit(service.url).open(f"/jobs/{job}")
    expect(page.locator(".card .comment").first).to_contain_text("<script>")
    only_read(page)
    paths = (f"/jobs/{job}/compare", "/jobs", "/", "/jobs?search=%3Cscript%3E%22%27",
             f"/analysis/{job}", f"/report/{job}?format=html", f"/summary/{job}?format=html",
             "/jobs?advisor=%3Cscript%3E", "/login?code=%3Cscript%3E")  # fmt: skip
    for path in paths:
        page.goto(path)
        only_read(page)


def test_when_it_failed(visit: Visiting, service: Service, job: str) -> None:
    error = {"code": HOSTILE, "message": HOSTILE, "retryable": True}
    service.store.finish(service.claim(), error=error)
    page = visit(service.url).open(f"/jobs/{job}")
    expect(page.get_by_role("alert")).to_contain_text("<script>")
    only_read(page)
    page.goto("/jobs")
    only_read(page)
