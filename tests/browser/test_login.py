"""Access in the browser: the login form, the code for a phone, and browsers on an open server."""

import re

from playwright.sync_api import expect

from support.browser import Served, Visiting
from support.service import Service
from support.uploads import jpeg

KEY = "a-long-and-secret-key-of-mine"


def test_a_key_is_asked_for_and_kept(visit: Visiting, keyed: Served) -> None:
    visiting = visit(keyed.url)
    page = visiting.open("/jobs?sort=score")
    page.get_by_label("Key").fill("a wrong one")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="What would they say")).to_be_visible()
    again = visiting.open("/jobs")
    expect(again.get_by_role("heading", level=1)).to_have_text("History")


def test_a_login_leads_on_to_where_one_wanted(visit: Visiting, keyed: Served) -> None:
    page = visit(keyed.url).open("/jobs")
    page.get_by_label("Key").fill(KEY)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile("/jobs$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("History")


def test_a_code_logs_a_phone_in_once(visit: Visiting, locked: Service) -> None:
    code = locked.app.state.services.access.make_login_code()
    page = visit(locked.url).open(f"/login?code={code}")
    expect(page.get_by_role("heading", name="What would they say")).to_be_visible()
    other = visit(locked.url).open(f"/login?code={code}")
    expect(other.get_by_role("alert")).to_contain_text("used before")
    assert "code=" not in page.url


def test_a_browser_on_an_open_server_sees_its_own_jobs(visit: Visiting, opened: Served) -> None:
    one, other = visit(opened.url), visit(opened.url)
    page = one.open()
    page.set_input_files(
        "input[type=file]", {"name": "own.jpg", "mimeType": "image/jpeg", "buffer": jpeg()}
    )
    page.get_by_role("button", name="Critique", exact=True).click()
    page.wait_for_url(re.compile("/jobs/"))
    address = page.url
    page.goto("/jobs")
    expect(page.locator("#jobs strong")).to_have_text(["own.jpg"])
    stranger = other.open("/jobs")
    expect(stranger.locator("#jobs strong")).to_have_count(0)
    stranger.goto(address)  # whoever knows the address may watch
    expect(stranger.get_by_role("heading", level=1)).to_have_text("own.jpg")
