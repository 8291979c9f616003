"""The history: many jobs, found, sorted, chosen; those that run move."""

import pytest
from playwright.sync_api import expect

from support.browser import Served, Visiting
from support.service import Service

MANY = 500


@pytest.fixture
def many(service: Service) -> Service:
    """A server with 500 jobs that are done, of scores from 1 to 10."""
    first = service.done(advisor="ansel")
    service.pool.wait()
    with service.pool.connection() as connection:
        columns = [
            row["column_name"]
            for row in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs'"
            ).fetchall()
        ]
        own = {
            "id": "gen_random_uuid()",
            "filename": "'00000000-photo-' || n || '.jpg'",
            "score": "(10 + n %% 91) / 10.0",
            "created_at": "created_at - n * interval '1 minute'",
        }
        values = ", ".join(own.get(name, name) for name in columns)
        connection.execute(
            f"INSERT INTO jobs ({', '.join(columns)}) SELECT {values} "
            f"FROM jobs, generate_series(1, {MANY - 1}) n WHERE id = %s",
            [first],
        )
    return service


def test_five_hundred_jobs_are_paged_searched_and_sorted(visit: Visiting, many: Service) -> None:
    page = visit(many.url).open("/jobs")
    rows = page.locator("#jobs > li")
    assert rows.count() == 50
    for _ in range(40):
        if rows.count() == MANY:
            break
        page.keyboard.press("End")
        page.wait_for_timeout(150)
    expect(rows).to_have_count(MANY)
    assert page.locator("#more").count() == 0
    ids = page.locator("#jobs [name=job]").evaluate_all("all => all.map((each) => each.value)")
    assert len(set(ids)) == MANY
    page.get_by_label("Name").fill("photo-49")
    page.get_by_label("Order").select_option("score")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows).to_have_count(11)  # photo-49 and photo-490 to photo-499
    scores = [float(text) for text in page.locator(".mini").all_text_contents()]
    assert scores == sorted(scores, reverse=True)


def test_many_are_deleted_at_once(visit: Visiting, service: Service) -> None:
    kept, *gone = [service.done(advisor="ansel") for _ in range(3)]
    page = visit(service.url).open("/jobs")
    page.get_by_role("button", name="Export as ZIP").click()
    expect(page.locator("#count")).to_have_text("Tick the critiques that you mean.")
    for job in gone:
        page.locator(f"[data-job='{job}'] [name=job]").check()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete the chosen for ever").click()
    expect(page.locator("#jobs > li")).to_have_count(1)
    assert [str(job.id) for job in service.store.list_jobs()] == [kept]


def test_running_ones_move_over_one_connection(visit: Visiting, served: Served) -> None:
    for n in range(7):
        served.send(f"race-{n}.jpg", advisor="okeefe")
    visiting = visit()
    asked: list[str] = []
    visiting.context.on("request", lambda request: asked.append(request.url))
    page = visiting.open("/jobs?search=race-")
    assert page.locator("#jobs [data-live]").count() > 0
    expect(page.locator("#jobs .mini")).to_have_count(7, timeout=60_000)
    assert page.locator("#jobs [data-live]").count() == 0
    assert not [url for url in asked if "/stream/" in url]
    assert [url for url in asked if "ids=" in url]
