"""Reading a megabyte of text that is hostile: the slowest of many shapes made at random.

A shape is a beginning and a piece of one to six fragments, repeated. Its time is the
processor's, so that a busy machine does not count, and the slowest ones are read again, of which
the fastest time counts, since a processor that others use is now faster and now slower.
"""

import random
import sys
import time
from contextlib import suppress

from common import judge
from mondrian.answers import read_answer
from mondrian.errors import AnswerError

SIZE, LIMIT_SECONDS, RUN_SECONDS = 1_000_000, 0.15, 60.0
SLOWEST, AGAIN = 40, 5
BEGINNINGS = (
    *("", "{", '{"a":"', "### Lighting 7/10\n", "| Dimension | Score |\n|--|--|\n"),
    '{"dimensions":[{"name":"Lighting","score":7,"comment":"',
)
FRAGMENTS = (
    *"{}[]\"':,\\ \n`<>|(（-=★1a\u00e9中\t*_…\r\u2028“”’",
    *('\\"', "```", "```json\n", "<think>", "</think>", "<tr><td>", "</td>", "&amp;", "| ", "**"),
    *("### ", "Composition", "Lighting", '"name"', '"score"', '"comment"', '"Composition":'),
    *("score: ", "8/10", "8", "1-5", "scale", "out of", '"a":', '{"', '":"', '",', "/*", "//", "#"),
    *(
        "rating",
        "Focus & Sharpness",
        '<dimension name="',
        "max",
        "overall",
        "0123456789",
        "5",
        "20",
    ),
    *("analysis", "<|channel|>", '"a" : ', '{"a":1,', "x=1 ", "'a':", "null,", "1. ", "> ", "1: "),
    *('"scale":', "100", "points", '{"composition_score":8,', "Overall 4/5 ", "https://", "__"),
)


def main() -> None:
    """Print the slowest shapes, and whether the slowest one is within the limit."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1000)
    chance, until = random.Random(seed), time.monotonic() + RUN_SECONDS
    seen: list[tuple[float, str, str]] = []
    while time.monotonic() < until:
        beginning = chance.choice(BEGINNINGS)
        piece = "".join(chance.choices(FRAGMENTS, k=chance.choice((1, 1, 2, 2, 3, 4, 6))))
        seen.append((read(fill(beginning, piece)), beginning, piece))
    again = [
        (min(read(fill(beginning, piece)) for _ in range(AGAIN)), beginning, piece)
        for _, beginning, piece in sorted(seen, reverse=True)[:SLOWEST]
    ]
    for seconds, beginning, piece in sorted(again, reverse=True)[:5]:
        print(f"{seconds:.3f} s: {beginning!a} and {piece!a}")
    slowest = max(again)[0]
    print(
        f"{len(seen)} shapes of a megabyte (seed {seed}), {slowest:.3f} s at most "
        f"(at first {max(seen)[0]:.3f}); "
        f"{judge(slowest <= LIMIT_SECONDS, f'{LIMIT_SECONDS} s')}"
    )


def fill(beginning: str, piece: str) -> str:
    """Return the text of a shape."""
    return beginning + piece * (SIZE // len(piece))


def read(text: str) -> float:
    """Return the seconds of the processor that reading ``text`` takes."""
    began = time.process_time()
    with suppress(AnswerError):
        read_answer(text)
    return time.process_time() - began


if __name__ == "__main__":
    main()
