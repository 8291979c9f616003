"""Photos are chosen, dropped or pasted, and sent."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from support.browser import Served, Visiting
from support.uploads import jpeg

JOB = re.compile(r"/jobs/[0-9a-f-]{36}$")


def photo(name: str = "boats.jpg", content: bytes | None = None) -> Any:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content or jpeg()}


def critique(page: Page) -> None:
    page.get_by_role("button", name="Critique", exact=True).click()


def give(page: Page, event: str, name: str) -> None:
    """Drop or paste a photo, as the browser would tell the page."""
    page.evaluate(
        """([event, name, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
            const options = {bubbles: true, cancelable: true};
            document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent(event, {...options, clipboardData: data})
                : new DragEvent(event, {...options, dataTransfer: data}));
        }""",
        [event, name, list(jpeg())],
    )


def test_a_photo_is_chosen_and_its_critique_comes(visit: Visiting) -> None:
    page = visit().open()
    page.set_input_files("input[type=file]", photo())
    expect(page.locator("#files strong")).to_have_text("boats.jpg")
    critique(page)
    page.wait_for_url(JOB)
    expect(page.get_by_role("heading", level=1)).to_have_text("boats.jpg")
    expect(page.locator(".plate")).to_be_visible()
    expect(page.locator(".card .comment").first).to_have_text("Quick: Composition holds.")


def test_photos_are_dropped_and_pasted_several_at_once(visit: Visiting) -> None:
    page = visit().open()
    give(page, "drop", "dropped.jpg")
    give(page, "paste", "pasted.jpg")
    expect(page.locator("#files strong")).to_have_text(["dropped.jpg", "pasted.jpg"])
    critique(page)
    page.wait_for_url(re.compile("/jobs$"))
    names = page.locator("#jobs strong").all_text_contents()
    assert {"dropped.jpg", "pasted.jpg"} <= set(names)


def test_what_is_refused_says_so_beside_its_name(visit: Visiting) -> None:
    page = visit().open()
    page.set_input_files("input[type=file]", [
        photo("empty.jpg", b" ")| {"buffer": b""},
        {"name": "words.txt", "mimeType": "text/plain", "buffer": b"words"},
        photo("torn.jpg", jpeg()[:200]),
        photo("whole.jpg"),
    ])  # fmt: skip
    said = page.locator("#files li")
    expect(said.nth(0)).to_contain_text("The file is empty.")
    expect(said.nth(1)).to_contain_text("Not a photo that Mondrian reads.")
    critique(page)
    expect(said.nth(2)).to_contain_text("damaged")
    expect(said.nth(3).get_by_role("link")).to_have_attribute("href", JOB)
    assert page.url.endswith("/")


def test_an_upload_shows_its_percent_and_is_cancelled(visit: Visiting, served: Served) -> None:
    visiting = visit()
    page = visiting.open()
    slow = visiting.context.new_cdp_session(page)
    slow.send("Network.enable")
    slow.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000,
    })  # fmt: skip
    page.set_input_files("input[type=file]", photo(content=jpeg() + bytes(2_000_000)))
    critique(page)
    expect(page.locator("#files li")).to_contain_text(re.compile(r"\d+ % sent"))
    page.get_by_role("button", name="Cancel boats.jpg").click()
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.get_by_role("button", name="Critique", exact=True)).to_be_enabled()


def test_advisors_are_remembered(visit: Visiting) -> None:
    visiting = visit()
    page = visiting.open()
    page.get_by_label("Ansel Adams").uncheck()
    page.get_by_label("Georgia O'Keeffe").check()
    page.get_by_label("Edward Weston").check()
    again = visiting.open()
    checked = again.locator("[name=advisor]:checked")
    assert [box.get_attribute("value") for box in checked.all()] == ["okeefe", "weston"]


def test_nothing_is_sent_without_a_photo_or_an_advisor(visit: Visiting) -> None:
    page = visit().open()
    critique(page)
    expect(page.locator("#said")).to_have_text("Choose a photo first.")
    page.set_input_files("input[type=file]", photo())
    page.get_by_label("Ansel Adams").uncheck()
    critique(page)
    expect(page.locator("#said")).to_have_text("Choose an advisor, too.")


def test_all_is_forms_without_javascript(visit: Visiting) -> None:
    page = visit(java_script_enabled=False).open()
    page.set_input_files("input[type=file]", photo("plain.jpg"))
    page.get_by_label("Edward Weston").check()  # beside the one that is ticked
    critique(page)
    page.wait_for_url(JOB)
    for _ in range(60):  # the page refreshes itself
        if page.locator(".plate").count() == 2:
            break
        page.wait_for_timeout(500)
    expect(page.locator(".plate")).to_have_count(2)
    page.get_by_text("Ask another advisor").click()
    page.get_by_label("Georgia O'Keeffe").check()
    page.get_by_role("button", name="Ask about this photo").click()
    page.wait_for_url(JOB)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", name="This critique was stopped")).to_be_visible()
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="Delete for ever").click()
    page.wait_for_url(re.compile("/jobs$"))
