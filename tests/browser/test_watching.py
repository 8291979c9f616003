"""A critique is watched through all that may happen to the line, the server and the page."""

import re
from itertools import pairwise

from playwright.sync_api import Page, expect

from mondrian.answers import DIMENSIONS
from support.browser import Served, Visiting, cutting_proxy

COMMENT = ".card .comment"


def begun(page: Page, at_least: int = 1) -> None:
    """Wait until so many cards are written upon."""
    page.wait_for_function(
        """([cards, many]) => [...document.querySelectorAll(cards)]
            .filter((card) => card.textContent).length >= many""",
        arg=[COMMENT, at_least],
    )


def done(page: Page, words: str = "Slow") -> None:
    """Wait until the report is there, and see that it is all of it."""
    expect(page.locator(".plate").first).to_be_visible(timeout=60_000)
    comments = page.locator(COMMENT).all_text_contents()
    assert comments == [f"{words}: {name} holds." for name in DIMENSIONS]


def test_cards_fill_in_their_order_with_the_score_last(visit: Visiting, served: Served) -> None:
    page = visit().open(f"/jobs/{served.send(advisor='okeefe')}")
    names = page.locator("article[data-dimension]")
    before = [each.get_attribute("data-dimension") for each in names.all()]
    assert len(before) == 8
    first = page.locator("article[data-dimension='Composition']")
    expect(first.locator(".comment")).to_contain_text("Slow: Composition")
    begun(page, 3)
    expect(first.locator(".score")).to_have_text("6.5 / 10, fair")
    assert [each.get_attribute("data-dimension") for each in names.all()] == before
    expect(page.locator("#thinking")).to_have_text(re.compile(r"\(\d+ tokens, [\d.]+ tps\)"))
    expect(page.get_by_role("status")).to_contain_text("...")
    expect(page.locator("#left")).to_have_text(re.compile(r"about \d+ s left"))
    assert page.locator("[role=progressbar]").get_attribute("aria-valuenow")
    assert re.match(r"\d+ % · boats.jpg", page.title())
    done(page)
    assert [each.get_attribute("data-dimension") for each in names.all()] == before


def test_a_reload_and_a_second_tab_show_the_same(visit: Visiting, served: Served) -> None:
    visiting = visit()
    page = visiting.open(f"/jobs/{served.send(advisor='okeefe')}")
    begun(page, 2)
    known = page.locator(COMMENT).first.text_content()
    page.reload()
    assert page.locator(COMMENT).first.text_content() == known
    other = visiting.open(page.url)
    assert other.locator(COMMENT).first.text_content() == known
    done(page)
    done(other)


def test_a_line_that_is_cut_every_two_seconds_loses_nothing(
    visit: Visiting, served: Served
) -> None:
    job = served.send(advisor="okeefe")
    with cutting_proxy(served.port, 2.0) as port:
        page = visit(f"http://127.0.0.1:{port}").open(f"/jobs/{job}")
        expect(page.locator("#lost")).to_have_text("Reconnecting; the critique goes on.")
        page.evaluate(
            """() => { window.losses = 0; new MutationObserver(([{target}]) => {
                window.losses += !target.hidden;
            }).observe(document.querySelector("#lost"), {attributeFilter: ["hidden"]}); }"""
        )
        done(page)
        assert page.evaluate("losses") >= 1  # at least one more


def test_the_server_is_killed_and_the_page_goes_on_by_itself(
    visit: Visiting, mortal: Served
) -> None:
    page = visit(mortal.url).open(f"/jobs/{mortal.send(advisor='okeefe')}")
    begun(page, 2)
    mortal.kill()
    expect(page.locator("#lost")).to_be_visible(timeout=20_000)
    mortal.start()
    done(page)


TELL = """(target, name) => {
    const before = opened;
    target.dispatchEvent(new Event(name));
    return opened - before;
}"""


def test_a_page_that_is_seen_or_online_again_looks_at_once(visit: Visiting, served: Served) -> None:
    visiting = visit()
    visiting.context.add_init_script(
        """window.opened = 0; window.EventSource = class extends EventSource {
            constructor(url) { super(url); window.opened++; }
        };"""
    )
    visiting.context.route("**/stream/**", lambda route: route.abort())
    page = visiting.open(f"/jobs/{served.send(advisor='gehry')}")
    expect(page.locator("#lost")).to_be_visible()
    page.wait_for_function("() => opened > 2")  # it waits longer each time
    for told in ("document, 'visibilitychange'", "window, 'pageshow'", "window, 'online'"):
        assert page.evaluate(f"({TELL})({told})") == 1
    visiting.context.unroute("**/stream/**")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#lost")).to_be_hidden()
    page.get_by_role("button", name="Stop").click()


def test_a_critique_is_stopped(visit: Visiting, served: Served) -> None:
    job = served.send(advisor="gehry")
    page = visit().open(f"/jobs/{job}")
    begun(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", name="This critique was stopped")).to_be_visible()
    expect(page.locator(COMMENT).first).to_contain_text("Endless")
    assert served.state(job)["status"] == "cancelled"


def test_a_stop_elsewhere_is_seen(visit: Visiting, served: Served) -> None:
    visiting = visit()
    page = visiting.open(f"/jobs/{served.send(advisor='gehry')}")
    other = visiting.open(page.url)
    begun(other)
    page.get_by_role("button", name="Stop").click()
    expect(other.get_by_role("heading", name="This critique was stopped")).to_be_visible()


def test_a_failure_says_why_and_is_tried_again(visit: Visiting, served: Served) -> None:
    job = served.send(advisor="gogh")
    page = visit().open(f"/jobs/{job}")
    expect(page.get_by_role("heading", name="This critique failed")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("alert")).to_contain_text("ran out of paint")
    expect(page.locator(COMMENT).first).to_contain_text("Broken: Composition")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)
    new = page.url.rpartition("/")[2]
    assert served.state(new)["retry_of"] == job
    assert served.state(job)["status"] == "error"


def test_several_advisors_are_steps(visit: Visiting, served: Served) -> None:
    page = visit().open(f"/jobs/{served.send(advisor='ansel,okeefe')}")
    steps = page.locator("#steps li")
    expect(steps).to_have_text(["Ansel Adams", "Georgia O'Keeffe"])
    expect(steps.nth(1)).to_have_attribute("aria-current", "step", timeout=30_000)
    expect(page.locator(".part").nth(1).locator(".comment").first).to_contain_text("Slow")
    expect(page.locator(".plate")).to_have_count(2, timeout=60_000)


def test_a_screen_reader_hears_at_most_a_sentence_in_15_seconds(
    visit: Visiting, served: Served
) -> None:
    page = visit().open(f"/jobs/{served.send(advisor='okeefe')}")
    page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => heard.push(performance.now()))
            .observe(document.querySelector("[role=status]"), {childList: true,
            characterData: true, subtree: true}); }"""
    )
    begun(page, 5)
    times = page.evaluate("heard")
    assert all(later - earlier > 14_900 for earlier, later in pairwise(times))
