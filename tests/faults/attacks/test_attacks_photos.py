"""Photos that are attacks: what came of them, and what they cost all of Mondrian's processes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import httpx
import psutil
import pytest

from faults.conftest import Attacking
from support import bombs
from support.attacks import Target
from support.pngs import png
from support.service import KEY, bearer
from support.uploads import jpeg
from support.working import wait_for

SECONDS = 600.0

FILES: dict[str, Callable[[], bytes]] = {
    "TIFF, directories that name each other, 15 KB": partial(bombs.looping_directories, 1200),
    "TIFF, directories that name each other, 786 KB": partial(bombs.looping_directories, 65_535),
    "TIFF, a directory followed by itself": bombs.next_directory_is_itself,
    "TIFF, 25,000 tags over one megabyte": partial(bombs.overlapping_tags, 25_000, 2**20),
    "TIFF, a million strips": partial(bombs.many_strips, 1_000_000),
    "TIFF, 100 megapixels packed": partial(bombs.packed_tiff, 11_648, 8736),
    "JPEG, 2 million comments": partial(bombs.empty_segments, 2_000_000, 0xFE),
    "JPEG, 12 million segments, 48 MB": partial(bombs.empty_segments, 12_000_000, 0xEF),
    "JPEG, 5,000 EXIF tags over the same bytes": partial(bombs.overlapping_exif, 5000, 4000),
    "JPEG, 80 more scans of 48 megapixels": partial(bombs.many_scans, 80, 8000, 6000),
    "JPEG, 1,000 scans": partial(bombs.many_scans, 1000, 640, 480),
    "JPEG, a profile of 40,000 elements, 323 KB": partial(bombs.profiled, "JPEG", 40_000),
    "PNG, a profile of 20,000 elements, 12 KB": partial(bombs.profiled, "PNG", 20_000),
    "PNG, a million private chunks": partial(bombs.private_chunks, 1_000_000),
    "PNG, a million empty IDAT": partial(bombs.empty_picture_chunks, 1_000_000),
    "PNG, 300 MB of text packed": partial(bombs.packed_text, 300),
    "PNG, 300 MB of profile packed": partial(bombs.packed_profile, 300),
    "PNG, 100 megapixels of one colour": partial(bombs.flat_png, 16_000, 6300),
    "PNG, 2,500 megapixels claimed": partial(png, 50_000, 50_000, 8, 2),
    "WebP, 268 megapixels claimed": partial(bombs.webp_of, 16_383, 16_383),
    "JPEG, 102 megapixels cut in half": lambda: bombs.truncated(bombs.flat_jpeg(11_648, 8736)),
    "a web page that begins as a JPEG": bombs.page_as_photo,
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file(name: str, target: Target, attack: Attacking) -> None:
    attack(name, target, partial(send, FILES[name]()))
    assert upload(target, jpeg()).status_code == 201  # and it goes on


def send(content: bytes, target: Target) -> str:
    """Upload it, and tell what came."""
    answer = upload(target, content)
    assert answer.status_code in (201, 400, 413, 415), answer.text
    return f"{answer.status_code} {answer.json().get('code', '')}".strip()


def upload(target: Target, content: bytes) -> httpx.Response:
    files = {"image": ("p.jpg", content)}
    return httpx.post(f"{target.url}/upload", headers=bearer(KEY), files=files, timeout=SECONDS)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF", "TIFF"])
def test_broken_bytes(format_: str, target: Target, attack: Attacking) -> None:
    def send_all(target: Target) -> str:
        answers = [upload(target, each) for each in bombs.broken(format_, range(20))]
        assert {answer.status_code for answer in answers} <= {201, 400, 413, 415}
        refused = sum(answer.status_code != 201 for answer in answers)
        return f"{refused} refused, {len(answers) - refused} read"

    attack(f"{format_}, 20 with bytes changed by chance", target, send_all)


def readers_of(target: Target) -> list[psutil.Process]:
    children = target.process.children()
    return [each for each in children if "mondrian.process" in each.cmdline()]


def test_clients_that_leave_hold_up_nobody(target: Target, attack: Attacking) -> None:
    bomb = bombs.flat_png(16_000, 6300)

    def leave(target: Target) -> str:
        def send_and_leave(_: int) -> None:
            with suppress(httpx.TimeoutException):
                files = {"image": ("p.png", bomb)}
                httpx.post(f"{target.url}/upload", headers=bearer(KEY), files=files, timeout=2)

        with ThreadPoolExecutor(8) as clients:
            list(clients.map(send_and_leave, range(8)))
        assert upload(target, jpeg()).status_code == 201
        return "an ordinary upload is served"

    attack("8 clients that send 100 megapixels and leave", target, leave)


def test_thumbnails_at_once(target: Target, attack: Attacking) -> None:
    job = upload(target, bombs.flat_jpeg(11_648, 8736)).json()["job_id"]

    def look(target: Target) -> str:
        def get(_: int) -> int:
            path = f"{target.url}/photo/{job}.jpg?width=8192"
            return httpx.get(path, headers=bearer(KEY), timeout=SECONDS).status_code

        with ThreadPoolExecutor(6) as clients:
            assert set(clients.map(get, range(6))) == {200}
        return "200, six times"

    attack("6 previews of 102 megapixels at once", target, look)


def test_a_reader_that_is_killed(target: Target, attack: Attacking) -> None:
    def kill(target: Target) -> str:
        over = threading.Event()

        def strike() -> None:
            busy = max(readers_of(target), key=lambda each: each.cpu_times().user, default=None)
            while busy and not over.is_set():
                with suppress(psutil.NoSuchProcess):
                    if busy.memory_info().rss > 150_000_000:
                        busy.kill()
                        return
                    busy = max(readers_of(target), key=lambda each: each.memory_info().rss)

        striking = threading.Thread(target=strike)
        striking.start()
        answer = upload(target, photo)
        over.set()
        striking.join()
        assert answer.status_code == 201, answer.text
        return "201: read again by another"

    photo = bombs.flat_png(8000, 6000)
    wait_for(lambda: readers_of(target))
    attack("SIGKILL for the process that reads a photo", target, kill)


def test_100_uploads_at_once(target: Target, attack: Attacking) -> None:
    content = jpeg(4000, 3000)

    def crowd(target: Target) -> str:
        with ThreadPoolExecutor(100) as clients:
            answers = list(clients.map(lambda _: upload(target, content).status_code, range(100)))
        assert set(answers) <= {201, 429, 503, 507}
        return f"{answers.count(201)} accepted"

    attack("100 uploads of 12 megapixels at once", target, crowd)
