"""What is measured in a photo does not depend on the CPU: on its kernels for linear algebra
(OpenBLAS) and for arrays (NumPy). The network for the subject is not used here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

CODE = """
import dataclasses, json
from pathlib import Path
import skimage
from mondrian.measurements import measure
from mondrian.photos import read_photo
data = Path(skimage.__file__).parent / "data"
photos = [read_photo(data / name) for name in ("coffee.png", "astronaut.png", "camera.png")]
print(json.dumps([dataclasses.asdict(measure(photo, home=data)) for photo in photos]))
"""
CORES = ("PRESCOTT", "NEHALEM", "SANDYBRIDGE", "HASWELL", "SKYLAKEX")
FEATURES = ("AVX512_SKX", "AVX2 FMA3", "X86_V4", "X86_V4 X86_V3")


def measure_on(**environment: str) -> list[dict[str, Any]] | None:
    """The measurements of three real photos, or ``None`` where the CPU cannot run so."""
    ran = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        env={**os.environ, **environment},
        text=True,
    )
    return json.loads(ran.stdout) if ran.returncode == 0 else None


def figures(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from figures(each, f"{path}.{key}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from figures(each, f"{path}[{place}]")
    else:
        yield path, value


def is_like(path: str, one: Any, other: Any) -> bool:
    if not isinstance(one, float):
        return bool(one == other)
    return bool(other == pytest.approx(one, rel=1e-6, abs=1e-6))


@pytest.fixture(scope="module")
def here() -> list[dict[str, Any]]:
    measured = measure_on()
    assert measured is not None
    return measured


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OPENBLAS_CORETYPE", core) for core in CORES]
    + [("NPY_DISABLE_CPU_FEATURES", features) for features in FEATURES],
)
def test_figures_are_the_same_on_all_cpus(
    here: list[dict[str, Any]], variable: str, value: str
) -> None:
    there = measure_on(**{variable: value})
    if there is None:
        pytest.skip(f"this machine cannot run with {variable}={value}")
    pairs = zip(figures(here), figures(there), strict=True)
    assert [a for a, b in pairs if a[0] != b[0] or not is_like(a[0], a[1], b[1])] == []
