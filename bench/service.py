"""What the service costs: python bench/service.py

Upload: seconds from the first byte of ``POST /upload`` of a 12-megapixel photo to the first event
with content at a client, while the model loads and when it is warm; the limit is 100 ms. Beside it
what reading that photo alone takes in this process at that moment.

Speed: the engine's own tokens per second in a job (paced, stored, streamed to a client) against a
bare loop over the same engine and request, in turns; the limit is a cost of 1 %. SmolLM2 must have
been pulled (`mondrian pull smollm2-135m`).
"""

import io
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import httpx
from PIL import Image

from common import coffee, recording, run_server
from mondrian.advisors import load_advisors
from mondrian.client import Client
from mondrian.critiques.prompts import make_request
from mondrian.engines import Engine, Request, Token, open_engine
from mondrian.findings import find
from mondrian.measurements import measure
from mondrian.models import find_model
from mondrian.photos import read_photo
from mondrian.settings import Settings

UPLOAD_LIMIT_SECONDS = 0.100
SPEED_LIMIT = 0.99
UPLOADS = 15


def main() -> None:
    """Run everything and print a line each."""
    model = find_model("smollm2-135m", Settings.read().home)
    with tempfile.TemporaryDirectory() as folder:
        replay = f"replay:{recording(Path(folder) / 'r.jsonl')}?speed=0.2&sees=true"
        slow = Path(folder) / "loading.jsonl"
        slow.write_text('{"phase":"loading"}\n{"after":600,"finish":"stop"}\n')
        with run_server(Path(folder) / "home 1", "--engine", f"replay:{slow}") as address:
            measure_uploads(address, "loading")
        with run_server(Path(folder) / "home 2", "--engine", replay) as address:
            measure_uploads(address, "warm")
            measure_speed(address, replay, "replay at 200 tokens/s")
        with run_server(Path(folder) / "home 3", "--engine", f"llamacpp:{model}") as address:
            measure_speed(address, f"llamacpp:{model}", "SmolLM2")


def measure_uploads(address: str, when: str) -> None:
    """Upload the same photo again and again, cancelling each job once it was seen."""
    photo = twelve_megapixels()
    whole, alone = [], []
    with httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(UPLOADS):
            started = time.perf_counter()
            answer = client.post("/upload", files={"image": ("p.jpg", photo)}).json()
            with client.stream("GET", f"/stream/{answer['job_id']}") as stream:
                next(line for line in stream.iter_lines() if line == "event: status_update")
                whole.append(time.perf_counter() - started)
            client.delete(f"/jobs/{answer['job_id']}").raise_for_status()
            started = time.perf_counter()
            read_photo(photo)
            alone.append(time.perf_counter() - started)
    verdict = "holds" if median(whole) <= UPLOAD_LIMIT_SECONDS else "MISSED"
    print(
        f"upload of 12 MP to the first event, {when}: median {median(whole) * 1000:.0f} ms, "
        f"worst {max(whole) * 1000:.0f} ms "
        f"(limit {UPLOAD_LIMIT_SECONDS * 1000:.0f} ms: {verdict}); "
        f"reading it alone {median(alone) * 1000:.0f} ms"
    )


def measure_speed(address: str, url: str, name: str, runs: int = 3) -> None:
    """The engine's own speed in jobs and in a bare loop, in turns."""
    photo = read_photo(coffee())
    measurements = measure(photo)
    ratios = []
    with closing(open_engine(url)) as engine, Client(address) as client:
        findings, advisor = find(measurements), load_advisors()["ansel"]
        request = make_request(photo, advisor, measurements, findings, sees=engine.sees)
        bare_speed(engine, request)
        for _ in range(runs):
            bare = bare_speed(engine, request)
            job = client.submit(coffee(), advisor="ansel")["job_id"]
            for _ in client.watch(job, include=("tokens",)):
                pass
            ratios.append(client.report(job)["engine"]["tokens_per_second"] / bare)
    verdict = "holds" if median(ratios) >= SPEED_LIMIT else "MISSED"
    print(
        f"engine's tokens/s in a job against a bare loop, {name}: {median(ratios):.4f} "
        f"(limit {SPEED_LIMIT}: {verdict}); runs {json.dumps([round(r, 4) for r in ratios])}"
    )


def bare_speed(engine: Engine, request: Request) -> float:
    """The engine's speed at the end of a stream."""
    speed = 0.0
    for item in engine.stream(request):
        if isinstance(item, Token) and item.generation_tps:
            speed = item.generation_tps
    return speed


def twelve_megapixels() -> bytes:
    """A real photograph, enlarged to 4000 × 3000 pixels."""
    encoded = io.BytesIO()
    with Image.open(coffee()) as image:
        image.convert("RGB").resize((4000, 3000)).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()


if __name__ == "__main__":
    main()
