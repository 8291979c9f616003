"""Do overall scores mean something? Their spread over real photos, and pairs that were looked at.

In each pair of ``pairs.json`` the first photo is plainly better made than the second, by looking.

    .venv/bin/python bench/truth/rank.py FOLDER

``FOLDER`` was filled by ``fetch.py``.
"""

import argparse
import json
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from fetch import HERE, read_sources
from made import score_all

from mondrian.findings import find
from mondrian.measurements import measure
from mondrian.photos import read_photo


def score_photo(path: Path) -> float:
    """Return the overall score of the photo at ``path``, all dimensions weighing the same."""
    return score_all(find(measure(read_photo(path))))


def main() -> None:
    """Measure the photos and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    sources = read_sources()
    with ProcessPoolExecutor(given.processes) as pool:
        scored = pool.map(score_photo, [given.folder / source["file"] for source in sources])
        scores = dict(zip([source["id"] for source in sources], scored, strict=True))
    pairs = json.loads((HERE / "pairs.json").read_text())
    for better, worse in pairs:
        if scores[better] <= scores[worse]:
            print(f"  {better} {scores[better]} is not above {worse} {scores[worse]}")
    right = sum(scores[better] > scores[worse] for better, worse in pairs)
    spread = statistics.pstdev(scores.values())
    print(f"RIGHT ORDER in {right} of {len(pairs)} pairs, standard deviation {spread:.2f}")


if __name__ == "__main__":
    main()
