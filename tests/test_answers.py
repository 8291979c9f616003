import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian.answers import (
    DIMENSIONS,
    Answer,
    Dimension,
    PartialAnswer,
    read_answer,
    read_partial,
)
from mondrian.errors import AnswerError
from support.demo_reports import DEMO


def plain(dimensions: Sequence[Dimension] = DEMO, **more: Any) -> dict[str, Any]:
    said = [d.model_dump(exclude={"evidence"}) for d in dimensions]
    return {"image_description": "Four boats.", "dimensions": said, **more}


PLAIN = json.dumps(plain(key_strengths=["calm"], technical_notes=["f/5.6"]), ensure_ascii=False)


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


def one(score: object = 7, name: str = "Lighting", **more: object) -> str:
    return json.dumps({"dimensions": [{"name": name, "score": score, "comment": "Soft.", **more}]})


@pytest.mark.parametrize(
    ("written", "score"),
    [
        (8.5, 8.5),
        ("8", 8),
        ("8/10", 8),
        ("8.5 / 10", 8.5),
        ("8 out of 10", 8),
        ("8,5", 8.5),
        ("**8**/10 (good)", 8),
        ("Score: 8", 8),
        ("85/100", 8.5),
        ("85%", 8.5),
        ("4/5", 8),
        ("8 (out of 10)", 8),
        ("4 (out of 5)", 8),
        ("4 stars out of 5", 8),
        ("4 von 5", 8),
        ("4 sur 5", 8),
        ("4 (1-5)", 8),
        ("Out of 10: 8", 8),
        ("10点満点中8点", 8),
        ("满分10分,8分", 8),
        ("8分", 8),
        ("８／１０", 8),
        ("8½", 8.5),
        ("8 1/2", 8.5),
        ("1e1", 10),
        ("I would rate this 8/10", 8),
        ("8/10 (could be 10/10)", 8),
        ([8], 8),
        ({"value": 8, "max": 10}, 8),
        ({"value": 4, "max": 5}, 8),
        ({"value": 8, "scale": "1-10"}, 8),
        ({"value": 8, "scale": "5 boats deep"}, 8),
        ({"score": "4/5", "reason": "Even."}, 8),
        (1, 1),
        (10, 10),
    ],
)
def test_scores_in_their_spellings(written: object, score: float) -> None:
    assert read_answer(one(written)).dimensions[0].score == score


@pytest.mark.parametrize(
    "written",
    [
        0,
        11,
        85,
        -3,
        "-3",
        "7-8",
        "7 to 8",
        "n/a",
        "",
        None,
        True,
        "0/10",
        "12/10",
        "8/9",
        1e9,
        [8, 9],
        "not 8",
        "I would not say 8/10",
        "minus 3",
        "−3/10",
        "< 5",
        "5+",
        "1st",
        "f/8",
        "7 → 8",
        "7/10 or 8/10",
        "4 stars",
        "8e-1",
        "8/1",
        "8 (max 5 points)",
        {"value": 8, "max": 7},
    ],
)
def test_no_score_is_made_up(written: object) -> None:
    with pytest.raises(AnswerError):
        read_answer(one(written))


def test_a_scale_of_a_hundred_is_clear_only_from_all_scores() -> None:
    hundred = [{**d.model_dump(exclude={"evidence"}), "score": d.score * 10} for d in DEMO]
    assert read_answer(json.dumps({"dimensions": hundred})).dimensions == DEMO
    hundred[0]["score"] = 6
    with pytest.raises(AnswerError):
        read_answer(json.dumps({"dimensions": hundred}))


@pytest.mark.parametrize("scores", [(0.7, 1.0), ("4/5", 4), (70, 8)])
def test_a_scale_that_only_some_scores_say_is_not_clear(scores: tuple[object, object]) -> None:
    said = [
        {"name": name, "score": score, "comment": "Soft."}
        for name, score in zip(("Lighting", "Focus"), scores, strict=True)
    ]
    try:
        read = {d.name: d.score for d in read_answer(json.dumps(said)).dimensions}
    except AnswerError:
        read = {}
    assert read in ({}, {"Lighting": 8})


def test_one_score_off_the_scale_leaves_the_others() -> None:
    said = [d.model_dump(exclude={"evidence"}) for d in DEMO]
    assert read_answer(json.dumps([*said[:7], {**said[7], "score": 0}])).dimensions == DEMO[:7]


@pytest.mark.parametrize("key", ["score_out_of_5", "scoreOutOf5", "Score (1-5)", "rating/5"])
def test_a_key_says_the_scale(key: str) -> None:
    said = [{"name": "Lighting", key: 4, "comment": "Soft."}]
    assert read_answer(json.dumps(said)).dimensions[0].score == 8
    table = f"| Name | {key} | Comment |\n|---|---|---|\n| Lighting | 4 | Soft. |"
    assert read_answer(table).dimensions[0].score == 8


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


# Writers: the same dimensions in the shapes that models use.

SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda name: name.replace("&", "and"),
    lambda name: name.lower().replace(" ", "_"),
    lambda name: name.replace(" ", "").replace("&", ""),
    lambda name: name.replace("Color", "Colour"),
    lambda name: f"{DIMENSIONS.index(name) + 1}. {name}",
)
SCORES: tuple[Callable[[float], object], ...] = (
    float,
    str,
    lambda score: f"{score:g}/10",
    lambda score: f"{score:g} out of 10",
    lambda score: f"{score * 10:g}/100",
)
KEYS = (
    ("name", "score", "comment", "recommendation"),
    ("dimension", "rating", "feedback", "suggestion"),
    ("category", "Score", "Analysis", "advice"),
    ("name", "score", "critique", "improvements"),
)
NAMED = ("name", "dimension", "category")


SENTENCES = (
    "Soft.",
    "The light isn't soft, but it's even: 80% of the frame ends.",
    "A “golden”, late hour – 7 minutes before dusk ends.",
    "Here {left} and [right] meet <b>a/b</b> ends.",
    "Côté jardin, 光 und Größe; the cat's paws' ends.",
    "3 trees (one bare), 'two' with leaves, comment: none ends.",
    "Raise it to 8/10 of the height, then wait, score nothing ends.",
    "Name, score and comment are words too ends.",
    "A path C:\\new\\table # not a heading * nor a list ends.",
)


@st.composite
def some_dimensions(draw: st.DrawFn) -> tuple[Dimension, ...]:
    names = draw(st.lists(st.sampled_from(DIMENSIONS), min_size=1, max_size=8, unique=True))
    return tuple(
        Dimension(
            name=name,
            score=draw(st.integers(2, 20)) / 2,
            comment=draw(st.sampled_from(SENTENCES)),
            recommendation=draw(st.sampled_from(SENTENCES)),
        )
        for name in names
    )


def in_order(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    return tuple(sorted(dimensions, key=lambda dimension: DIMENSIONS.index(dimension.name)))


@st.composite
def some_items(draw: st.DrawFn, dimensions: Sequence[Dimension]) -> list[dict[str, object]]:
    """The dimensions as objects, in one of many spellings and orders of keys."""
    spell, write = draw(st.sampled_from(SPELLINGS)), draw(st.sampled_from(SCORES))
    keys, order = draw(st.sampled_from(KEYS)), draw(st.permutations(range(4)))
    rows = [(spell(d.name), write(d.score), d.comment, d.recommendation) for d in dimensions]
    return [{keys[n]: row[n] for n in order} for row in rows]


@st.composite
def json_like(draw: st.DrawFn, dimensions: Sequence[Dimension]) -> str:
    said = draw(some_items(dimensions))
    name_key = next(key for key in said[0] if key in NAMED)
    if draw(st.booleans()):
        extra = {name_key: "Storytelling", "score": 2, "comment": "Not asked for."}
        said.insert(draw(st.integers(0, len(said))), extra)
    whole: object = {"image_description": "Four boats.", "dimensions": said}
    if draw(st.booleans()):
        keyed = {
            str(item[name_key]): {key: item[key] for key in item if key != name_key}
            for item in said
        }
        whole = draw(st.sampled_from((keyed, {"dimensions": keyed, "overall_score": 7})))
    return json.dumps(whole, indent=draw(st.sampled_from((None, 2))), ensure_ascii=False)


def single_quoted(text: str) -> str:
    return repr(json.loads(text))


def curly(text: str) -> str:
    """Delimiters made curly, as word processors do."""
    parts = text.split('"')
    return "".join(part + "“”"[n % 2] for n, part in enumerate(parts[:-1])) + parts[-1]


DAMAGE: tuple[Callable[[str], str], ...] = (
    str,
    curly,
    single_quoted,
    lambda text: re.sub(r"(?<=[\"\d])(\s*[}\]])", r",\1", text),
    lambda text: text.replace('"}', '"}}'),
    lambda text: text.replace('"}', '"'),
    lambda text: text + "}]}",
    lambda text: text.replace('",\n', '"\n'),
    lambda text: text.replace("ends.", "ends.\n"),
    lambda text: f"{text}\n{text}",
)
WRAPPING: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: f"Here's the critique:\n```json\n{text}\n```\nI hope it's useful!",
    lambda text: f"```\n{text}\n```",
    lambda text: f"Sure. {text} Note: lighting isn't all.",
    lambda text: f"<think>Lighting: 1/10 {{no}} {one(2)}</think>\n{text}",
    lambda text: f"Let me think. {one(2)} </thinking>{text}",
    lambda text: f"\ufeff  {text}\r\n",
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_dimension_of_a_damaged_json_is_read_and_none_invented(data: st.DataObject) -> None:
    dimensions = data.draw(some_dimensions())
    text = data.draw(json_like(dimensions))
    text = data.draw(st.sampled_from(DAMAGE))(text)
    answer = read_answer(data.draw(st.sampled_from(WRAPPING))(text))
    assert answer.dimensions == in_order(dimensions)
    assert answer.salvaged or len(dimensions) == len(DIMENSIONS)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cut_json_keeps_every_complete_dimension(data: st.DataObject) -> None:
    dimensions = data.draw(some_dimensions())
    text = json.dumps(plain(dimensions), ensure_ascii=False)
    cut = data.draw(st.integers(0, len(text) - 1))
    whole = text[:cut].count('"}')
    partial = read_partial(text[:cut])
    assert isinstance(partial, PartialAnswer)
    assert set(dimensions[:whole]) <= set(partial.dimensions) <= set(dimensions[: whole + 1])
    try:
        read = read_answer(text[:cut]).dimensions
    except AnswerError:
        read = ()
    assert len(read) >= whole
    for dimension in read:
        given_one = next(d for d in dimensions if d.name == dimension.name)
        assert (dimension.score, dimension.comment) == (given_one.score, given_one.comment)
        assert given_one.recommendation.startswith(dimension.recommendation)


ELSEWHERE = {
    "de": "Komposition,Beleuchtung,Fokus & Schärfe,Farbharmonie,Motivisolierung,"
    "Tiefe und Perspektive,Visuelles Gleichgewicht,Emotionale Wirkung;"
    "Kategorie,Bewertung,Kommentar,Empfehlung",
    "fr": "Composition,Éclairage,Mise au point et netteté,Harmonie des couleurs,"
    "Isolement du sujet,Profondeur et perspective,Équilibre visuel,Impact émotionnel;"
    "nom,note,commentaire,recommandation",
    "es": "Composición,Iluminación,Enfoque y nitidez,Armonía de color,Aislamiento del sujeto,"
    "Profundidad y perspectiva,Equilibrio visual,Impacto emocional;"
    "nombre,puntuación,comentario,recomendación",
    "zh": "构图,光线,对焦与清晰度,色彩和谐,主体分离,深度与透视,视觉平衡,情感冲击力;"
    "维度,评分,评论,建议",
    "ru": "Композиция,Освещение,Фокус и резкость,Гармония цвета,Изоляция объекта,"
    "Глубина и перспектива,Визуальный баланс,Эмоциональное воздействие;"
    "название,оценка,комментарий,рекомендация",
    "pl": "Kompozycja,Oświetlenie,Ostrość,Harmonia kolorów,Izolacja tematu,"
    "Głębia i perspektywa,Równowaga wizualna,Wpływ emocjonalny;"
    "nazwa,ocena,komentarz,zalecenie",
    "ko": "구도,조명,초점과 선명도,색상 조화,피사체 분리,깊이와 원근감,시각적 균형,감정적 영향;"
    "항목,점수,코멘트,제안",
    "ja": "構図,ライティング,ピントとシャープネス,色の調和,被写体の分離,奥行きと遠近感,"
    "視覚的バランス,感情的インパクト;項目,スコア,コメント,提案",
}


@pytest.mark.parametrize("language", ELSEWHERE)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_every_dimension_of_an_answer_in_another_language_is_read(
    language: str, data: st.DataObject
) -> None:
    names, keys = (words.split(",") for words in ELSEWHERE[language].split(";"))
    dimensions = data.draw(some_dimensions())
    write = data.draw(st.sampled_from(SCORES))
    rows: list[dict[str, object]] = [
        dict(
            zip(
                data.draw(st.sampled_from([keys, KEYS[0]])),
                (names[DIMENSIONS.index(d.name)], write(d.score), d.comment, d.recommendation),
                strict=True,
            )
        )
        for d in dimensions
    ]
    text = json.dumps({"dimensions": rows, "外": {"Story": {"score": 3, "comment": "No."}}})
    wrapped = data.draw(st.sampled_from(WRAPPING))(data.draw(st.sampled_from([text, curly(text)])))
    assert read_answer(wrapped).dimensions == in_order(dimensions)


def as_table(rows: Sequence[dict[str, object]]) -> str:
    lines = [[*rows[0]], ["---"] * 4, *([*map(str, row.values())] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_sections(rows: Sequence[dict[str, object]]) -> str:
    return "\n\n".join(
        "\n".join(f"**{key}:** {value}" for key, value in row.items()) for row in rows
    )


def as_headings(dimensions: Sequence[Dimension]) -> str:
    return "\n".join(
        f"### {d.name} ({d.score:g}/10)\n{d.comment}\n\n*Recommendation:* {d.recommendation}\n"
        for d in dimensions
    )


def as_list(dimensions: Sequence[Dimension]) -> str:
    return "\n".join(
        f"- **{d.name}** ({d.score:g}/10): {d.comment} **Advice:** {d.recommendation}"
        for d in dimensions
    )


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_dimension_of_a_markdown_answer_is_read(data: st.DataObject) -> None:
    dimensions = data.draw(some_dimensions())
    rows = data.draw(some_items(dimensions))
    named_first = [dict(sorted(row.items(), key=lambda pair: pair[0] not in NAMED)) for row in rows]
    text = data.draw(
        st.sampled_from(
            (as_table(rows), as_sections(named_first), as_headings(dimensions), as_list(dimensions))
        )
    )
    answer = read_answer(f"My critique.\n\n{text}\n\nThank you for showing it!")
    assert answer.dimensions == in_order(dimensions)
    assert answer.salvaged


# The shapes that models write without being asked to, by what writes them.


def in_sections(form: str) -> Callable[[Sequence[Dimension]], str]:
    """Sections by a form for each: {n}ame, {s}core, {c}omment, {r}ecommendation."""

    def write(dimensions: Sequence[Dimension]) -> str:
        return "\n\n".join(
            form.format(n=d.name, s=f"{d.score:g}", c=d.comment, r=d.recommendation)
            for d in dimensions
        )

    return write


def in_table(head: str, scale: float = 10) -> Callable[[Sequence[Dimension]], str]:
    def write(dimensions: Sequence[Dimension]) -> str:
        lines = [f"| {head} |", "|---|---|---|---|"]
        for d in dimensions:
            score = f"{d.score * scale / 10:g}"
            lines.append(f"| **{d.name}** | {score} | {d.comment} | {d.recommendation} |")
        return "\n".join(lines)

    return write


def in_json(
    form: Callable[[Dimension], Mapping[str, object]],
) -> Callable[[Sequence[Dimension]], str]:
    return lambda dimensions: json.dumps({"dimensions": [form(d) for d in dimensions]}, indent=1)


def by_field(dimensions: Sequence[Dimension]) -> str:
    return json.dumps(
        {
            "scores": {d.name: d.score for d in dimensions},
            "comments": {d.name: d.comment for d in dimensions},
            "recommendations": {d.name: d.recommendation for d in dimensions},
        }
    )


def in_flat_keys(dimensions: Sequence[Dimension]) -> str:
    said: dict[str, object] = {}
    for d in dimensions:
        key = d.name.lower().replace(" & ", "_and_").replace(" ", "_")
        said |= {f"{key}_score": d.score, f"{key}_comment": d.comment}
        said[f"{key}_recommendation"] = d.recommendation
    return json.dumps(said)


def under_headings(dimensions: Sequence[Dimension]) -> str:
    return "\n\n".join(
        f"### {d.name}\n```json\n{d.model_dump_json(exclude={'name', 'evidence'})}\n```"
        for d in dimensions
    )


def with_comments(text: str) -> str:
    return text.replace('"score"', '// of ten\n "score"').replace(",\n", ", // so\n")


def in_html(dimensions: Sequence[Dimension]) -> str:
    rows = [("Dimension", "Score", "Comment", "Recommendation")]
    rows += [(d.name, f"{d.score:g}", d.comment, d.recommendation) for d in dimensions]
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def scores_then_sections(dimensions: Sequence[Dimension]) -> str:
    table = "\n".join(f"| {d.name} | {d.score:g} |" for d in dimensions)
    sections = in_sections("### {n}\n{c}\n\n**Recommendation:** {r}")(dimensions)
    return f"| Dimension | Score |\n|---|---|\n{table}\n\n{sections}"


ITEMS = in_json(lambda d: d.model_dump(exclude={"evidence"}))
JSON_SHAPES: dict[str, Callable[[Sequence[Dimension]], str]] = {
    "fields first": by_field,
    "flat keys": in_flat_keys,
    "under headings": under_headings,
    "comments": lambda dimensions: with_comments(ITEMS(dimensions)),
    "encoded twice": lambda dimensions: json.dumps(ITEMS(dimensions)),
    "in a string": lambda dimensions: json.dumps({"answer": ITEMS(dimensions)}),
    "wide marks": lambda dimensions: ITEMS(dimensions).replace('": ', '"：').replace(",\n", "，\n"),
    "other keys": in_json(
        lambda d: {
            "title": d.name,
            "points": d.score,
            "rationale": d.comment,
            "tip": "None.",
            "score": d.score,
            "advice": d.recommendation,
        }
    ),
    "score with its scale": in_json(
        lambda d: {
            "aspect": d.name,
            "score": {"value": d.score / 2, "max": 5},
            "notes": d.comment,
            "suggestions": [d.recommendation],
        }
    ),
    "scale in the key": in_json(
        lambda d: {
            "name": d.name,
            "score_out_of_5": d.score / 2,
            "reason": d.comment,
            "recommendation": d.recommendation,
        }
    ),
    "score in a list": in_json(
        lambda d: {"name": d.name, "score": [d.score], "text": d.comment, "tips": d.recommendation}
    ),
    "own objects": in_json(
        lambda d: {
            "dimension": {"name": d.name},
            "rating": f"I would rate this {d.score:g}/10",
            "feedback": {"summary": d.comment, "recommendation": d.recommendation},
        }
    ),
}
TABLE_SHAPES = {
    "table": in_table("Element | Rating (out of 10) | Notes | How to improve"),
    "table of five": in_table("Critique dimension | Score (1-5) | Details | Recommendation(s)", 5),
    "nameless column": in_table(" | Final score | Comments | Suggestions for improvement"),
    "HTML": in_html,
    "scores, then sections": scores_then_sections,
}
SECTION_SHAPES = {
    form: in_sections(form)
    for form in (
        "**{n} (Score: {s}/10)**\n{c}\n*Advice:* {r}",
        "### {n} – Score: {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} — ⭐ {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} -> {s}/10\n{c}\n_Recommendation:_ {r}",
        "### {n}\n_Score: {s}/10_\n\n{c}\n\n_Recommendation: {r}_",
        "### {n}, {s}/10\n{c}\n**Recommendation:** {r}",
        "### {n} {s}/10\n{c}\n**Recommendation:** {r}",
        "#### {n}: {s}\n{c}\nRecommendation – {r}",
        "- **{n}** ({s}): {c} **Advice:** {r}",
        "**{n}**\n\n**Score**\n\n{s}\n\n**Comment**\n\n{c}\n\n**Recommendation**\n\n{r}",
        "## {n}: {s}/10\n**Strengths:** {c}\n**To improve:** {r}",
        "### {n}\n{c}\n**Recommendation:** {r}\n**Score:** {s}/10",
        "### {n}\n1. {c}\n\n**Recommendation:** {r}\n**Rating: {s}**",
        "## {n} (2/8)\nScore: {s}/10\n{c}\nRecommendation: {r}",
        "<b>{n}</b>: {s}/10<br>{c}<br>Recommendation: {r}<br>",
        "**{n}**：{s}分\n点评：{c}\n建议：{r}",
        "### {n}（{s}/10）\n{c}\n建议：{r}",
    )
}
SHAPES = JSON_SHAPES | TABLE_SHAPES | SECTION_SHAPES
FACTS = "**Measured facts**\n- Lighting: 3, 4 and 5 stops.\n- Color: 10.4%, warm.\n- Depth: 2 m.\n"
AROUND: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: f"My critique, in 8 parts.\n\n{text}\n\nThank you for showing it!",
    lambda text: f"{FACTS}\n---\n{text}\n\n## Overall score: 6.5/10\n1. Well done.\n",
    lambda text: f"{text}\n\n**Total score:** 54/80\n\n**Storytelling:** 3/10. Not asked for.",
    lambda text: f"◁think▷Lighting: 1/10. {one(2)}◁/think▷{text}",
    lambda text: f"[THINK]{one(2)} [/THINK]\n{text}",
    lambda text: f"<thought>{one(2)}</thought>{text}",
    lambda text: (
        f"<|channel|>analysis<|message|>{one(2)}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{text}"
    ),
    lambda text: f"{text}\n</think>\n",
)


def read(text: str) -> tuple[Dimension, ...]:
    try:
        return read_answer(text).dimensions
    except AnswerError:
        return ()


def facts_of(dimensions: Sequence[Dimension]) -> set[tuple[str, float]]:
    return {(d.name, d.score) for d in dimensions}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), some_dimensions(), st.sampled_from(AROUND))
def test_no_shape_makes_a_score_up(
    shape: str, dimensions: Sequence[Dimension], wrap: Callable[[str], str]
) -> None:
    said = {d.name: d for d in dimensions}
    for dimension in read(wrap(SHAPES[shape](dimensions))):
        assert dimension == said[dimension.name]


@pytest.mark.parametrize("shape", SHAPES)
def test_nearly_every_dimension_of_a_shape_is_read(shape: str) -> None:
    chance = random.Random(shape)
    written = found = 0
    for wrap in AROUND * 3:
        dimensions = [
            Dimension(
                name=name,
                score=chance.randint(2, 20) / 2,
                comment=chance.choice(SENTENCES),
                recommendation=chance.choice(SENTENCES),
            )
            for name in chance.sample(DIMENSIONS, chance.randint(1, 8))
        ]
        written += len(dimensions)
        found += len(read(wrap(SHAPES[shape](dimensions))))
    print(f"{shape!r}: {found} of {written}")
    assert found >= 0.95 * written


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        (
            "### {n}\n1. {c}\n2. It works.\n\n**Recommendation:** {r}",
            "**{n}**: 3 - maybe 4 - planes recede. {c} Recommendation: {r}",
            "**{n}**: 2, 3 or 5 elements would do. {c} Recommendation: {r}",
            "## {n} (2/8)\n{c}\nRecommendation: {r}",
            "- {n} [1]: {c} Advice: {r}",
            "{n}: 10.4%, clipped. {c}\nAdvice: {r}",
            "### {n}\nScore: high\n{c}\nAdvice: {r}",
        )
    ),
    some_dimensions(),
    st.sampled_from(AROUND[:4]),
)
def test_sections_without_scores_have_none(
    form: str, dimensions: Sequence[Dimension], wrap: Callable[[str], str]
) -> None:
    assert not read(wrap(in_sections(form)(dimensions)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), some_dimensions(), st.data())
def test_a_cut_never_makes_a_score_up(
    shape: str, dimensions: Sequence[Dimension], data: st.DataObject
) -> None:
    text = SHAPES[shape](dimensions)
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert facts_of(read(cut)) <= facts_of(dimensions)
    assert facts_of(read_partial(cut).dimensions) <= facts_of(dimensions)


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


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text(alphabet="{}[]\":,“”'\\|#*-.\n 8/10aLighting<think>`", max_size=400))
def test_no_text_raises_anything_else(text: str) -> None:
    read_partial(text)
    try:
        answer = read_answer(text)
    except AnswerError:
        return
    assert answer.dimensions


HOSTILE = [
    *"[{\"'“\\|`*(,:é1a \n",
    *("```", "{}", "[]", "}{", '\\"', "\\u", "\\ud800", '{"', '{"a":', '{"a":1,', "{a: b c d "),
    *('"\n\n', '"   ', '", ', ', "', '",\n', '" , ', "' '", "'a': ", '"] ', '"a": "', '"a": " b" '),
    *(
        "||#",
        "光|",
        "<br>",
        "<td>",
        ", // a\n",
        "/*",
        "[THINK]",
        "<|channel|>analysis",
        "：",
        '{\\"',
    ),
    *("Composition 8/10\n", "Lightning: ", "Subject xxxxxx: a\n", "8/10, "),
    *("\n\n ", "# ", "- ", "a ", "x.y. ", ": ", ". Comment: ", ". ** ", "Lighting: ", "Lighting\n"),
    *("**Lighting** ", "8/10 – ", "Score: 8/10 ", "| Name | Score |\n", "| Lighting | 8 |\n"),
    *(
        "<think>",
        "</think>",
        '{"name":"Lighting","score":',
        '"Lighting": {"score": 8, "comment": "',
    ),
]


@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """Eight times the text takes at most about eight times the time (with room for noise)."""

    def seconds(size: int) -> float:
        text = '{"name": "' + (piece * (size // len(piece) + 1))[:size]
        begun = time.process_time()
        read_partial(text)
        return time.process_time() - begun

    small = max(min(seconds(25_000) for _ in range(2)), 0.01)
    assert seconds(200_000) < 40 * small
