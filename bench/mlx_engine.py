"""What Mondrian costs around mlx-vlm, on a tiny checkpoint that is as slow as a real model.

1. Tokens per second that a client sees on a job's stream against a bare ``stream_generate`` loop in
   a process of its own; the aim is 0.99. Both write at the same time, in turns of 0.4 seconds:
   while one does, the other's process is stopped, since a machine that others use too is now
   faster and now slower. Two bare loops differ by 1 % so (the mean of five), 1.5 % each time. A
   pair of new processes each time, since two of the same program differ as well.
   Guided by a schema, and then free, where a client of ``mlx_vlm.server``, which cannot guide
   without Metal, shall see less. The checkpoint gets as many layers as make the bare loop write
   less than 200 tokens per second.
2. Seconds from the upload to the first text at a client of the job's stream, less those of the
   phase in which the photo is measured, against the bare loop, warm, with a new photo each time;
   the aim is 25 ms more. This on a checkpoint of few layers, whose prefill is short.
3. Three advisors on one photo against one: how often the photo is encoded, the tokens of the
   prompt that are read, and seconds until the first token. The checkpoint's tokenizer has 400
   words and its photo 16 tokens, so what is each advisor's own weighs several times as much as in
   a real model: the ratio has no aim here. ``bench/llamacpp.py`` has a real vocabulary.
"""

import json
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import httpx
import psutil

from common import coffee, judge, run_server
from mondrian.advisors import load_advisors
from mondrian.client import Client
from mondrian.critiques.prompts import make_request
from mondrian.engines import Phase, Progress, Request, Token, open_engine
from mondrian.findings import find
from mondrian.measurements import measure
from mondrian.photos import read_photo

TOKENS, RUNS, FIRSTS, FEW_LAYERS = 1500, 9, 20, 4
TURN_SECONDS = 0.4
LEAST_TURNS = 10  # an answer that ends before tells no speed
SERVER_TOKENS, LEAST_TOKENS, SERVER_RUNS = 400, 100, 6
SOME_TOKENS = 30  # within which there is text: mlx-vlm holds it back until a word ends
TEMPERATURE = 2.0  # at a usual one a model of random weights falls into loops, which are ended
REAL_SPEED = 160  # tokens per second: layers are not all that takes time, so it will be some more
SPEED_AIM, FIRST_AIM_SECONDS = 0.99, 0.025

BARE = """
import mmap, pickle, struct, sys, time
from pathlib import Path
from types import SimpleNamespace
import mlx_vlm
from mondrian.engines.mlx.engine import Mlx
asking = Mlx(path=Path(sys.argv[1]), max_tokens=int(sys.argv[2]), temperature=float(sys.argv[3]))
asking._model, asking._processor = model, processor = mlx_vlm.load(sys.argv[1])
asking._watch = SimpleNamespace(prompt=None, can_pause=True)  # not watched, nothing kept
with open(sys.argv[4], "r+b") as file:
    counter = mmap.mmap(file.fileno(), 8)
while True:
    request = pickle.load(sys.stdin.buffer)
    began = time.perf_counter()
    first = text = None
    for result in mlx_vlm.stream_generate(model, processor, **asking._make_arguments(request)):
        now = time.perf_counter()
        first = first or now
        text = text or (result.text and now)
        counter[:8] = struct.pack("q", result.generation_tokens)
    print((text or now) - began, (result.generation_tokens - 1) / (now - first), flush=True)
"""
"""Only the question's form and its grammar are Mondrian's."""


def main() -> None:
    """Print the ratios and what they are made of; exit 1 if an aim is missed."""
    from support import tiny_mlx

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        quick, checkpoint = folder / "quick", folder / "model"
        tiny_mlx.qwen3(quick, FEW_LAYERS)
        with bare_loop(quick, 400) as bare:
            request = question(photograph(0))
            speed = max(bare.run(request)[1] for _ in range(4))
        layers = round(FEW_LAYERS * max(1.0, speed / REAL_SPEED))
        tiny_mlx.qwen3(checkpoint, layers)
        print(f"a tiny Qwen3-VL of {layers} layers (of {FEW_LAYERS} it would write {speed:.0f}/s)")
        guided = compare_speeds(checkpoint, folder / "home", is_guided=True)
        remove_end(checkpoint)
        free = compare_speeds(checkpoint, folder / "second home", is_guided=False)
        are_reached = [
            guided >= SPEED_AIM,
            free >= SPEED_AIM,
            free > measure_servers(checkpoint),
            compare_firsts(quick, folder / "last home"),
        ]
        compare_prompts(checkpoint)
    sys.exit(not all(are_reached))


def remove_end(checkpoint: Path) -> None:
    """Make the end of an answer a token that the model cannot write: random words end early."""
    config, tokenizer, settings = (
        checkpoint / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json")
    )
    read = {path: json.loads(path.read_text()) for path in (config, tokenizer, settings)}
    beyond = read[config]["vocab_size"]
    read[config]["eos_token_id"] = beyond
    added = read[tokenizer]["added_tokens"]
    added.append({**added[0], "id": beyond, "content": "<|never|>"})
    read[settings]["eos_token"] = "<|never|>"
    for path, content in read.items():
        path.write_text(json.dumps(content))


@dataclass(frozen=True)
class Bare:
    """A process that runs ``BARE``; ``counter`` is where it counts the tokens of an answer."""

    process: "subprocess.Popen[bytes]"
    counter: mmap.mmap

    @property
    def tokens(self) -> int:
        """The tokens of the answer so far."""
        return int(struct.unpack("q", self.counter[:8])[0])

    def ask(self, request: Request) -> None:
        """Have it begin an answer."""
        assert self.process.stdin is not None
        self.counter[:8] = struct.pack("q", 0)
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()

    def read(self) -> tuple[float, float]:
        """Wait for the end of the answer, and return the seconds to its first text and its tokens
        per second from the first token on."""
        assert self.process.stdout is not None
        first, speed = self.process.stdout.readline().split()
        return float(first), float(speed)

    def run(self, request: Request) -> tuple[float, float]:
        """Ask, and read."""
        self.ask(request)
        return self.read()


@contextmanager
def bare_loop(checkpoint: Path, tokens: int = TOKENS) -> Iterator[Bare]:
    """A bare loop that writes so many tokens."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(struct.pack("q", 0))
        file.flush()
        command = [sys.executable, "-c", BARE, str(checkpoint)]
        command += map(str, (tokens, TEMPERATURE, file.name))
        with (
            mmap.mmap(file.fileno(), 8) as counter,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        ):
            try:
                yield Bare(process, counter)
            finally:
                process.kill()


@contextmanager
def both(checkpoint: Path, home: Path) -> Iterator[tuple[Client, Bare]]:
    """A client of the service, and the bare loop, on the same checkpoint."""
    engine = f"mlx:{checkpoint}?max_tokens={TOKENS}&temperature={TEMPERATURE}"
    with (
        run_server(home, "--engine", engine) as address,
        Client(address) as client,
        bare_loop(checkpoint) as bare,
    ):
        yield client, bare


def compare_speeds(checkpoint: Path, home: Path, *, is_guided: bool) -> float:
    """Print and return the median of how fast a job is by the bare loop."""
    name, ratios = "guided" if is_guided else "not guided", list[float]()
    hidden = nullcontext() if is_guided else without_guides(home.with_name("hidden"))
    with hidden:
        for number in range(RUNS):  # of new processes: two of the same program differ, too
            photo = photograph(number)
            request = question(photo) if is_guided else in_words(question(photo))
            with both(checkpoint, home) as (client, bare):
                alone, job = run_in_turns(checkpoint, client, bare, photo, request)
            print(f"{name}: bare loop {alone:.1f} tokens/s, a job's client {job:.1f}", flush=True)
            if alone and job:
                ratios.append(job / alone)
    middle = median(ratios) if ratios else 0.0
    found = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    print(f"{name}: a job's client {middle:.3f} of the bare loop (of {found}); "
          f"{judge(middle >= SPEED_AIM, SPEED_AIM)}", flush=True)  # fmt: skip
    return middle


def run_in_turns(
    checkpoint: Path, client: Client, bare: Bare, photo: bytes, request: Request
) -> tuple[float, float]:
    """Tokens per second of the bare loop and of a job's client while they write in turns; 0 if an
    answer was too short."""
    bare.ask(request)
    job = client.submit(photo, advisor="ansel")["job_id"]
    counts = list[tuple[int, float]]()
    reader = Thread(target=_read_counts, args=(client, job, counts))
    reader.start()
    while not bare.tokens:
        time.sleep(0.01)
    bare.process.send_signal(signal.SIGSTOP)
    while not counts and reader.is_alive():
        time.sleep(0.01)
    engine = find_engine(checkpoint)
    turns, tokens, seconds = list[tuple[float, float]](), 0, 0.0
    while reader.is_alive() and bare.tokens < TOKENS:
        engine.suspend()
        before, began = bare.tokens, time.perf_counter()
        bare.process.send_signal(signal.SIGCONT)
        time.sleep(TURN_SECONDS)
        tokens += bare.tokens - before
        bare.process.send_signal(signal.SIGSTOP)
        seconds += time.perf_counter() - began
        began = time.perf_counter()
        engine.resume()
        time.sleep(TURN_SECONDS)
        turns.append((began, time.perf_counter()))

    def spent(now: float) -> float:
        return sum(min(ended, now) - began for began, ended in turns if began < now)

    within = [each for each in counts if turns and turns[0][0] <= each[1] <= turns[-1][1]]
    client.cancel(job)
    reader.join()
    bare.process.send_signal(signal.SIGCONT)
    if len(turns) < LEAST_TURNS or len(within) < 2:
        return 0.0, 0.0
    (some, began), (all_, ended) = within[0], within[-1]
    return tokens / seconds, (all_ - some) / (spent(ended) - spent(began))


def _read_counts(client: Client, job: str, counts: list[tuple[int, float]]) -> None:
    """Append the tokens of each update of the first answer, and when a client saw them. (Text does
    not tell how many tokens it is.)"""
    for event in client.watch(job, include=("tokens",)):
        if event.fields.get("phase") == "generating":
            counts.append((event.fields["tokens"], time.perf_counter()))
        elif counts and event.type == "thinking_update":
            break


def find_engine(checkpoint: Path) -> psutil.Process:
    """The engine's process."""
    return next(
        process
        for process in psutil.process_iter(["cmdline"])
        if "mondrian.engines" in (process.info["cmdline"] or ())
        and f"mlx:{checkpoint}?" in " ".join(process.info["cmdline"])
    )


def measure_servers(checkpoint: Path) -> float:
    """Print and return how fast a client of mlx-vlm's server is by the bare loop just before."""
    ratios = list[float]()
    with bare_loop(checkpoint, SERVER_TOKENS) as bare, mlx_server(checkpoint) as server:
        for number in range(SERVER_RUNS + 1):
            request = in_words(question(photograph(number)))
            _, alone = bare.run(request)
            if speed := measure_server(server, str(checkpoint), request):
                ratios.append(speed / alone)
    middle = median(ratios[1:])  # the first one warms
    print(f"not guided: a client of mlx_vlm.server {middle:.3f} of it", flush=True)
    return middle


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
            first, _ = bare.run(replace(question(photo), max_tokens=SOME_TOKENS))
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
        "max_tokens": SERVER_TOKENS,
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
