"""Takes pictures of each state of the page: ``python -m support.screenshots FOLDER``.

The photo is drawn here, and what is said of it is a recording.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from mondrian.answers import DIMENSIONS
from mondrian.engines.replay import record
from support.browser import Served, chromium_options

SIZES = {"desk": (1280, 860), "phone": (390, 844)}
_QUALITY = 82

_SAID = {
    "ansel": [
        (7.5, "The boat stands near the lower left third, and the shore carries the eye to it.",
         "Give the bow a little more room on the right."),
        (8.0, "The low sun models the hills; a small part of the sky is gone to white.",
         "Expose for the sky, and lift the shore afterwards."),
        (7.0, "The boat is crisp, and the far hills are soft, as they should be.", ""),
        (8.5, "Ochre and blue answer each other, and nothing quarrels with them.", ""),
        (6.5, "The hull is dark on dark water, and part of its outline is lost.",
         "Wait until the light reaches the hull, or come lower."),
        (7.5, "Water, shore and hills lie behind each other in three clear bands.",
         "Put something near into the lower corner."),
        (5.0, "The right half is empty, and the frame leans to the left.",
         "Take a step to the right, or crop the right edge by a tenth."),
        (7.8, "A still evening, told without haste.", ""),
    ],
    "weston": [
        (6.0, "The boat is where one expects it.", "Come closer, until the form fills the frame."),
        (7.0, "The light is kind and says little of the form.", "Look for light from the side."),
        (8.0, "Every plank can be counted.", ""),
        (6.5, "Colour does the work that form should do.", "See it once without colour."),
        (8.0, "The hull stands alone upon the water.", ""),
        (6.0, "The bands behind are a stage, no more.", ""),
        (7.5, "Weight lies low, where it belongs.", ""),
        (6.0, "It is pleasant; it is not yet necessary.", "Stay until it is."),
    ],
}  # fmt: skip
_NAMES = {"ansel": "Ansel Adams", "weston": "Edward Weston", "gogh": "Vincent van Gogh"}


def draw_photo() -> bytes:
    """Draw an evening by a lake, with a boat."""
    width, height = 1500, 1000
    y, x = np.mgrid[0:height, 0:width].astype(float)
    sun = np.exp(-(((x - 1050) / 260) ** 2 + ((y - 330) / 170) ** 2))
    sky = np.stack([235 - y * 0.1, 190 - y * 0.12, 150 + y * 0.06], -1) + 120 * sun[..., None]
    image = Image.fromarray(sky.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for base, swing, colour in ((470, 90, "#8d8aa0"), (520, 60, "#6b6a7e"), (560, 35, "#4c4a55")):
        line = [(n, base - swing * np.sin(n / 210 + base) - swing / 3 * np.sin(n / 67)) for n in
                range(0, width + 10, 10)]  # fmt: skip
        draw.polygon([(0, 600), *line, (width, 600)], fill=colour)
    water = np.asarray(image)[200:600][::-1].astype(float) * 0.62
    image.paste(Image.fromarray(water.astype(np.uint8)).resize((width, 400)), (0, 600))
    image = image.filter(ImageFilter.GaussianBlur(3))
    draw = ImageDraw.Draw(image)
    draw.polygon([(420, 712), (760, 700), (720, 772), (470, 776)], fill="#3a2418")
    draw.line([(420, 712), (760, 700)], fill="#d8a45c", width=7)
    for n in range(4):
        draw.line(
            [(452 + 8 * n, 724 + 13 * n), (742 - 6 * n, 716 + 13 * n)], fill="#6b4329", width=2
        )
    draw.line([(590, 706), (592, 520)], fill="#2a1a10", width=8)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 2.5, (height, width, 1))
    pixels = (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def write_said(path: Path) -> str:
    """Write the recording, and return its engine's URL: ``gogh`` fails, the others are slow."""
    lines: list[dict[str, Any]] = []
    for advisor, judged in _SAID.items():
        dimensions = [
            {"name": name, "score": score, "comment": comment, "recommendation": advice}
            for name, (score, comment, advice) in zip(DIMENSIONS, judged, strict=True)
        ]
        said = {"image_description": "A rowing boat on a still lake in the evening, with hills "
                "behind.", "dimensions": dimensions}  # fmt: skip
        text = json.dumps(said)
        when = f"Who you are: {_NAMES[advisor]}"
        lines += [
            {"after": 0.03, "text": text[n : n + 8], "tokens": 2, "when": when}
            for n in range(0, len(text), 8)
        ]
    lines.append({"error": "The engine ran out of memory.", "when": f"are: {_NAMES['gogh']}"})
    record(path, [*lines, {"finish": "stop"}])
    return f"replay:{path}?slots=4"


@contextmanager
def _serving() -> Iterator[Served]:
    with TemporaryDirectory(prefix="mondrian-pages-") as folder:
        engine = write_said(Path(folder) / "said.jsonl")
        served = Served(["--home", Path(folder) / "home", "--engine", engine, "--interval", "1"])
        served.start()
        yield served
        served.stop()


def main() -> None:
    """Take the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with _serving() as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**chromium_options())
        photo = draw_photo()
        done = served.send("evening-at-the-lake.jpg", photo=photo, advisor="ansel,weston")
        failed = served.send("evening-at-the-lake.jpg", photo=photo, advisor="gogh")
        for job in (done, failed):
            served.await_end(job, 180)
        for size in SIZES:
            for scheme in ("light", "dark"):
                _take(browser, served, folder, size, scheme, done, failed, photo)
        browser.close()


def _take(
    browser: Browser,
    served: Served,
    folder: Path,
    size: str,
    scheme: str,
    done: str,
    failed: str,
    photo: bytes,
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=served.url,
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": height},
        device_scale_factor=1,
    )
    page = context.new_page()

    def shoot(name: str) -> None:
        path = folder / f"{name}-{size}-{scheme}.jpg"
        page.screenshot(path=path, type="jpeg", quality=_QUALITY)

    page.goto("/")
    upload = {"name": "evening-at-the-lake.jpg", "mimeType": "image/jpeg", "buffer": photo}
    page.set_input_files("input[type=file]", upload)  # type: ignore[arg-type]
    page.wait_for_timeout(200)
    shoot("send")
    live = served.send("evening-at-the-lake.jpg", photo=photo, advisor="ansel")
    page.goto(f"/jobs/{live}")
    _await_cards(page, 3)
    shoot("watch")
    page.goto(f"/jobs/{done}")
    page.wait_for_timeout(300)
    shoot("read")
    page.locator("[data-dimension='Composition']").first.scroll_into_view_if_needed()
    page.locator("[data-dimension='Composition']").first.focus()
    page.wait_for_timeout(500)
    shoot("overlay")
    page.goto(f"/jobs/{done}/compare")
    shoot("compare")
    page.goto("/jobs")
    page.wait_for_timeout(400)
    shoot("history")
    page.goto(f"/jobs/{failed}")
    shoot("failed")
    page.goto("/login")
    shoot("login")
    page.goto("/nowhere")
    shoot("missing")
    served.await_end(live)
    context.close()


def _await_cards(page: Page, many: int) -> None:
    page.wait_for_function(
        "many => document.querySelectorAll('.card.done').length >= many", arg=many, timeout=60_000
    )


if __name__ == "__main__":
    main()
