"""A critique is read, looked at on the photo, exported, compared and deleted."""

import io
import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from support.browser import Served, Visiting
from support.uploads import jpeg

OVERLAYS = ("subject", "level", "highlights", "shadows", "sharpness", "palette")


@pytest.fixture(scope="module")
def job(server: Served) -> str:
    """A job that is done."""
    job = server.send("boats.jpg", photo=jpeg(300, 200), advisor="ansel")
    assert server.await_end(job)["status"] == "done"
    return job


def test_a_finished_job_draws_without_a_stream(visit: Visiting, job: str) -> None:
    visiting = visit()
    asked: list[str] = []
    visiting.context.on("request", lambda request: asked.append(request.url))
    page = visiting.open(f"/jobs/{job}")
    expect(page.locator(".plate")).to_be_visible()
    page.wait_for_timeout(300)
    assert not [url for url in asked if "/stream/" in url]


def test_a_card_shows_on_the_photo_what_it_speaks_of(visit: Visiting, job: str) -> None:
    page = visit(viewport={"width": 1280, "height": 800}).open(f"/jobs/{job}")
    for name in OVERLAYS:
        expect(page.locator(f"[data-overlay={name}]")).to_be_hidden()
    page.locator("[data-dimension='Composition']").hover()
    expect(page.locator("svg [data-overlay=level]")).to_be_visible()
    page.locator("[data-dimension='Color Harmony']").focus()
    expect(page.locator("[data-overlay=palette]")).to_be_visible()
    for name in OVERLAYS:
        page.locator(f"[name=show][value={name}]").check()
        expect(page.locator(f"[data-overlay={name}]")).to_be_visible()


def test_a_card_in_the_middle_of_a_phone_shows_its_own(visit: Visiting, job: str) -> None:
    phone = {"width": 390, "height": 844}
    page = visit(viewport=phone, has_touch=True, is_mobile=True).open(f"/jobs/{job}")
    page.locator("[data-dimension='Color Harmony']").evaluate(
        "card => scrollTo(0, card.getBoundingClientRect().top + scrollY - innerHeight * 0.65)"
    )
    expect(page.locator(".viewer")).to_have_attribute("data-show", "palette")


def test_without_javascript_the_switches_work(visit: Visiting, job: str) -> None:
    page = visit(java_script_enabled=False).open(f"/jobs/{job}")
    page.locator("[name=show][value=subject]").check()
    expect(page.locator("[data-overlay=subject]")).to_be_visible()


@pytest.mark.parametrize("form", ["PDF", "Markdown", "HTML", "JSON"])
def test_a_report_is_exported(visit: Visiting, job: str, form: str) -> None:
    visiting = visit()
    page = visiting.open(f"/jobs/{job}")
    path = page.get_by_role("link", name=form, exact=True).get_attribute("href")
    answer = visiting.context.request.get(str(path))
    assert answer.ok
    assert answer.body()


def test_a_report_is_copied(visit: Visiting, job: str) -> None:
    visiting = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visiting.open(f"/jobs/{job}")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "Composition" in page.evaluate("navigator.clipboard.readText()")


def test_another_advisor_is_asked_and_both_are_compared(visit: Visiting, served: Served) -> None:
    job = served.send("two.jpg", photo=jpeg(colour="#aa3311"), advisor="ansel")
    served.await_end(job)
    page = visit().open(f"/jobs/{job}")
    page.get_by_text("Ask another advisor").click()
    page.get_by_label("Edward Weston").check()
    page.get_by_role("button", name="Ask about this photo").click()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)
    expect(page.locator(".plate")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("columnheader")).to_contain_text(["Dimension", "Ansel", "Edward"])
    assert page.get_by_role("row").count() == 9
    expect(page.locator(".lead")).to_contain_text("They differ most on")


def test_a_critique_is_deleted(visit: Visiting, served: Served) -> None:
    job = served.send("gone.jpg", advisor="ansel")
    served.await_end(job)
    page = visit().open(f"/jobs/{job}")
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete for ever").click()
    page.wait_for_url(re.compile("/jobs$"))
    page.goto(f"/jobs/{job}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not Found")
    expect(page.get_by_text("There is no such job.")).to_be_visible()


def test_chosen_critiques_are_exported_as_one_zip(
    visit: Visiting, served: Served, job: str
) -> None:
    page = visit().open("/jobs?search=boats")
    page.locator(f"[data-job='{job}'] [name=job]").check()
    expect(page.locator("#count")).to_have_text("1 chosen")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as ZIP").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    names = {name.rpartition("/")[2] for name in archive.namelist()}
    assert names == {"photo.jpg", "critique.html", "critique.md", "critique.json"}
    [report] = json.loads(archive.read(next(n for n in archive.namelist() if "json" in n)))
    assert report["advisor"] == "ansel"
