"""The wheel, installed into an empty environment outside of the checkout (``make wheel``)."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import httpx
import pytest

from support.working import jpeg, recording

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.skipif(
        "MONDRIAN_TEST_WHEEL" not in os.environ,
        reason="`make wheel` runs it: it installs everything again",
    ),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def mondrian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the installed command."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    [wheel] = folder.glob("*.whl")
    assert wheel.name.startswith("mondrian_critique-")
    venv.create(folder / "venv", with_pip=True)
    install = [folder / "venv/bin/python", "-m", "pip", "install", str(wheel)]
    constraints = ["--constraint", str(ROOT / "constraints.txt")] if "CI" in os.environ else []
    subprocess.run([*map(str, install), *constraints], check=True)
    return folder / "venv" / "bin" / "mondrian"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without anything of the checkout's."""
    names = ("PATH", "LANG", "MONDRIAN_OFFLINE", "MONDRIAN_POSTGRES")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "MONDRIAN_HOME": str(tmp_path / "home")}


def test_the_wheel_critiques(mondrian: Path, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    command = [str(mondrian), "critique", "photo.jpg", "--engine", recording(tmp_path)]
    command += ["--html", "report.html", "--pdf", "report.pdf"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ansel Adams" in done.stdout
    assert "<html" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_wheel_serves(mondrian: Path, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    command = [str(mondrian), "serve", "--port", "0", "--engine", recording(tmp_path)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = next(
                found[0]
                for line in server.stdout
                if (found := re.search(r"http://[\d.]+:\d+", line))
            )
            assert httpx.get(f"{address}/health").json()["status"] == "UP"
            submit = [str(mondrian), "submit", "photo.jpg", "--server", address]
            job = subprocess.run(
                submit, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
            ).stdout.strip()
            watch = [str(mondrian), "watch", job, "--server", address]
            seen = subprocess.run(
                watch, cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert seen.returncode == 0, seen.stderr
            assert "Ansel Adams" in seen.stdout
        finally:
            server.terminate()
