"""Advisors and the pictures that stand for them, over HTTP."""

import io

import pytest
from PIL import Image

from mondrian.api.drawings import make_initials
from support.service import Service
from support.uploads import assert_problem


def test_advisors_have_what_the_app_shows(service: Service) -> None:
    listed = service.client.get("/advisors").json()
    assert listed["count"] == len(listed["advisors"]) >= 9
    ansel = service.client.get("/advisors/ansel").json()
    assert ansel["advisor"] in listed["advisors"]
    assert set(ansel["focus_areas"][0]) == {"title", "description"}
    for url in (ansel["image_url"], *(work["url"] for work in ansel["artworks"])):
        assert url.startswith(service.url)
        assert service.client.get(url).headers["content-type"] == "image/jpeg"
    page = service.client.get("/advisor/okeefe").text
    assert "Georgia O&#39;Keeffe" in page
    assert '<img class="portrait"' in page


@pytest.mark.parametrize(
    "path",
    ["/advisors/nobody", "/advisor/nobody", "/advisor_image/nobody.jpg", "/advisor_artwork/x/1",
     "/advisor_artwork/ansel/0", "/advisor_artwork/ansel/99.jpg", "/advisor_image/%00"],
)  # fmt: skip
def test_an_advisor_that_is_not_there(service: Service, path: str) -> None:
    assert_problem(service.client.get(path), 404, "not_found")


def test_portraits_are_the_same_each_time(service: Service) -> None:
    first = service.client.get("/advisor_image/ansel")
    again = service.client.get("/advisor_image/ansel.jpeg")
    assert first.content == again.content
    assert first.content != service.client.get("/advisor_image/okeefe").content
    png = service.client.get("/advisor_image/ansel.png")
    assert png.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(png.content)) as image:
        assert image.size == (512, 512)
        assert {(212, 41, 31), (29, 79, 163), (242, 194, 27)} <= {
            colour for _, colour in image.getcolors(1 << 20) or []
        }


def test_a_card_is_found_by_number_and_by_title(service: Service) -> None:
    work = service.client.get("/advisors/ansel").json()["artworks"][1]
    by_title = service.client.get(f"/advisor_artwork/ansel/{work['title']}.jpg")
    assert by_title.content == service.client.get(work["url"]).content


def test_initials() -> None:
    assert [make_initials(name) for name in ("Ansel Adams", "Vincent van Gogh", "Nadar", " ")] == [
        "AA",
        "VG",
        "N",
        "?",
    ]
