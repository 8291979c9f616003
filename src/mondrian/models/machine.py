"""Detect this machine's memory, cores, Metal and mlx-vlm."""

import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Metal gives a process about three quarters of the memory; elsewhere other processes need some too.
_USABLE = 0.75
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine. ``memory_bytes`` is the most that this process may have; ``has_mlx`` is whether
    mlx-vlm is installed."""

    memory_bytes: int
    cores: int
    has_metal: bool
    has_mlx: bool

    @classmethod
    def read(cls) -> "Machine":
        """Return this machine, or the container that this process runs in."""
        import psutil

        is_apple = sys.platform == "darwin" and platform.machine() == "arm64"
        memory_bytes = psutil.virtual_memory().total
        return cls(
            memory_bytes=min(memory_bytes, _read_cgroup_limit() or memory_bytes),
            cores=psutil.cpu_count() or 1,
            has_metal=is_apple,
            has_mlx=find_spec("mlx_vlm") is not None,
        )

    def has_room_for(self, memory_bytes: int) -> bool:
        """Return whether a model that needs ``memory_bytes`` leaves enough for everything else."""
        return memory_bytes <= self.memory_bytes * _USABLE

    def __str__(self) -> str:
        graphics = "Metal" if self.has_metal else "no Metal"
        return f"{self.memory_bytes / 1e9:.1f} GB of memory, {self.cores} cores, {graphics}"


def _read_cgroup_limit() -> int | None:
    try:
        return int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # not Linux, or "max"
        return None
