"""The ``mlx:`` engine on tiny checkpoints of more architectures, against mlx-vlm's own answers."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mondrian.engines import Phase, Progress, Request, Token, open_engine
from support.more_tiny_mlx import MAKERS
from support.working import jpeg

pytestmark = pytest.mark.slow

# longer than a prefill chunk, so that a photo misread behind one would show
PROMPT = "What is there? " * 150
ASKED = Request(system="You are a critic.", prompt=PROMPT, photo=jpeg(), max_tokens=12)
SCHEMA = {
    "type": "object",
    "properties": {"light": {"enum": ["soft", "hard"]}},
    "required": ["light"],
    "additionalProperties": False,
}
REFERENCE = """
import json, sys
from pathlib import Path
import mlx_vlm
from mondrian.engines import Request
from mondrian.engines.mlx.engine import Mlx
folder, photo, prompt = sys.argv[1:]
for path in sorted(Path(folder).iterdir()):
    model, processor = mlx_vlm.load(str(path))
    asking = Mlx(path=path)
    asking._model, asking._processor = model, processor
    request = Request(system="You are a critic.", prompt=prompt, photo=Path(photo).read_bytes())
    text = asking._format_prompt(request, None)
    said = mlx_vlm.generate(
        model, processor, text, [photo], max_tokens=12, temperature=0.0,
        prefill_step_size=sys.maxsize,
    )
    print(json.dumps([path.name, said.text]), flush=True)
"""
"""What ``generate()`` answers at temperature 0, each prompt read in one piece."""


@pytest.fixture(scope="module")
def more_checkpoints(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint for each of ``MAKERS``; ``checkpoints`` skips where there is no MLX."""
    folder = tmp_path_factory.mktemp("more")
    command = [sys.executable, "-m", "support.more_tiny_mlx", str(folder)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    return folder


@pytest.fixture(scope="module")
def expected(more_checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    photo = tmp_path_factory.mktemp("photo") / "photo.jpg"
    photo.write_bytes(jpeg())
    command = [sys.executable, "-c", REFERENCE, str(more_checkpoints), str(photo), PROMPT]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(line) for line in lines.splitlines() if line.startswith("["))


@pytest.mark.parametrize("name", MAKERS)
def test_a_photo_and_a_long_prompt_are_read_as_mlx_vlm_reads_them(
    name: str, more_checkpoints: Path, expected: dict[str, str]
) -> None:
    with closing(open_engine(f"mlx:{more_checkpoints / name}?temperature=0")) as engine:
        texts, phases = [], list[Phase]()
        for _ in range(2):
            items = list(engine.stream(ASKED))
            texts.append("".join(item.text for item in items if isinstance(item, Token)))
            phases += [item.phase for item in items if isinstance(item, Progress)]
        assert texts == [expected[name]] * 2
        assert Phase.ENCODING in phases
        guided = Request(system="", prompt="Well?", photo=jpeg(), schema=SCHEMA, max_tokens=40)
        tokens = [item for item in engine.stream(guided) if isinstance(item, Token)]
        assert json.loads("".join(token.text for token in tokens))["light"] in ("soft", "hard")
        assert tokens[-1].finish_reason == "stop"
