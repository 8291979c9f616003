"""A checkpoint is data: no code that it brings runs, and its process knows no secrets."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mondrian.engines import open_engine
from mondrian.errors import UnknownEngine
from mondrian.models.local import find_code
from mondrian.process.parent import clean_environment

EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def checkpoint(checkpoints: Path, tmp_path: Path) -> Path:
    """A checkpoint of the test's own that can be loaded, with a program beside it."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints / "qwen3", folder)
    (folder / "evil.py").write_text(EVIL)
    return folder


def change(path: Path, **changes: Any) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | changes))


@pytest.mark.parametrize(
    ("file", "changes", "where"),
    [
        ("config.json", {"model_file": "evil.py"}, "model_file in config.json"),
        ("config.json", {"model_file": "../checkpoint/evil.py"}, "model_file in config.json"),
        ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}, "auto_map in config.json"),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "evil.M"}}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}}, "auto_map"),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "evil.P"}}, "auto_map"),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.P"}}, "auto_map"),
    ],
)
def test_a_checkpoint_with_code_of_its_own_is_refused(
    checkpoint: Path, file: str, changes: dict[str, Any], where: str
) -> None:
    change(checkpoint / file, **changes)
    with pytest.raises(UnknownEngine, match=f"brings code of its own .*{where}"):
        open_engine(f"mlx:{checkpoint}")
    assert not (checkpoint / "ran").exists()


def test_one_without_is_loaded_and_runs_nothing(checkpoint: Path) -> None:
    assert find_code(checkpoint) is None
    change(checkpoint / "config.json", auto_map={}, model_file=None)
    with closing(open_engine(f"mlx:{checkpoint}")) as engine:
        engine.load()
        assert engine.status == "ready"
    assert not (checkpoint / "ran").exists()


def test_a_child_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "MONDRIAN_KEY": "k",
        "MONDRIAN_ADMIN_KEY": "k",
        "MONDRIAN_DATABASE": "postgresql://h/d",
        "DATABASE_URL": "x",
        "HF_TOKEN": "t",
        "OPENAI_API_KEY": "k",
        "AWS_SESSION_TOKEN": "t",
        "AWS_PROFILE": "p",
        "PGPASSWORD": "p",
        "MYSQL_PWD": "p",
        "https_proxy": "http://user:word@proxy:8080",
        "SOME_CLIENT_SECRET": "s",
    }
    plain = {"HF_HOME": "/h", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    for name, value in (secrets | plain).items():
        monkeypatch.setenv(name, value)
    told = clean_environment()
    assert not secrets.keys() & told.keys()
    assert plain.items() <= told.items()
