"""What a folder costs beyond its engine: the first run, the second one, and memory.

1. Photos with the embedded engine, read and measured one ahead: at most 1.05 times the larger of
   the bare engine's time for the same requests and of the measuring.
2. A second run over the same folder: under 10 ms a photo, from reading the file of judgements to
   the ranking and the contact sheet.
3. The same with sidecars that are as they should be: under 10 ms a photo, too.
4. Memory over 1,000 photos on a recording: that of this process grows by at most 5 % from the
   200th to the last.

SmolLM2 must have been pulled (`mondrian pull smollm2-135m`).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psutil
from PIL import Image

from common import coffee, judge, time_call
from mondrian.advisors import Advisor, load_advisors
from mondrian.answers import DIMENSIONS
from mondrian.catalogue import (
    Judge,
    Judged,
    Judgements,
    PhotoFile,
    Place,
    Sidecars,
    Skipped,
    Working,
    find_files,
    make_sheet,
    rank,
)
from mondrian.critiques.prompts import make_request
from mondrian.engines import Engine, open_engine
from mondrian.engines.replay import record
from mondrian.findings import find
from mondrian.measurements import prepare
from mondrian.measurements.reading import MeasuredPhoto, read_measured
from mondrian.photos.readers import PhotoReaders
from mondrian.settings import Settings

FIRST_RATIO = 1.05
SECOND_MS = 10.0
GROWTH = 1.05
_SETTLED = 200


def main() -> None:
    """Print a line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--engine", default="llamacpp:smollm2-135m")
    options = parser.parse_args()
    advisor = load_advisors()["ansel"]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        holds = compare_first_run(home / "few", options.photos, options.engine, advisor)
        holds &= measure_many(home / "many", options.many, advisor)
    if not holds:
        sys.exit(1)


def compare_first_run(home: Path, count: int, url: str, advisor: Advisor) -> bool:
    """Time a folder, the bare engine and the measuring. Return whether the limit holds."""
    files = make_photos(home / "photos", count, width=1600)
    with closing(open_engine(url)) as engine, closing(PhotoReaders(1, prepare=prepare)) as readers:
        photos = list[MeasuredPhoto]()
        readers.run(read_measured, files[0].path)  # the process has started
        measuring = time_call(
            lambda: photos.extend(readers.run(read_measured, file.path) for file in files)
        )
        run_bare(engine, photos[:1], advisor)  # the model is loaded
        bare = time_call(lambda: run_bare(engine, photos, advisor))
        whole = time_call(lambda: run_folder(home, files, engine, readers, advisor))
    ratio = whole / max(bare, measuring)
    print(
        f"{count} photos on {url}: {whole:.1f} s, the bare engine {bare:.1f} s, measuring "
        f"{measuring:.1f} s; ratio {ratio:.3f}, {judge(ratio <= FIRST_RATIO, FIRST_RATIO)}",
        flush=True,
    )
    return ratio <= FIRST_RATIO


def measure_many(home: Path, count: int, advisor: Advisor) -> bool:
    """Judge many small photos on a recording, then once more. Return whether the limits hold."""
    files = make_photos(home / "photos", count, width=120)
    home.mkdir(exist_ok=True)
    recording = record_answer(home / "answer.jsonl")
    with (
        closing(open_engine(f"replay:{recording}")) as engine,
        closing(PhotoReaders(1, prepare=prepare)) as readers,
    ):
        before, after = run_folder(home, files, engine, readers, advisor)
        second = time_call(lambda: run_again(home, engine, readers, advisor))
        run_again(home, engine, readers, advisor, writes_sidecars=True)
        third = time_call(lambda: run_again(home, engine, readers, advisor, writes_sidecars=True))
    growth, each, unchanged = after / before, 1000 * second / count, 1000 * third / count
    print(
        f"{count} photos on a recording: {before / 1e6:.1f} MB after {min(_SETTLED, count)}, "
        f"{after / 1e6:.1f} MB at the end; ratio {growth:.3f}, {judge(growth <= GROWTH, GROWTH)}"
    )
    for words, found in (("once more", each), ("once more with sidecars", unchanged)):
        print(f"{words}: {found:.2f} ms a photo, {judge(found < SECOND_MS, f'{SECOND_MS:g} ms')}")
    return growth <= GROWTH and max(each, unchanged) < SECOND_MS


def run_bare(engine: Engine, photos: Sequence[MeasuredPhoto], advisor: Advisor) -> None:
    """Ask the engine for each photo, and do nothing with what comes."""
    for photo in photos:
        findings = find(photo.measurements)
        request = make_request(photo, advisor, photo.measurements, findings, sees=engine.sees)
        for _ in engine.stream(request):
            pass


def run_folder(
    home: Path,
    files: Sequence[PhotoFile],
    engine: Engine,
    readers: PhotoReaders,
    advisor: Advisor,
) -> tuple[float, float]:
    """Judge all photos. Return the bytes of this process's memory early and at the end."""
    process, done, early = psutil.Process(), 0, 0.0
    with closing(make_judge(home, engine, readers, advisor).run(files)) as steps:
        for step in steps:
            if isinstance(step, Working):
                continue
            assert isinstance(step, Judged), step
            done += 1
            if done == min(_SETTLED, len(files)):
                early = process.memory_info().rss
    return early, process.memory_info().rss


def run_again(
    home: Path,
    engine: Engine,
    readers: PhotoReaders,
    advisor: Advisor,
    *,
    writes_sidecars: bool = False,
) -> None:
    """Go over the same folder, as the command does: rank it and make its contact sheet, and write
    its sidecars if that is wanted."""
    judgements = []
    sidecars = Sidecars(
        Judgements(home), Place.DARKTABLE, stars=Settings().stars, thumbnails=home / "thumbnails"
    )
    with closing(
        make_judge(home, engine, readers, advisor).run(find_files([home / "photos"]))
    ) as steps:
        for step in steps:
            assert isinstance(step, Skipped), step
            judgements.append((step.file, step.judgements))
            if writes_sidecars:
                sidecars.write(step.file, step.judgements)
    make_sheet(rank(judgements), title="bench", thumbnails=home / "thumbnails")


def make_judge(home: Path, engine: Engine, readers: PhotoReaders, advisor: Advisor) -> Judge:
    """Return one who judges photos in ``home``."""
    return Judge(
        Judgements(home),
        [advisor],
        engine,
        readers,
        version="bench",
        thumbnails=home / "thumbnails",
        interval_seconds=5.0,
        stall_seconds=300.0,
    )


def make_photos(folder: Path, count: int, width: int) -> list[PhotoFile]:
    """Write different crops of a photograph."""
    folder.mkdir(parents=True)
    with Image.open(coffee()) as image:
        photo = image.convert("RGB")
    for number in range(count):
        top, left = divmod(number, 150)
        crop = photo.crop((left, top, left + 420, top + 280))
        crop.resize((width, width * 2 // 3)).save(folder / f"{number:04}.jpg", quality=90)
    return find_files([folder])


def record_answer(path: Path) -> Path:
    """Record an answer that comes at once."""
    import json

    words = {"score": 6, "comment": "Well seen.", "recommendation": "Go on."}
    answer = {
        "image_description": "A photo.",
        "dimensions": [{"name": name, **words} for name in DIMENSIONS],
    }
    record(path, [{"text": json.dumps(answer), "tokens": 200}, {"finish": "stop"}])
    return path


if __name__ == "__main__":
    main()
