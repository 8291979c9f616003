"""What llama.cpp's slots and its memory of prompts are worth.

1. Tokens per second of four requests at once on ``?slots=4`` against four in a row on one slot, in
   turn, with the same model and threads; the aim is 1.5. Once with the grammar of a critique, and
   once without, since a grammar works at each request's token by itself. No prompt is known from
   an earlier round. Beside it the reason, by the engine's own speeds in a row: how many times as
   fast it reads a prompt, 128 tokens in a pass, as it writes, one token in a pass. Where that is
   not much, the work is arithmetic and not the reading of weights, so a pass with a token for each
   of four slots takes about four times as long, and slots save little.
2. The prompt work of three advisors on one photo against that of one: tokens that the model reads,
   and seconds until the first token. The aim is 1.3, for a model that sees. That one is tiny, but
   it has a real one's vocabulary, and as many tokens for a photo (Qwen2-VL's); its seconds are not
   those of a real one.

SmolLM2 must have been pulled (`mondrian pull smollm2-135m`).
"""

import argparse
import io
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from common import judge
from mondrian.advisors import load_advisors
from mondrian.critiques.prompts import make_request
from mondrian.engines import Engine, Request, Token, open_engine
from mondrian.findings import find
from mondrian.measurements import measure
from mondrian.models import find_gguf
from mondrian.photos import read_photo
from mondrian.settings import Settings

MODEL = "llamacpp:smollm2-135m"
PHOTOS = ("coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg")
ADVISORS = ("ansel", "okeefe", "gogh")
SPEED_AIM, PROMPT_AIM = 1.5, 1.3


def main() -> None:
    """Print the ratios and what they are made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=150, help="of each answer")
    given = parser.parse_args()
    compare_slots(given.runs, given.tokens)
    compare_prompts()


def compare_slots(runs: int, tokens: int) -> None:
    """Four requests at once against four in a row."""
    asked = [replace(each, max_tokens=tokens, temperature=0) for each in questions(PHOTOS, "ansel")]
    free = [replace(each, schema=None) for each in asked]
    one, four = open_engine(MODEL), open_engine(f"{MODEL}?slots=4&ctx=2048")
    with closing(one), closing(four):
        for name, requests in (("with a grammar", asked), ("without one", free)):
            rounds = [
                (run(one, fresh(requests, n), at_once=1), run(four, fresh(requests, n), at_once=4))
                for n in range(runs + 1)
            ][1:]  # the first one loads
            gain = median(together.whole / row.whole for row, together in rounds)
            faster = median(row.reading / row.writing for row, _ in rounds)
            row, together = rounds[-1]
            print(
                f"four requests {name:14}: {row.whole:.1f} tokens/s in a row, {together.whole:.1f} "
                f"at once, ratio {gain:.2f} ({judge(gain >= SPEED_AIM, SPEED_AIM)}); 128 tokens "
                f"in a pass come {faster:.1f} times as fast as one"
            )


def fresh(requests: Iterable[Request], number: int) -> list[Request]:
    """The requests as no slot has seen them before."""
    return [replace(each, system=f"Round {number}. {each.system}") for each in requests]


def compare_prompts() -> None:
    """Prompt tokens read for three advisors of a photo against those for one."""
    with tempfile.TemporaryDirectory() as folder:
        models = (("does not see", MODEL, False), ("sees", seeing(Path(folder)), True))
        for name, url, sees in models:
            requests = [
                replace(request, max_tokens=2)
                for advisor in ADVISORS
                for request in questions(("coffee.png",), advisor, sees=sees)
            ]
            with closing(open_engine(url)) as engine:
                engine.load()
                started, lasts, times = time.perf_counter(), list[Token](), list[float]()
                for request in requests:
                    lasts.append(last(engine, request))
                    times.append(time.perf_counter() - started)
            whole = [each.prompt_tokens or 0 for each in lasts]
            known = [each.cached_tokens or 0 for each in lasts]
            read = [size - cached for size, cached in zip(whole, known, strict=True)]
            ratio = sum(read) / read[0]
            reached = f" ({judge(ratio <= PROMPT_AIM, PROMPT_AIM)})" if sees else ""
            print(
                f"three advisors, a model that {name:12}: prompts of {whole}, read {read} tokens, "
                f"ratio {ratio:.2f}{reached}; "
                f"{times[0]:.2f} s for one, {times[-1]:.2f} s for three"
            )


def seeing(folder: Path) -> str:
    """The URL of a tiny model that sees, with SmolLM2's vocabulary."""
    from support.tiny_gguf import build, read_vocabulary

    model, _ = find_gguf("smollm2-135m", Settings.read().home)
    built, projector = build(folder, read_vocabulary(model))
    return f"llamacpp:{built}?mmproj={projector}"


def questions(photos: Iterable[str], advisor: str, *, sees: bool = False) -> list[Request]:
    """What the engine is asked for a critique of each of these photographs of scikit-image, made
    as wide as an engine gets them at most."""
    import skimage
    from PIL import Image

    asked = []
    for name in photos:
        encoded = io.BytesIO()
        with Image.open(Path(skimage.__file__).parent / "data" / name) as small:
            size = 1320, round(1320 * small.height / small.width)
            small.convert("RGB").resize(size).save(encoded, "JPEG")
        photo = read_photo(encoded.getvalue(), name=name)
        measured = measure(photo)
        chosen = load_advisors()[advisor]
        asked.append(make_request(photo, chosen, measured, find(measured), sees=sees, seed=1))
    return asked


class Speed(NamedTuple):
    """Tokens per second: written in the whole time, and, of each request, read and written."""

    whole: float
    reading: float
    writing: float


def run(engine: Engine, requests: Sequence[Request], *, at_once: int) -> Speed:
    """The speed of all ``requests``, so many at once."""
    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as threads:
        lasts = list(threads.map(lambda request: last(engine, request), requests))
    seconds = time.perf_counter() - started
    return Speed(
        whole=sum(token.generation_tokens for token in lasts) / seconds,
        reading=median(token.prompt_tps or 0.0 for token in lasts),
        writing=median(token.generation_tps or 0.0 for token in lasts),
    )


def last(engine: Engine, request: Request) -> Token:
    """The last token of the answer, which has its figures."""
    *_, token = (item for item in engine.stream(request) if isinstance(item, Token))
    return token


if __name__ == "__main__":
    main()
