"""Scores and their scales. A wrong score is worse than none."""

import json

import pytest

from mondrian.answers import DIMENSIONS, read_answer
from mondrian.errors import AnswerError
from support.answers import one
from support.demo_reports import DEMO


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
    hundred = [{**d.model_dump(exclude={"evidence"}), "score": (d.score or 0) * 10} for d in DEMO]
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


FOURS = [{"name": n, "score": 4, "comment": "Calm.", "recommendation": "Wait."} for n in DIMENSIONS]
SECTIONS = "\n\n".join(
    f"### {n}\n**Score:** 4\nCalm.\n**Recommendation:** Wait." for n in DIMENSIONS
)
TABLE = "| Name | Score | Comment | Advice |\n|---|---|---|---|\n" + "\n".join(
    f"| {n} | 4 | Calm. | Wait. |" for n in DIMENSIONS
)


@pytest.mark.parametrize(
    "text",
    [
        *(
            json.dumps({**before, "dimensions": FOURS, **after})
            for before, after in (
                ({"scale": "1-5"}, {}),
                ({"score_scale": "1 to 5"}, {}),
                ({"rating_scale": {"min": 1, "max": 5}}, {}),
                ({}, {"max_score": 5}),
                ({}, {"scale": 5}),
                ({"overall_score": "4/5"}, {}),
                ({"image_description": "A boat."}, {"overall": "4 out of 5"}),
            )
        ),
        f"All scores are out of 5.\n\n{json.dumps(FOURS)}",
        f"Scores from 1 (poor) to 5 (excellent).\n{json.dumps({'dimensions': FOURS})}",
        f"All scores are out of 5.\n\n{SECTIONS}",
        f"# Critique (scores 1–5)\n\n{SECTIONS}",
        f"I use a 5-point scale.\n\n{SECTIONS}",
        f"{SECTIONS}\n\n**Overall rating:** 4/5",
        f"Scores out of 5:\n\n{TABLE}",
        f"{TABLE}\n\nRatings: 1 = poor, 5 = excellent.",
        f"Bewertung von 1 bis 5\n\n{TABLE}",
        f"满分5分\n\n{TABLE}",
    ],
)
def test_a_scale_said_once_holds_for_all_scores(text: str) -> None:
    assert {d.score for d in read_answer(text).dimensions} == {8}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"overall_score": "32/40", "dimensions": FOURS}),
        json.dumps({"overall_score": "76/100", "dimensions": FOURS}),
        json.dumps({"dimensions": FOURS, "technical_notes": ["The vantage point at f/5, 1/20 s."]}),
        json.dumps({"dimensions": [{**d, "comment": "A scale of 1 to 5 trees."} for d in FOURS]}),
        f"Scores are from 1 to 10.\n\n{SECTIONS}",
    ],
)
def test_what_is_no_scale_of_the_scores_changes_none(text: str) -> None:
    assert {d.score for d in read_answer(text).dimensions} == {4}


@pytest.mark.parametrize("numbers", [(14, 13, 16, 12), (9, 14, 8, 7), (20, 20, 20, 20)])
def test_scores_that_may_be_out_of_twenty_are_none(numbers: tuple[int, ...]) -> None:
    said = [{**each, "score": n} for each, n in zip(FOURS, numbers, strict=False)]
    with pytest.raises(AnswerError):
        read_answer(json.dumps(said))
    scaled = read_answer(json.dumps({"note": "scale 0-20", "dimensions": said}))
    assert [d.score for d in scaled.dimensions] == [n / 2 for n in numbers]


def test_a_comma_may_be_a_decimal_point() -> None:
    text = json.dumps({"dimensions": FOURS}, indent=1).replace('"score": 4,', '"score": 7,5,', 1)
    assert [d.score for d in read_answer(text).dimensions] == [7.5] + 7 * [4]


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"Lighting","comment":"Soft.","recommendation":"Wait.","score":{"value":4,',
        '{"name":"Lighting","comment":"Soft.","score":{"value":4',
        '{"name":"Lighting","comment":"Soft.","score":4,"scale":"1-',
        "### Lighting\nSoft.\n**Score:** 4 /",
        "### Lighting\nSoft.\n**Score:** 4 (out",
    ],
)
def test_a_scale_that_is_cut_off_gives_no_score(text: str) -> None:
    with pytest.raises(AnswerError):
        read_answer(text)
