import json

import pytest

from mondrian.answers import Answer, PartialAnswer, read_answer, read_partial
from mondrian.errors import AnswerError
from support.answers import PLAIN, as_headings, one, plain
from support.demo_reports import DEMO


def test_plain_json_is_read_as_it_is() -> None:
    answer = read_answer(PLAIN)
    assert answer.dimensions == DEMO
    assert answer.image_description == "Four boats."
    assert (answer.key_strengths, answer.technical_notes) == (("calm",), ("f/5.6",))
    assert not answer.salvaged


def test_dimensions_come_in_their_order() -> None:
    answer = read_answer(json.dumps(plain(DEMO[::-1])))
    assert answer.dimensions == DEMO
    assert not answer.salvaged


def test_a_missing_dimension_is_missing_and_said_so() -> None:
    answer = read_answer(json.dumps(plain(DEMO[1:])))
    assert answer.dimensions == DEMO[1:]
    assert answer.salvaged


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot judge this photograph.",
        "{}",
        "[]",
        "null",
        '{"dimensions": []}',
        '{"dimensions": [{"name": "Lighting", "score": 7}]}',
        '{"dimensions": [{"name": "Lighting", "comment": "Soft."}]}',
        '{"dimensions": [{"name": "Lighting", "score": 7, "comment": "..."}]}',
        '{"dimensions": [{"name": "Lighting", "score": 7, "comment": null}]}',
        '{"dimensions": [{"name": "Valaistus", "score": 7, "comment": "Pehmeä."}]}',
        '{"Lighting": {"score": true, "comment": "Soft."}}',
        f"<think>{PLAIN}",
        "<think>Hm.</think> ",
        "Lighting: 3 lamps stand in the room.",
        "Lighting: 10.4%, clipped in the sky. The rest is fine.",
        "**Measured facts**\n- Lighting: 3, 4 and 5 stops.",
        "Lighting: -3/10. Dark.",
        "Lighting: 5/10 before, 8/10 now. Soft.",
        "Lighting: 7/10-8/10. Soft.",
        "Depth: 2. The planes recede.",
        "Perspective: 1) low angle, 2) wide lens.",
        "Color: 3: red, blue, ochre.",
        '### Lighting\n```json\n{"score":8.',
        '### Lighting (8/10)\n```json\n{"weight": 2}\n```',
        "### Lighting\n- Note 3: the sky is white.",
        "### Lighting\nSoft.\nValue: 8 – bright.",
        "### Lighting\nSoft.\nPoints:\n1. Warm.\n2. Even.",
        "Lighting (3/10 of the time)\nSoft.",
        "**Lighting** 8/10, **Color** 7/10, **Depth** 6/10. Fine.",
        "Focus: 8 - eyes are sharp, the rest is not.",
        "Composition [1]: The jetty leads in.",
        "Composition (2/8)\nThe jetty leads in.",
        "### Composition\n1. The jetty leads in.\n2. The boats rest.",
        "### Composition\n4/5 of the frame is dark.",
        "### Composition\nThe jetty.\nScore: 8",
        "### Composition\nThe jetty.\nScore: 8.",
        "| Dimension | Score |\n|---|---|\n| Lighting | 8 |\n\nThanks!",
        "- Lighting: 8/10\n- Color: 7/10\n- Depth: 6/10\n\nI hope this helps!",
        "| Dimension | Score | Comment |\n|---|---|---|\n| Storytelling | 3 | Lighting & mood |",
        "| Composition | Lighting |\n|---|---|\n| 8 | 7 |",
        "| Dimension | Score | Comment |\n|---|---|---|\n| Lighting | | Soft. |",
        "{{{{}}}}[[[[",
        "\x00\ud800",
    ],
)
def test_what_says_nothing_is_an_error(text: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(text)


@pytest.mark.parametrize("text", [f"{PLAIN}</think>", f"```json\n{PLAIN}\n```</thinking>\n"])
def test_a_stray_end_of_thinking_takes_no_answer_away(text: str) -> None:
    assert read_answer(text).dimensions == DEMO


def test_what_stands_inside_of_a_dimension_is_part_of_it() -> None:
    said = {
        "name": "Lighting",
        "score": 8,
        "comment": {"text": "Soft.", "score": 3},
        "recommendation": {"text": "Wait.", "expected_score": 9},
        "sub_scores": {"focus": 3, "color": {"score": 2, "comment": "Bad."}},
        "ratings": {"depth": 2},
    }
    text = json.dumps([said, {"name": "Depth", "comment": "Deep."}])
    (lighting,) = read_answer(text).dimensions
    assert (lighting.score, lighting.comment, lighting.recommendation) == (8, "Soft.", "Wait.")


def test_a_column_of_other_scores_is_not_the_score() -> None:
    table = "| Name | Weighted score | Score | Comment |\n|---|---|---|---|\n"
    assert read_answer(f"{table}| Lighting | 1.6 | 8 | Soft. |\n").dimensions[0].score == 8


def test_the_score_of_the_whole_photo_is_not_the_last_dimensions() -> None:
    text = "### Lighting (9/10)\nSoft.\n\nScore: 7/10 for all of it."
    (lighting,) = read_answer(text).dimensions
    assert (lighting.score, lighting.comment) == (9, "Soft.")


def test_the_plainest_key_goes_before_others() -> None:
    said = {
        "title": "A calm frame",
        "points": 4,
        "value": "high",
        "description": "What it is.",
        "name": "Lighting",
        "score": 8,
        "comment": "Soft.",
    }
    (lighting,) = read_answer(json.dumps([said])).dimensions
    assert (lighting.score, lighting.comment) == (8, "Soft.")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ColorHarmony", "Color Harmony"),
        ("colour harmony", "Color Harmony"),
        ("COLOUR_HARMONY", "Color Harmony"),
        ("focus_and_sharpness", "Focus & Sharpness"),
        ("focus_&_sharpness", "Focus & Sharpness"),
        ("Focus and Sharpness", "Focus & Sharpness"),
        ("focusAndSharpness", "Focus & Sharpness"),
        ("Focus/Sharpness", "Focus & Sharpness"),
        ("Sharpness", "Focus & Sharpness"),
        ("1. Composition", "Composition"),
        ("Dimension 6: Depth and Perspective", "Depth & Perspective"),
        ("**Visual Balance**", "Visual Balance"),
        ("Emotional Impact (8/10)", "Emotional Impact"),
        ("Lighting & Exposure", "Lighting"),
        ("Depth and Perspective (3D)", "Depth & Perspective"),
        ("Compositon", "Composition"),
        ("Lightning", "Lighting"),
        ("Focus & Sharpnes", "Focus & Sharpness"),
        ("Visual Ballance", "Visual Balance"),
        ("Emotional Imapct", "Emotional Impact"),
    ],
)
def test_names_in_their_spellings(written: str, name: str) -> None:
    assert read_answer(one(name=written)).dimensions[0].name == name


@pytest.mark.parametrize(
    "written",
    [
        *("Storytelling", "Lighting Technique", "Balance of Power", "L", "White Balance"),
        *("Fighting", "Decomposition", "Position", "Visual Impact", "Tonal Harmony"),
    ],
)
def test_other_names_are_no_dimension(written: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(one(name=written))


def test_a_full_name_goes_before_a_short_one_and_the_first_before_its_repetition() -> None:
    said = [
        {"name": "Color", "score": 3, "comment": "Short."},
        {"name": "Color Harmony", "score": 7, "comment": "Full."},
        {"name": "Color Harmony", "score": 9, "comment": "Again."},
    ]
    (color,) = read_answer(json.dumps({"dimensions": said})).dimensions
    assert (color.score, color.comment) == (7, "Full.")


def test_text_is_kept_to_one_line_without_control_characters() -> None:
    text = json.dumps(plain()).replace("Four boats.", "Four\\n\\u0000 \\u202eboats.")
    assert read_answer(text).image_description == "Four boats."


def test_quotes_inside_a_text_that_nobody_escaped() -> None:
    text = json.dumps(plain()).replace("It is a quiet morning", 'A "quiet", "slow" morning: ')
    answer = read_answer(text)
    assert answer.dimensions[-1].comment == 'A "quiet", "slow" morning: and one believes it.'
    assert answer.dimensions[:-1] == DEMO[:-1]


@pytest.mark.parametrize(
    "comment",
    [
        'the "old", foreground: boat',
        'The "hero", "boat": stands.',
        '"Calm", comment: fine',
        'A "golden", score: high feel.',
        'It is "nice", {yes} and [no].',
        'The ratio "3:2", "4:3" or "1:1", it is.',
        'x", "y": z',
    ],
)
def test_a_quote_inside_a_text_does_not_end_it(comment: str) -> None:
    text = json.dumps(plain()).replace("It is a quiet morning and one believes it.", comment)
    assert read_answer(text).dimensions == (
        *DEMO[:-1],
        DEMO[-1].model_copy(update={"comment": comment}),
    )


def test_a_cut_recommendation_counts_as_far_as_its_last_sentence() -> None:
    text = '{"Lighting": {"score": 7, "comment": "Soft.", "recommendation": "Wait. Then expo'
    assert read_answer(text).dimensions[0].recommendation == "Wait."


MARKDOWN = """
Here is my critique.

**Image description:** Four boats.

## 1. Composition (6.5/10)
The jetty leads in.
It "rests" where the boats begin: there.
- **Recommendation:** Step right.

### Lighting
**Score:** 4/10
**Feedback:** The sky is white. **Suggestion:** Expose for the clouds.

Focus and Sharpness: 8.5/10 – Crisp rigging. Recommendation: Keep the aperture.

**Colour Harmony** - 7
3 colours answer each other.

## Overall score: 6.5
Well done.

## Key strengths
- calm
- 2 clear planes
"""


def test_markdown_sections() -> None:
    answer = read_answer(MARKDOWN)
    assert [(d.name, d.score, d.comment, d.recommendation) for d in answer.dimensions] == [
        (
            "Composition",
            6.5,
            'The jetty leads in. It "rests" where the boats begin: there.',
            "Step right.",
        ),
        ("Lighting", 4, "The sky is white.", "Expose for the clouds."),
        ("Focus & Sharpness", 8.5, "Crisp rigging.", "Keep the aperture."),
        ("Color Harmony", 7, "3 colours answer each other.", ""),
    ]
    assert answer.image_description == "Four boats."
    assert answer.key_strengths == ("calm", "2 clear planes")
    assert answer.salvaged


def test_a_growing_answer_grows() -> None:
    seen: list[tuple[int, bool]] = []
    for end in range(0, len(PLAIN), 7):
        partial = read_partial(PLAIN[:end])
        assert isinstance(partial, PartialAnswer)
        assert "Four boats.".startswith(partial.image_description)
        assert partial.dimensions == DEMO[: len(partial.dimensions)]
        if growing := partial.growing:
            expected = DEMO[len(partial.dimensions)]
            assert growing.name == expected.name
            assert growing.score in (None, expected.score)
            assert expected.comment.startswith(growing.comment)
            assert expected.recommendation.startswith(growing.recommendation)
        seen.append((len(partial.dimensions), growing is not None))
    assert seen == sorted(seen, key=lambda step: step[0])
    assert len(set(seen)) >= 16
    assert isinstance(read_partial(PLAIN), Answer)


def test_a_growing_markdown_answer_grows() -> None:
    text = as_headings(DEMO)
    for end in range(0, len(text), 11):
        partial = read_partial(text[:end])
        assert isinstance(partial, PartialAnswer)
        assert partial.dimensions == DEMO[: len(partial.dimensions)]
    partial = read_partial(text[:-20])
    assert isinstance(partial, PartialAnswer)
    assert len(partial.dimensions) == 7
    assert partial.growing is not None
    assert partial.growing.name == "Emotional Impact"
