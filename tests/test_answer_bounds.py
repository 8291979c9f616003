"""No text makes the reader fail, or takes it longer than its length."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS, read_answer, read_partial
from mondrian.errors import AnswerError


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

    small = max(min(seconds(8_000) for _ in range(2)), 0.004)
    assert seconds(64_000) < 40 * small


def test_an_answer_behind_a_line_of_many_labels_is_read() -> None:
    """Of such a line not all is read, in bounded time; what follows is."""
    sections = "".join(f"### {name}\n7/10. Good. Tip: Go on.\n" for name in DIMENSIONS)
    answer = read_answer("<Overall 4/5 Lighting:" * 3000 + "\n" + sections)
    assert [(each.score, each.comment) for each in answer.dimensions] == [(7, "Good.")] * 8
