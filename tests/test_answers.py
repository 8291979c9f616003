import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo_reports import DEMO
from mondrian.errors import AnswerError
from mondrian.report import DIMENSIONS, Answer, Dimension, PartialAnswer, read_answer, read_partial


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
        f"The eight parts are {PLAIN}</think>",
        "Lighting: 3 lamps stand in the room.",
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
    ],
)
def test_no_score_is_made_up(written: object) -> None:
    with pytest.raises(AnswerError):
        read_answer(one(written))


def test_a_scale_of_a_hundred_is_clear_only_from_all_scores() -> None:
    hundred = [{**d.model_dump(exclude={"evidence"}), "score": d.score * 10} for d in DEMO]
    assert read_answer(json.dumps({"dimensions": hundred})).dimensions == DEMO
    hundred[0]["score"] = 6
    assert [d.name for d in read_answer(json.dumps({"dimensions": hundred})).dimensions] == [
        "Composition"
    ]


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
    ],
)
def test_names_in_their_spellings(written: str, name: str) -> None:
    assert read_answer(one(name=written)).dimensions[0].name == name


@pytest.mark.parametrize("written", ["Storytelling", "Lighting Technique", "Balance of Power", "L"])
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
