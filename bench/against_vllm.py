"""Tokens per second that ``openai:`` sees of a real vLLM, against a bare client, in turn.

The bare client posts the same body and counts what vLLM says in its last usage. One stream, then
eight at once. ``make vllm`` sets vLLM up; without it nothing is measured.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx

from common import judge
from mondrian.engines import Request, Token, open_engine
from mondrian.engines.chat import chat_body

TOKENS, RUNS, AIM = 600, 5, 0.97
LETTERS = {"type": "string", "minLength": 4000, "maxLength": 4000}  # it cannot end before


def main() -> None:
    """Print the two ratios; the aim of each is ``AIM``."""
    from support.ports import find_port
    from support.vllm import HOME, build_checkpoint, vllm_server
    from support.working import jpeg

    if not (HOME / ".ready").exists():
        print("There is no vLLM here: make vllm")
        return
    request = Request(
        system="You are a critic.", prompt="Write.", photo=jpeg(), schema=LETTERS, max_tokens=TOKENS
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = build_checkpoint(Path(folder) / "tiny")
        with vllm_server(checkpoint, find_port()) as (_, address):
            for count in (1, 8):
                compare(address, request, count)


def compare(address: str, request: Request, count: int) -> None:
    """Print the ratio with ``count`` streams at once: the median of ``RUNS`` pairs."""
    with closing(open_engine(f"openai:{address}")) as engine:

        def ours(seed: int) -> float:
            items = engine.stream(replace(request, seed=seed))
            tokens = [item for item in items if isinstance(item, Token)]
            return float(tokens[-1].generation_tokens)

        def bare(seed: int) -> float:
            return run_bare(address, replace(request, seed=seed))

        run_all(bare, count)  # warm
        run_all(ours, count)
        ratios = []
        for _ in range(RUNS):
            theirs = run_all(bare, count)
            ratios.append(run_all(ours, count) / theirs)
    ratio = statistics.median(ratios)
    print(f"{count} at once: {ratio:.3f} of a bare client's tokens/s; {judge(ratio >= AIM, AIM)}")


def run_all(ask: Callable[[int], float], count: int) -> float:
    """Return the tokens of ``count`` answers at once over the seconds that all of them took."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        tokens = sum(threads.map(ask, range(count)))
    return tokens / (time.perf_counter() - began)


def run_bare(address: str, request: Request) -> float:
    """Return the tokens of one answer, read line by line and no more."""
    body = chat_body(request, max_tokens=TOKENS, temperature=0.7, sees=True)
    schema = {"name": "critique", "schema": request.schema, "strict": True}
    body |= {
        "model": "tiny",
        "response_format": {"type": "json_schema", "json_schema": schema},
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    usage: dict[str, int] = {}
    with httpx.stream("POST", f"{address}/chat/completions", json=body, timeout=None) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                usage = json.loads(line[6:]).get("usage") or usage
    return float(usage["completion_tokens"])


if __name__ == "__main__":
    main()
