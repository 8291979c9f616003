"""What a critique costs beyond its engine: wall time against a bare loop over the same stream.

Interleaved, the same request and seed, measuring excluded; the limit is 1.02. SmolLM2 must have
been pulled (`mondrian pull smollm2-135m`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from mondrian.advisors import Advisor, load_advisors
from mondrian.answers import DIMENSIONS
from mondrian.critiques.prompts import ask
from mondrian.critiques.single import critique
from mondrian.engines import Engine, Request, Token, open_engine
from mondrian.engines.replay import record
from mondrian.findings import find
from mondrian.measurements import Measurements, measure
from mondrian.photos import Photo, read_photo

LIMIT = 1.02


def main() -> None:
    """Print a line per engine: seconds of either, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    photo, advisor = read_photo(coffee()), load_advisors()["ansel"]
    measurements = measure(photo)
    holds = True
    with tempfile.TemporaryDirectory() as folder:
        replay = f"replay:{recording(Path(folder) / 'thousand.jsonl')}"
        for url in (replay, "llamacpp:smollm2-135m"):
            with closing(open_engine(url)) as engine:
                holds &= compare(engine, photo, advisor, measurements, runs)
    if not holds:
        sys.exit(1)


def compare(
    engine: Engine, photo: Photo, advisor: Advisor, measurements: Measurements, runs: int
) -> bool:
    """Time the bare loop and the critique in turn, after one warm run. Returns whether the limit
    holds."""
    request = ask(photo, advisor, measurements, find(measurements), sees=engine.sees, seed=1)

    def bare() -> int:
        return run_bare(engine, request)

    def whole() -> None:
        for _ in critique(photo, advisor, engine, measurements=measurements, seed=1):
            pass

    tokens = bare()
    pairs = [(timed(bare), timed(whole)) for _ in range(runs)]
    alone, full = median(a for a, _ in pairs), median(w for _, w in pairs)
    ratio = full / alone
    verdict = "holds" if ratio <= LIMIT else "MISSED"
    print(
        f"{engine.model:32} {tokens} tokens: bare {alone:.3f} s, critique {full:.3f} s, "
        f"ratio {ratio:.4f} (limit {LIMIT}: {verdict})"
    )
    return ratio <= LIMIT


def run_bare(engine: Engine, request: Request) -> int:
    """The tokens of a loop that does nothing else."""
    tokens = 0
    for item in engine.stream(request):
        if isinstance(item, Token):
            tokens = item.generation_tokens
    return tokens


def timed(function: Callable[[], object]) -> float:
    """Seconds that ``function`` takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def recording(path: Path) -> Path:
    """A recording of a whole answer at 1,000 tokens a second for two seconds."""
    dimension = {"score": 6, "comment": "Well seen. " * 10, "recommendation": "Again. " * 10}
    dimensions = [{"name": name, **dimension} for name in DIMENSIONS]
    answer = json.dumps({"image_description": "A photo.", "dimensions": dimensions})
    size = len(answer) / 2000
    pieces = [answer[round(n * size) : round((n + 1) * size)] for n in range(2000)]
    record(
        path,
        [
            {"phase": "prefill"},
            *({"after": 0.001, "text": piece, "tokens": 1} for piece in pieces),
            {"finish": "stop"},
        ],
    )
    return path


def coffee() -> Path:
    """A real photograph."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "coffee.png"


if __name__ == "__main__":
    main()
