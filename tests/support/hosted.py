"""Shared by the tests of engines in a child process: recordings, requests and their results."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mondrian.engines import Progress, Request, Token, open_engine
from mondrian.engines.native.engine import HostedEngine

LOADING = [{"phase": "loading", "done": 0, "total": 4}, {"phase": "loading", "done": 4, "total": 4}]
PREFILL = [{"after": 0.02, "phase": "prefill", "done": n, "total": 256} for n in (0, 128, 256)]
WORDS = [{"after": 0.01, "text": f"word {n} ", "tokens": 1} for n in range(400)]
FINISH = [{"finish": "stop"}]
# a model that may end its answer ends it early by chance
ENDLESS = {"type": "array", "items": {"enum": ["light", "shadow"]}, "minItems": 2000}


ASK = Request(system="", prompt="")
LONG = Request(system="", prompt="Go on.", schema=ENDLESS, max_tokens=400)
Stream = Iterator[Progress | Token]
Play = Callable[..., HostedEngine]


def open_hosted(url: str, home: Path | None = None) -> HostedEngine:
    engine = open_engine(url, home=home)
    assert isinstance(engine, HostedEngine)
    return engine


def scene(seed: int) -> bytes:
    """A photo of coloured blotches, as a JPEG; another one for another ``seed``."""
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).resize((280, 196)).save(encoded, "JPEG")
    return encoded.getvalue()


def tokens_of(stream: Iterator[Progress | Token]) -> list[Token]:
    return [item for item in stream if isinstance(item, Token)]


def first_token(stream: Stream) -> Token:
    return next(item for item in stream if isinstance(item, Token))
