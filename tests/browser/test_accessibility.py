"""Everybody can use the pages: by keyboard, enlarged, with a screen reader, in light and dark."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from support.browser import Served, Visit, Visiting
from support.uploads import jpeg

NARROW = {"a small phone": (320, 640), "a desk enlarged to 400 %": (320, 256)}


@pytest.fixture(scope="module")
def paths(server: Served) -> Iterator[dict[str, str]]:
    """The address of a page of each kind."""
    done = server.send("done.jpg", photo=jpeg(300, 200, "#886644"), advisor="ansel,weston")
    failed = server.send("failed.jpg", advisor="gogh")
    stopped = server.send("stopped.jpg", advisor="gehry")
    server.cancel([stopped])
    live = server.send("live.jpg", advisor="gehry")
    server.await_end(done)
    server.await_end(failed)
    yield {
        "home": "/",
        "live": f"/jobs/{live}",
        "done": f"/jobs/{done}",
        "failed": f"/jobs/{failed}",
        "stopped": f"/jobs/{stopped}",
        "compare": f"/jobs/{done}/compare",
        "history": "/jobs",
        "login": "/login",
        "missing": "/nowhere",
        "nothing found": "/jobs?search=nothing-is-named-so",
        "advisor": "/advisor/ansel",
        "report": f"/analysis/{done}",
    }
    server.cancel([live])


@pytest.fixture(scope="module", params=["light", "dark"])
def themed(request: pytest.FixtureRequest, browser: Any, server: Served) -> Iterator[Visit]:
    """A visit in light and one in dark."""
    visit = Visit(browser, server.url, color_scheme=request.param)
    yield visit
    visit.close()


KINDS = ("home", "live", "done", "failed", "stopped", "compare", "history", "nothing found",
         "login", "missing", "advisor", "report")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(themed: Visit, paths: dict[str, str], kind: str) -> None:
    page = themed.open(paths[kind])
    for fold in page.locator("summary").all():  # what is folded is to be read, too
        fold.click()
    for switch in page.locator("[name=show]").all():
        switch.check()
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    bad = [
        (each["id"], [node["target"] for node in each["nodes"]][:5])
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    page.close()
    assert bad == []


@pytest.mark.parametrize("screen", NARROW)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_on_a_narrow_screen(
    visit: Visiting, paths: dict[str, str], kind: str, screen: str
) -> None:
    width, height = NARROW[screen]
    page = visit(viewport={"width": width, "height": height}).open(paths[kind])
    wide = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((each) =>
            each.getBoundingClientRect().right > innerWidth + 1 && !each.closest(".scroll, svg, "
            + ".toggles, .skip, .unseen")).map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    hidden = page.evaluate(
        """() => [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")]
            .filter((each) => each.checkVisibility() && !each.closest(".skip, .scroll"))
            .filter((each) => {
                each.scrollIntoView({block: "center"});
                const box = (each.closest("label") ?? each).getBoundingClientRect();
                const seen = document.elementFromPoint(
                    Math.max(1, box.left + box.width / 2), box.top + box.height / 2);
                return !seen || !(each.closest("label") ?? each).contains(seen)
                    && !seen.contains(each);
            }).map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert hidden == []


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))


def press_until(page: Page, key: str, wanted: str, most: int = 60) -> None:
    """Press ``key`` until what is focused has ``wanted`` in it."""
    for _ in range(most):
        page.keyboard.press(key)
        if wanted in focused(page):
            return
    raise AssertionError(f"{wanted} is not reached")


def test_all_is_done_by_keyboard(visit: Visiting) -> None:
    page = visit().open()
    page.keyboard.press("Tab")
    assert "Skip" in focused(page)
    press_until(page, "Tab", 'id="photos"')
    page.set_input_files(":focus", {"name": "k.jpg", "mimeType": "image/jpeg", "buffer": jpeg()})
    press_until(page, "Tab", 'value="okeefe"')
    page.keyboard.press("Space")
    press_until(page, "Tab", ">Critique<")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/jobs/"))
    expect(page.locator(".plate")).to_have_count(2, timeout=60_000)
    expect(page.locator("h2.result")).to_be_focused()
    press_until(page, "Tab", 'data-dimension="Color Harmony"')
    expect(page.locator("[data-overlay=palette]")).to_be_visible()
    press_until(page, "Tab", ">Delete<")
    page.keyboard.press("Enter")
    press_until(page, "Tab", "Delete for ever")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/jobs$"))


def test_a_job_is_stopped_and_found_again_by_keyboard(visit: Visiting, served: Served) -> None:
    job = served.send("stop me.jpg", advisor="gehry")
    page = visit().open(f"/jobs/{job}")
    press_until(page, "Tab", ">Stop<")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This critique was stopped")).to_be_visible()
    press_until(page, "Shift+Tab", ">History<")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/jobs$"))
    press_until(page, "Tab", 'name="search"')
    page.keyboard.type("stop me")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search="))
    expect(page.locator("#jobs [data-job]")).to_have_count(1)
    press_until(page, "Tab", 'name="job"')
    page.keyboard.press("Space")
    expect(page.locator("#count")).to_have_text("1 chosen")
    press_until(page, "Tab", 'class="row"')
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(job))


def test_nothing_moves_for_who_does_not_want_it(visit: Visiting, paths: dict[str, str]) -> None:
    page = visit(reduced_motion="reduce").open(paths["live"])
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0
