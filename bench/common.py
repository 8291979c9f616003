"""What benches share: a photograph, a recording, a running server, and the judgement of a limit."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from mondrian.answers import DIMENSIONS
from mondrian.engines.replay import record

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # its support package


def judge(holds: bool, limit: object) -> str:
    """Return whether ``limit`` holds, in words; ``scripts/bench`` looks for the word MISSED."""
    return f"limit {limit}: {'holds' if holds else 'MISSED'}"


def time_call(function: Callable[[], object]) -> float:
    """Return the seconds that ``function`` takes."""
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


@contextmanager
def run_server(home: Path, *options: str) -> Iterator[str]:
    """Run ``mondrian serve`` with ``options`` in a process of its own. Yields its address."""
    command = [str(Path(sys.executable).parent / "mondrian"), "serve", "--port", "0", *options]
    environment = {**os.environ, "MONDRIAN_HOME": str(home), "MONDRIAN_OFFLINE": "1"}
    with Popen(command, env=environment, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if "http://" in line).split()[-1]
        finally:
            process.terminate()
