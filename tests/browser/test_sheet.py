"""The contact sheet of a folder: filtered, drawn over, and growing while photos are judged."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from support.browser import Visiting
from support.service import Service
from support.working import jpeg


def hand_in(service: Service, seed: int, name: str) -> None:
    files = {"image": (name, jpeg(seed=seed))}
    fields = {"folder": "one evening", "advisor": "ansel"}
    service.client.post("/upload", files=files, data=fields).raise_for_status()


def test_a_sheet_grows_and_is_filtered(visit: Visiting, service: Service) -> None:
    for seed, name in enumerate(("boats.jpg", "hills.jpg", "late.jpg"), start=1):
        hand_in(service, seed, name)
    service.finish(service.claim())
    service.finish(service.claim())
    visited = visit(service.url)
    page = visited.open("/jobs")
    page.get_by_role("link", name="one evening").click()
    cards = page.locator("#cards > li")
    expect(cards).to_have_count(2)
    expect(page.locator("#progress")).to_contain_text("2 of 3")
    card = page.locator("#cards svg").first
    for label, part in {"what was measured": ".measured", "where it is sharp": ".softness"}.items():
        expect(card.locator(part)).to_be_hidden()
        page.get_by_label(label).check()
        expect(card.locator(part)).to_be_visible()
    page.get_by_label("Search").fill("hills")
    expect(page.locator("#cards > li:visible")).to_have_count(1)
    expect(page.locator("output")).to_have_text("1 photo")
    page.get_by_label("Search").fill("")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    service.finish(service.claim())
    expect(page.locator("#progress")).to_have_text("3 of 3", timeout=30_000)
    expect(cards).to_have_count(3)
    expect(page.get_by_label("what was measured")).to_be_checked()
    expect(page.locator("#cards .measured").last).to_be_visible()
    page.get_by_role("link", name="late.jpg").click()
    expect(page.locator("h1")).to_have_text("late.jpg")
