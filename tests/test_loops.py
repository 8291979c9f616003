import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mondrian.answers import DIMENSIONS
from mondrian.answers.loops import LEAST, LEAST_BLANK, AnswerWatch, LoopWatch
from support.demo_reports import DEMO

ANSWER = json.dumps({"dimensions": [d.model_dump(exclude={"evidence"}) for d in DEMO]})
TERSE = [
    {"name": name, "score": 7, "comment": "Good.", "recommendation": "Keep it."}
    for name in DIMENSIONS
]


def watch(text: str, piece: int = 4) -> tuple[int, int] | None:
    """After how many characters a loop is noticed, and how many of them only repeat."""
    watch = LoopWatch()
    for end in range(piece, len(text) + piece, piece):
        if surplus := watch.append(text[end - piece : end]):
            return min(end, len(text)), surplus
    return None


@settings(max_examples=100, deadline=None)
@given(
    before=st.sampled_from(["", "It is ", ANSWER[:700], ANSWER]),
    period=st.text(alphabet="abc ,.", min_size=1, max_size=60).filter(str.strip),
    times=st.integers(1, 3),  # more would be a loop of its own
    piece=st.integers(1, 50),
)
def test_a_loop_is_noticed_soon_and_one_round_of_it_kept(
    before: str, period: str, times: int, piece: int
) -> None:
    period = "Light " + period * times
    found = watch(before + period * 400, piece)
    assert found
    end, surplus = found
    assert end <= len(before) + max(LEAST, 5 * len(period), 3 * len(period)) + 100
    assert len(before) <= end - surplus + 1
    assert end - surplus <= len(before) + len(period)


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        json.dumps(json.loads(ANSWER), indent=12),
        json.dumps(TERSE),
        json.dumps(TERSE, indent="\t"),
        "\n".join(f"| {' | '.join(map(str, row.values()))} |" for row in TERSE),
        f"| Name {' ' * 300} | Score |\n|{'-' * 600}|{'-' * 40}|\n| Lighting {' ' * 300} | 7 |",
        "| --- " * 40,
        "\n" * (LEAST_BLANK - 8) + ANSWER,
        json.dumps({"key_strengths": ["The light is soft and even across the frame."] * 4}),
        "very, very, very, very, very good",
    ],
)
def test_what_repeats_itself_with_reason_is_no_loop(text: str) -> None:
    assert watch(text, 1) is None


def test_endless_white_space_is_a_loop() -> None:
    assert watch(ANSWER + "\n" * 3000)
    assert watch(ANSWER[:300] + " \t" * 3000)


def test_a_whole_answer_over_and_over_is_a_loop() -> None:
    found = watch(ANSWER * 5)
    assert found
    assert found[0] < len(ANSWER) * 3 + 100


def test_a_loop_that_counts_is_one() -> None:
    for form in (
        "Step {n}: look again at the light. ",
        "{n}. The light.\n",
        '{{"{n}": "light"}}, ',
    ):
        found = watch(ANSWER + "".join(form.format(n=n) for n in range(1, 400)))
        assert found
        assert found[0] < len(ANSWER) + 2500


def rounds(count: int) -> str:
    """So many answers, each in words of its own."""
    rows = [
        [
            {
                "name": name,
                "score": 1 + (n + place) % 9,
                "comment": f"The {'abcdefghi'[n] * 9} is calm.",
            }
            for place, name in enumerate(DIMENSIONS)
        ]
        for n in range(count)
    ]
    return "\n".join(json.dumps({"dimensions": each}) for each in rows)


@pytest.mark.parametrize("piece", [4, 50, 200])
def test_one_answer_after_the_other_is_a_loop(piece: int) -> None:
    text, watch = rounds(9), AnswerWatch()
    pieces = (text[place : place + piece] for place in range(0, len(text), piece))
    found = next((n, surplus) for n, each in enumerate(pieces) if (surplus := watch.append(each)))
    end = (found[0] + 1) * piece
    assert end <= len(rounds(4)) + 3000
    assert len(rounds(2)) <= end - found[1] <= len(rounds(3)) + 3000


@pytest.mark.parametrize(
    "text",
    [
        rounds(3),
        json.dumps({field: dict.fromkeys(DIMENSIONS, field) for field in "abcdefgh"}),
        "\n".join(f"### {name}\n" for name in DIMENSIONS * 20),
    ],
)
def test_names_that_come_again_are_no_answers(text: str) -> None:
    watch = AnswerWatch()
    assert not any(watch.append(text[n : n + 7]) for n in range(0, len(text), 7))


def test_watching_takes_the_same_time_for_each_token() -> None:
    def seconds(tokens: int) -> float:
        watch, begun = LoopWatch(), time.process_time()
        for n in range(tokens):
            watch.append(f"{n:04d}")
        return time.process_time() - begun

    few = max(min(seconds(2000) for _ in range(2)), 0.005)
    assert seconds(16_000) < 40 * few
