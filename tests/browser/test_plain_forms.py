"""Everything is done by forms where there is no JavaScript."""

import re

from playwright.sync_api import expect

from support.browser import Visiting
from support.service import Service, bearer
from support.uploads import jpeg

KEY = "a-secret-of-these-tests"
PHOTO = {"name": "plain.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}
JOB = re.compile(r"/jobs/[0-9a-f-]{36}$")


def test_a_phone_logs_in_sends_and_asks_another_advisor(visit: Visiting, locked: Service) -> None:
    code = locked.app.state.services.access.make_login_code()
    page = visit(locked.url, java_script_enabled=False).open(f"/login?code={code}")
    page.set_input_files("input[type=file]", PHOTO)  # type: ignore[arg-type]
    page.get_by_role("button", name="Critique", exact=True).click()
    page.wait_for_url(JOB)
    first = page.url
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
    locked.finish(locked.claim())
    expect(page.locator(".plate")).to_be_visible()  # the page refreshes itself
    page.get_by_text("Ask another advisor").click()
    page.get_by_label("Edward Weston").check()
    page.get_by_role("button", name="Ask about this photo").click()
    page.wait_for_url(lambda url: url != first and bool(JOB.search(url)))
    locked.finish(locked.claim())
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("columnheader")).to_contain_text(["Dimension", "Ansel", "weston"])


def test_a_key_is_typed_and_a_failure_tried_again(visit: Visiting, locked: Service) -> None:
    job = locked.send(KEY)
    error = {"code": "engine_failed", "message": "It is out of paint.", "retryable": True}
    locked.store.finish(locked.claim(), error=error)
    page = visit(locked.url, java_script_enabled=False).open(f"/jobs/{job}")
    page.get_by_label("Key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("out of paint")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda url: job not in url)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", name="This critique was stopped")).to_be_visible()


def test_the_history_is_searched_exported_and_emptied(visit: Visiting, service: Service) -> None:
    kept, gone = service.done(advisor="ansel"), service.done(advisor="weston")
    page = visit(service.url, java_script_enabled=False, accept_downloads=True).open("/jobs")
    page.get_by_label("Advisor").select_option("weston")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#jobs [data-job]")).to_have_count(1)
    page.locator(f"[data-job='{gone}'] [name=job]").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as ZIP").click()
    assert download.value.suggested_filename == "critiques.zip"
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete the chosen for ever").click()
    page.wait_for_url(re.compile("/jobs$"))
    expect(page.locator("#jobs [data-job]")).to_have_count(1)
    assert service.client.get(f"/jobs/{kept}").status_code == 200
    assert service.client.get(f"/jobs/{gone}", headers=bearer()).status_code == 404
