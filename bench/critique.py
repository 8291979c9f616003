"""What a critique costs beyond its engine: wall time against a bare loop over the same stream.

Interleaved, the same request and seed, measuring excluded; the limit is 1.02. SmolLM2 must have
been pulled (`mondrian pull smollm2-135m`).
"""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

from common import coffee, recording, time_call
from mondrian.advisors import Advisor, load_advisors
from mondrian.critiques.prompts import make_request
from mondrian.critiques.single import critique
from mondrian.engines import Engine, Request, Token, open_engine
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
    request = make_request(
        photo, advisor, measurements, find(measurements), sees=engine.sees, seed=1
    )

    def bare() -> int:
        return run_bare(engine, request)

    def whole() -> None:
        for _ in critique(photo, advisor, engine, measurements=measurements, seed=1):
            pass

    tokens = bare()
    pairs = [(time_call(bare), time_call(whole)) for _ in range(runs)]
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


if __name__ == "__main__":
    main()
