import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

import mondrian.reports
from mondrian.reports import (
    Report,
    describe_provenance,
    encode_data_url,
    make_summary,
    render_document,
    render_fragment,
    render_markdown,
    render_pdf,
    render_summary,
)
from support.demo_reports import DEMO, demo_report

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }} {% include 'style.css' %} {# x #}",
    '#panic("x") #eval("1") #import "@preview/x:1.0.0" #read("/etc/hostname")',
    "*a* $x^2$ @ref <label> `raw` ] [ \\ // /* */ ~",
    "| a | b |\n|---|---|\n| c | d |",
    "# title\n\n- item\n\n1. item\n\n> quote\n\n```\ncode\n```\n---\n===",
    "[link](javascript:alert(1)) ![x](y) <https://evil.example> https://evil.example **b** ~~c~~",
    "&amp; &lt;b&gt; &#x3c; </style></div></body> <!-- -->",
    "1) one",
    "+ plus",
    "2. two",
)


class Page(HTMLParser):
    """The tags of a page with the names of their attributes, and its text without spaces."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.values: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.values += attrs

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.text += squeeze(data)

    def with_class(self, name: str) -> int:
        return sum(key == "class" and name in str(value).split() for key, value in self.values)


def squeeze(text: str) -> str:
    return "".join(text.split())


def rendered_markdown(report: Report) -> str:
    return str(
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(render_markdown(report))
    )


@pytest.mark.parametrize(
    "render",
    [
        render_fragment,
        lambda report: render_document([report], title=report.image_description),
        render_summary,
        rendered_markdown,
    ],
    ids=["fragment", "document", "summary", "markdown"],
)
@pytest.mark.parametrize("word", [*HOSTILE, " ".join(HOSTILE)])
def test_no_word_of_a_model_becomes_markup(render: Callable[[Report], str], word: str) -> None:
    page, harmless = Page(render(demo_report(word))), Page(render(demo_report("word")))
    assert page.tags == harmless.tags
    assert page.text.count(squeeze(word)) == harmless.text.count("word") > 0


def test_a_pipe_stays_in_its_cell() -> None:
    piped = DEMO[0].model_copy(update={"name": "a | b"})
    page = Page(rendered_markdown(demo_report().model_copy(update={"dimensions": (piped,)})))
    assert page.tags.count(("/td",)) == 2
    assert page.text.count("a|b") == 3  # where to begin, the table, its heading


def test_an_advisor_id_cannot_leave_its_attribute() -> None:
    report = demo_report(advisor='"><script>')
    assert ("data-advisor", '"><script>') in Page(render_fragment(report)).values
    assert "<script>" not in render_document([report], title="x")


def test_the_fragment_keeps_its_contract() -> None:
    html = render_fragment(demo_report())
    assert re.match(
        r'<div class="advisor-section" data-advisor="ansel">\s*<div class="analysis">', html
    )
    page = Page(html)
    assert page.with_class("feedback-card") == 8
    assert page.with_class("score-bar") == 8
    for dimension in DEMO:
        assert squeeze(dimension.comment) in page.text
        assert squeeze(dimension.recommendation) in page.text
    assert "AnselAdams" in page.text
    assert "10.4%oftheframeispurewhite" in page.text
    assert "<style" not in html


def test_the_document_needs_nothing_from_outside() -> None:
    named = demo_report().model_copy(update={"advisor_name": "A. A."})
    html = render_document([named, named], title="Boats")
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert html.count("<h2>A. A.</h2>") == page.with_class("advisor-section") == 2
    assert ("meta", "name", "content") in page.tags
    assert 'content="width=device-width' in html
    assert not {"script", "link", "img", "a", "iframe"} & {tag for tag, *_ in page.tags}
    assert not re.search(r"url\(|@import|https?://", html)


def test_only_a_photo_comes_by_url() -> None:
    for url in ("https://host/a.jpg?token=1&x=2", "data:image/jpeg;base64,AAAA"):
        html = render_document([demo_report()], title="x", photo_url=url)
        assert ("src", url) in Page(html).values
    for url in ("/photo.jpg", "javascript:alert(1)", "data:text/html,x", "file:///x"):
        with pytest.raises(ValueError, match="absolute"):
            render_document([demo_report()], title="x", photo_url=url)


def test_the_summary_holds_the_three_lowest() -> None:
    page = Page(render_summary(demo_report()))
    assert page.with_class("recommendation-item") == 3
    assert "Top3Recommendations" in page.text
    summary = json.loads(json.dumps(make_summary(demo_report())))
    assert [(r["rank"], r["name"]) for r in summary["recommendations"]] == [
        (1, "Lighting"),
        (2, "Visual Balance"),
        (3, "Depth & Perspective"),
    ]


def test_own_improvements_are_shown_and_derived_ones_not_twice() -> None:
    report = demo_report()
    assert "improve first" not in render_fragment(report)
    own = report.model_copy(update={"priority_improvements": ("Wait for the tide.",)})
    assert "Wait for the tide." in render_fragment(own)
    assert "Wait for the tide." in render_markdown(own)


def test_provenance_is_honest() -> None:
    blind, seeing = demo_report(), demo_report(sees=True)
    assert "did not see the photo" in describe_provenance(blind)[0]
    assert "looked at the photo" in describe_provenance(seeing)[0]
    assert describe_provenance(blind)[1] == "1,304 tokens at 80.2 tokens/s in 17.3 s."
    cut = blind.model_copy(update={"dimensions": DEMO[:7], "salvaged": True})
    assert "Not judged: Emotional Impact." in describe_provenance(cut)
    for render in (render_markdown(cut), render_fragment(cut), render_summary(cut)):
        assert "Not judged: Emotional Impact." in render


def test_no_empty_parts_where_a_model_said_less() -> None:
    bare = DEMO[1].model_copy(update={"recommendation": ""})
    report = demo_report().model_copy(
        update={"dimensions": (bare,), "key_strengths": (), "image_description": ""}
    )
    html = render_fragment(report)
    assert html.count(bare.comment) == 2  # its card, and where to begin
    assert "What works" not in html
    assert render_pdf([report]).startswith(b"%PDF")


def photo() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), "#1f4fa8").save(stream, "JPEG")
    return stream.getvalue()


def test_a_pdf_holds_the_photo_and_is_the_same_each_time() -> None:
    made = render_pdf([demo_report()], photo(), title="Boats")
    assert made.startswith(b"%PDF")
    assert photo() in made
    assert made == render_pdf([demo_report()], photo(), title="Boats")
    renamed = demo_report().model_copy(update={"advisor_name": "A. A."})
    assert made != render_pdf([renamed], photo(), title="Boats")


@pytest.mark.parametrize("word", [*HOSTILE, "\u4e2d\u6587 \U0001f600", "x" * 5000])
def test_no_word_of_a_model_is_typst(word: str) -> None:
    """If it were, ``#panic`` and a foreign ``#import`` would not compile."""
    assert render_pdf([demo_report(word, advisor=word)], title=word).startswith(b"%PDF")


def test_a_photo_can_be_embedded() -> None:
    assert encode_data_url(b"\xff\xd8").startswith("data:image/jpeg;base64,/9g")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2 (1 to 21)."""

    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_apart() -> None:
    css = (Path(mondrian.reports.__file__).parent / "templates/style.css").read_text()
    colour = dict(re.findall(r"--(\w+): (#\w{6})", css))
    for ground in (colour["ground"], colour["card"]):
        assert contrast(colour["text"], ground) > 12
        assert contrast(colour["quiet"], ground) > 4.5
    for level in ("red", "yellow", "blue"):
        assert contrast(colour[level], colour["card"]) > 3
        assert contrast(colour[level], colour["ink"]) > 4.5


def test_a_printed_report_has_its_scores_and_comments() -> None:
    report = demo_report()
    first, *rest = str(report).splitlines()
    assert first == f"{report.advisor_name}: {report.overall_score:.1f} ({report.grade})"
    for dimension in report.dimensions:
        assert f"{dimension.name} {dimension.score:.1f}: {dimension.comment}" in rest
