"""Every dimension of an answer in any shape is read, and none is made up."""

import json
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS, Dimension, PartialAnswer, read_answer, read_partial
from mondrian.errors import AnswerError
from support.answers import (
    AROUND,
    DAMAGE,
    KEYS,
    NAMED,
    SCORES,
    SENTENCES,
    SHAPES,
    WRAPPING,
    as_headings,
    as_list,
    as_sections,
    as_table,
    curly,
    facts_of,
    in_order,
    in_sections,
    json_like,
    plain,
    read,
    some_dimensions,
    some_items,
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
                (names[DIMENSIONS.index(d.name)], write(d.score or 0), d.comment, d.recommendation),
                strict=True,
            )
        )
        for d in dimensions
    ]
    text = json.dumps({"dimensions": rows, "外": {"Story": {"score": 3, "comment": "No."}}})
    wrapped = data.draw(st.sampled_from(WRAPPING))(data.draw(st.sampled_from([text, curly(text)])))
    assert read_answer(wrapped).dimensions == in_order(dimensions)


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
