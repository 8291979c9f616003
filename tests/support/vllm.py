"""A real vLLM on this machine's CPU, and LiteLLM's proxy, from the environments that
``scripts/vllm`` sets up."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx

from support.working import wait_for

HOME = Path(os.environ.get("MONDRIAN_VLLM", "/nowhere"))
"""The environment."""

LITELLM_KEY = "sk-of-a-test"

START_SECONDS = 600.0  # it compiles for this CPU when it is first run
TESTS = Path(__file__).parents[1]


def build_checkpoint(folder: Path) -> Path:
    """Write the tiny Qwen2-VL to ``folder`` and return it."""
    command = [str(HOME / "bin" / "python"), "-m", "support.tiny_vllm", str(folder)]
    subprocess.run(command, check=True, cwd=TESTS, env={**os.environ, "PYTHONPATH": "."})
    return folder


@contextmanager
def vllm_server(checkpoint: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``vllm serve``. Gives its process and its URL, which ends in ``/v1``, when it answers."""
    command = [
        *(str(HOME / "bin" / "vllm"), "serve", str(checkpoint), "--served-model-name", "tiny"),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16"),
        *("--max-model-len", "8192", "--max-num-seqs", "16", "--enforce-eager"),
    ]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with subprocess.Popen(
        command, env={**os.environ, **environment, "PYTHONPATH": ""}, start_new_session=True
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            is_up = partial(is_healthy, f"{address}/health")
            wait_for(lambda: is_up() or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, "vLLM did not start"
            yield process, f"{address}/v1"
        finally:
            stop(process)


@contextmanager
def litellm_proxy(behind: str, port: int, folder: Path) -> Iterator[str]:
    """Run LiteLLM's proxy before the server at ``behind``. Gives its URL, which ends in ``/v1``,
    when it answers."""
    model = {"model": "openai/tiny", "api_base": behind, "api_key": "none"}
    config = folder / "litellm.yaml"  # JSON is YAML
    config.write_text(json.dumps({"model_list": [{"model_name": "tiny", "litellm_params": model}]}))
    command = [
        *(str(HOME / "litellm" / "bin" / "litellm"), "--config", str(config)),
        *("--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"),
    ]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it fetches nothing
        "LITELLM_MASTER_KEY": LITELLM_KEY,
        "PYTHONPATH": "",
    }
    with subprocess.Popen(
        command, env={**os.environ, **environment}, start_new_session=True, cwd=folder
    ) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            is_up = partial(is_healthy, f"{address}/health/liveliness")
            wait_for(lambda: is_up() or process.poll() is not None, START_SECONDS)
            assert process.poll() is None, "LiteLLM did not start"
            yield f"{address}/v1"
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Kill the server with what it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(20)


def is_healthy(address: str) -> bool:
    """Whether a server answers at this address."""
    with suppress(httpx.HTTPError):
        return httpx.get(address, timeout=2).is_success
    return False
