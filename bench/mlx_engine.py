"""What Mondrian costs around mlx-vlm, on a tiny checkpoint that is as slow as a real model.

1. Tokens per second that a client sees on a job's stream against a bare ``stream_generate`` loop in
   a process of its own, in turn; the aim is 0.99. The answers keep to a schema. Then the same
   without, since ``mlx_vlm.server`` cannot do it without Metal; the aim is to be above what that
   server's client sees. The checkpoint gets as many layers as make the bare loop write less than
   200 tokens per second.
2. Seconds from the upload to the first text at a client of the job's stream, less those of the
   phase in which the photo is measured, against the bare loop, warm, with a new photo each time;
   the aim is 25 ms more. This on a checkpoint of few layers, whose prefill is short.
3. Three advisors on one photo against one: how often the photo is encoded, the tokens of the
   prompt that are read, and seconds until the first token. The checkpoint's tokenizer has 400
   words and its photo 16 tokens, so what is each advisor's own weighs several times as much as in
   a real model: the ratio has no aim here. ``bench/llamacpp.py`` has a real vocabulary.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from common import coffee, judge, run_server
from mondrian.advisors import load_advisors
from mondrian.client import Client
from mondrian.critiques.prompts import make_request
from mondrian.engines import Phase, Progress, Request, Token, open_engine
from mondrian.findings import find
from mondrian.measurements import measure
from mondrian.photos import read_photo

TOKENS, RUNS, FIRSTS, FEW_LAYERS = 400, 14, 20, 4
LEAST_TOKENS = 100  # an answer that ends before tells no speed: few tokens are written faster
LEAST_PAIRS = 4
SOME_TOKENS = 30  # within which there is text: mlx-vlm holds it back until a word ends
TEMPERATURE = 2.0  # at a usual one a model of random weights falls into loops, which are ended
REAL_SPEED = 160  # tokens per second: layers are not all that takes time, so it will be some more
SPEED_AIM, FIRST_AIM_SECONDS = 0.99, 0.025

BARE = """
import pickle, sys, time
from pathlib import Path
from types import SimpleNamespace
import mlx_vlm
from mondrian.engines.mlx.engine import Mlx
asking = Mlx(
    path=Path(sys.argv[1]), max_tokens=int(sys.argv[2]), temperature=float(sys.argv[4])
)
least = int(sys.argv[3])
asking._model, asking._processor = model, processor = mlx_vlm.load(sys.argv[1])
asking._watch = SimpleNamespace(prompt=None, can_pause=True)  # not watched, nothing kept
while True:
    request = pickle.load(sys.stdin.buffer)
    began = time.perf_counter()
    first = text = None
    for result in mlx_vlm.stream_generate(model, processor, **asking._make_arguments(request)):
        now = time.perf_counter()
        first = first or now
        text = text or (result.text and now)
    count = result.generation_tokens
    print((text or now) - began, (count - 1) / (now - first) if count > least else 0.0, flush=True)
"""
"""Only the question's form and its grammar are Mondrian's."""


def main() -> None:
    """Print the ratios and what they are made of; exit 1 if an aim is missed."""
    os.environ["MONDRIAN_UPDATE_INTERVAL"] = "0.25"  # tokens are counted in updates
    from support import tiny_mlx

    with tempfile.TemporaryDirectory() as folder:
        quick, checkpoint = Path(folder) / "quick", Path(folder) / "model"
        tiny_mlx.qwen3(quick, FEW_LAYERS)
        with bare_loop(quick) as bare:
            request = question(photograph(0))
            speed = max(run_bare(bare, request)[1] for _ in range(4))
        layers = round(FEW_LAYERS * max(1.0, speed / REAL_SPEED))
        tiny_mlx.qwen3(checkpoint, layers)
        print(f"a tiny Qwen3-VL of {layers} layers (of {FEW_LAYERS} it would write {speed:.0f}/s)")
        are_reached = [
            compare_speeds(checkpoint, Path(folder) / "home"),
            compare_servers(checkpoint, Path(folder)),
            compare_firsts(quick, Path(folder) / "last home"),
        ]
        compare_prompts(checkpoint)
    sys.exit(not all(are_reached))


@contextmanager
def bare_loop(checkpoint: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs ``BARE``."""
    command = [sys.executable, "-c", BARE, str(checkpoint)]
    command += map(str, (TOKENS, LEAST_TOKENS, TEMPERATURE))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def both(checkpoint: Path, home: Path) -> Iterator[tuple[Client, "subprocess.Popen[bytes]"]]:
    """A client of the service, and the bare loop, on the same checkpoint."""
    engine = f"mlx:{checkpoint}?max_tokens={TOKENS}&temperature={TEMPERATURE}"
    with (
        run_server(home, "--engine", engine) as address,
        Client(address) as client,
        bare_loop(checkpoint) as bare,
    ):
        yield client, bare


def compare_speeds(checkpoint: Path, home: Path) -> bool:
    """A job's client and the bare loop, in turn."""
    with both(checkpoint, home) as (client, bare):
        rows = []
        for number in range(RUNS + 1):
            photo = photograph(number)
            rows.append((run_bare(bare, question(photo))[1], run_job(client, photo)))
    return tell("guided", rows[1:])  # the first one warms


def compare_servers(checkpoint: Path, folder: Path) -> bool:
    """The same where no answer can be guided, and the client of mlx-vlm's server too."""
    with (
        without_guides(folder / "hidden"),
        both(checkpoint, folder / "second home") as (client, bare),
        mlx_server(checkpoint) as server,
    ):
        rows = []
        for number in range(RUNS + 1):
            photo = photograph(number)
            request = in_words(question(photo))
            _, alone = run_bare(bare, request)
            theirs = measure_server(server, str(checkpoint), request)
            rows.append((alone, run_job(client, photo), theirs))
    return tell("not guided", rows[1:])


def tell(name: str, rows: Sequence[Sequence[float]]) -> bool:
    """Print how fast a job and the server, if it was asked, were by the bare loop just before: the
    median, since a shared machine is now faster and now slower, and the quartiles, which tell how
    sure it is. Returns whether the aims are reached."""
    alone, *others = zip(*rows, strict=True)
    ratios = list[float]()
    line = f"tokens/s, {name}: bare loop {median(filter(None, alone)):.1f}"
    for who, speeds in zip(("a job's client", "mlx_vlm.server"), others, strict=False):
        each = [one / bare for bare, one in zip(alone, speeds, strict=True) if bare and one]
        if len(each) < LEAST_PAIRS:
            print(f"{line}; {len(each)} pairs of answers were long enough: too few to tell")
            return False
        low, middle, high = quantiles(each, n=4)
        ratios.append(middle)
        line += f", {who} {middle:.3f} of it ({low:.2f} to {high:.2f} of {len(each)})"
    print(f"{line}; {judge(ratios[0] >= SPEED_AIM, SPEED_AIM)}", flush=True)
    return ratios[0] >= SPEED_AIM and all(ratios[0] > ratio for ratio in ratios[1:])


def in_words(request: Request) -> Request:
    """The request with its schema in words, as ``mlx:`` asks where it cannot be enforced."""
    words = f"\n\nAnswer with JSON that follows this schema: {json.dumps(request.schema)}"
    return replace(request, prompt=request.prompt + words, schema=None)


@contextmanager
def without_guides(folder: Path) -> Iterator[None]:
    """Processes that are started meanwhile find no llguidance."""
    folder.mkdir()
    (folder / "llguidance.py").write_text("raise ImportError('hidden by a bench')")
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = before


def compare_firsts(checkpoint: Path, home: Path) -> bool:
    """The time to the first text of a job and of the bare loop, in turn."""
    with both(checkpoint, home) as (client, bare):
        rows = []
        for number in range(FIRSTS + 1):
            photo = photograph(number)
            first, _ = run_bare(bare, replace(question(photo), max_tokens=SOME_TOKENS))
            rows.append((first, *first_text(client, photo)))
    firsts, befores, measuring, afters = zip(*rows[1:], strict=True)
    more: float = min(b + a for _, b, _, a in rows[1:]) - min(firsts)
    before, measured, after = (min(times) * 1000 for times in (befores, measuring, afters))
    print(
        f"first text, at best: bare loop {min(firsts) * 1000:.0f} ms, a job's client "
        f"{more * 1000:+.0f} ms ({judge(more <= FIRST_AIM_SECONDS, FIRST_AIM_SECONDS)}): "
        f"{before:.0f} ms until the worker has the photo, then (not counted) {measured:.0f} ms to "
        f"measure it, and {after:.0f} ms until text is there"
    )
    return more <= FIRST_AIM_SECONDS


def run_bare(bare: "subprocess.Popen[bytes]", request: Request) -> tuple[float, float]:
    """Seconds to the first token, and tokens per second from then on, 0 of an answer too short."""
    import pickle

    assert bare.stdin is not None
    assert bare.stdout is not None
    pickle.dump(request, bare.stdin)
    bare.stdin.flush()
    first, speed = bare.stdout.readline().split()
    return float(first), float(speed)


def run_job(client: Client, photo: bytes) -> float:
    """Tokens per second of the first answer as a client sees them: those between the first and the
    last update with a count. (Text does not tell how many tokens it is.)"""
    job = client.submit(photo, advisor="ansel")["job_id"]
    counts = list[tuple[int, float]]()
    for event in client.watch(job, include=("tokens",)):
        if event.fields.get("phase") == "generating":
            counts.append((event.fields["tokens"], time.perf_counter()))
        elif counts and event.type == "thinking_update":
            break
    client.cancel(job)
    (some, began), (all_, ended) = counts[0], counts[-1]
    return (all_ - some) / (ended - began) if all_ > LEAST_TOKENS else 0.0


def first_text(client: Client, photo: bytes) -> tuple[float, float, float]:
    """Seconds from the upload to the phase in which the photo is measured, of that phase, and from
    its end to the first text, as a client of the stream sees them. The job is then cancelled."""
    began = time.perf_counter()
    job = client.submit(photo, advisor="ansel")["job_id"]
    phases = dict[str, float]()
    for event in client.watch(job, include=("tokens",), after=0):
        now = time.perf_counter()
        if event.type == "thinking_update":
            phases.setdefault(event.fields["phase"], now)
        if event.type == "token":
            break
    client.cancel(job)
    measured = min(phases[phase] for phase in ("encoding", "prefill") if phase in phases)
    return phases["measuring"] - began, measured - phases["measuring"], now - measured


def measure_server(address: str, model: str, request: Request) -> float:
    """Tokens per second that a client of ``mlx_vlm.server`` sees."""
    assert request.photo is not None
    url = f"data:image/jpeg;base64,{b64encode(request.photo).decode()}"
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": request.prompt},
    ]
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": content},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": TOKENS,
        "temperature": TEMPERATURE,
    }
    first, tokens = 0.0, 0
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body, timeout=60) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            told = json.loads(line[6:])
            if any(choice["delta"].get("content") for choice in told["choices"]):
                last = time.perf_counter()
                first = first or last
            tokens = (told.get("usage") or {}).get("completion_tokens") or tokens
    return (tokens - 1) / (last - first) if tokens > LEAST_TOKENS else 0.0


def compare_prompts(checkpoint: Path) -> None:
    """Three advisors of one photo against one."""
    photo = photograph(0)
    requests = [
        replace(question(photo, name), max_tokens=2) for name in ("ansel", "okeefe", "gogh")
    ]
    encoded, read, times = 0, list[int](), list[float]()
    with closing(open_engine(f"mlx:{checkpoint}")) as engine:
        list(engine.stream(Request(system="", prompt="Warm up.", max_tokens=2)))
        started = time.perf_counter()
        for request in requests:
            last = Token(text="")
            for item in engine.stream(request):
                if isinstance(item, Token):
                    last = item
                else:
                    encoded += is_encoding(item)
            read.append((last.prompt_tokens or 0) - (last.cached_tokens or 0))
            times.append(time.perf_counter() - started)
    ratio = sum(read) / read[0]
    print(
        f"three advisors: the photo encoded {encoded} time(s), tokens read {read}, ratio "
        f"{ratio:.2f}; {times[0]:.2f} s for one, "
        f"{times[-1]:.2f} s for three"
    )


def is_encoding(item: Progress) -> bool:
    """Whether this tells that the photo has been encoded."""
    return item.phase is Phase.ENCODING and item.done == 1


def question(photo: bytes, advisor: str = "ansel") -> Request:
    """What the engine is asked for a critique of ``photo``."""
    read = read_photo(photo)
    measured = measure(read)
    return make_request(read, load_advisors()[advisor], measured, find(measured), sees=True)


def photograph(number: int) -> bytes:
    """A real photograph; another cut of it for another ``number``."""
    from PIL import Image

    encoded = BytesIO()
    with Image.open(coffee()) as image:
        image.convert("RGB").crop((0, 0, 600 - number, 400)).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()


@contextmanager
def mlx_server(checkpoint: Path) -> Iterator[str]:
    """A real ``mlx_vlm.server`` in a process of its own, at the address that comes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlx_vlm.server", "--host", "127.0.0.1", "--port", port]
    command += ["--model", str(checkpoint), "--log-level", "ERROR"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    ) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            while not is_up(address):
                time.sleep(0.1)
            yield address
        finally:
            process.kill()


def is_up(address: str) -> bool:
    """Whether the server answers."""
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
