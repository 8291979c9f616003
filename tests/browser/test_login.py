"""Who may see what: the form for the key, the code for a phone, and browsers on an open server."""

import re

from playwright.sync_api import expect

from support.browser import Served, Visiting

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
