"""What many tests share: one embedded PostgreSQL, a fresh database in it for each test, and
workers."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mondrian.database.embedded import EmbeddedServer, is_root
from mondrian.database.postgres import Pool, normalize_url, open_pool
from mondrian.database.schema import migrate
from mondrian.engines import Engine, open_engine
from mondrian.engines.native.engine import HostedEngine
from mondrian.engines.replay import record
from mondrian.jobs.store import Store
from mondrian.photos import PhotoStore
from mondrian.worker import Worker
from support.hosted import Play, open_hosted
from support.recorded_server import Recorded, Serve
from support.service import locked, one_locked, one_service, service
from support.streaming import Services, serving
from support.working import Hire, make_worker

__all__ = ["locked", "one_locked", "one_service", "service"]


if is_root() and "MONDRIAN_POSTGRES" not in os.environ:  # data would stay in /var/lib/mondrian
    os.environ["MONDRIAN_POSTGRES"] = mkdtemp(prefix="mondrian-clusters-")
    os.chmod(os.environ["MONDRIAN_POSTGRES"], 0o711)
    atexit.register(shutil.rmtree, os.environ["MONDRIAN_POSTGRES"], ignore_errors=True)


@pytest.fixture
def server_home() -> Iterator[Path]:
    """A home for a server of the test's own, which PostgreSQL can live in.

    Not one of pytest's folders: run by root it serves as another user, and each start of pytest
    shuts all other users out of them, those of other runs too.
    """
    with TemporaryDirectory(prefix="mondrian-home-") as home:
        yield Path(home)


# nothing that a test starts is to fetch a network unasked
os.environ.setdefault("MONDRIAN_OFFLINE", "1")

# nor to be set up by the file of whoever runs the tests
os.environ.setdefault("MONDRIAN_CONFIG", "")

# a shell's background jobs, and all that they start, are deaf to Ctrl-C: tests press it
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a running PostgreSQL whose database ``template`` has our schema."""
    with TemporaryDirectory(prefix="mondrian-postgres-") as home:
        server = EmbeddedServer(Path(home))
        _prepare(normalize_url(server.url))
        yield normalize_url(server.url)
        server.close()


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # tests need no power cut
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("CREATE DATABASE template")
    migrate(make_conninfo(url, dbname="template"))


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The address of an empty database with our schema, of this test alone."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        new = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template").format(new))
        yield make_conninfo(postgres, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(new))


@pytest.fixture
def pool(database: str) -> Iterator[Pool]:
    """Connections to ``database``."""
    with open_pool(database) as pool:
        yield pool


@pytest.fixture
def store(pool: Pool) -> Store:
    """A store on ``database``."""
    return Store(pool)


@pytest.fixture(scope="session")
def home(request: pytest.FixtureRequest) -> Path:
    """A home that holds the embedded model and the network for the subject: pulled once, kept in
    pytest's cache."""
    from mondrian.models import pull

    folder = request.config.cache.mkdir("home")
    for name in ("smollm2-135m", "u2netp"):
        pull(name, folder, lambda step, done, total: None)
    return folder


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a vision-language model of a few thousand random weights."""
    from support.tiny_gguf import build

    model, projector = build(tmp_path_factory.mktemp("tiny"))
    return f"llamacpp:{model}?mmproj={projector}"


@pytest.fixture
def photos(tmp_path: Path) -> PhotoStore:
    """A store of photos, of this test alone."""
    return PhotoStore.open((tmp_path / "photos").as_uri())


@pytest.fixture
def hire(store: Store, photos: PhotoStore, database: str, tmp_path: Path) -> Iterator[Hire]:
    """Make a worker on the engine of a URL."""
    engines: list[Engine] = []

    def hire(url: str, store: Store = store, **settings: Any) -> Worker:
        engine = open_engine(url)
        if isinstance(engine, HostedEngine):
            engine._stop_seconds = 0.3
        engines.append(engine)
        given: dict[str, Any] = {"update_interval": 1.0, "home": tmp_path, **settings}
        return make_worker(store, photos, engine, database, **given)

    yield hire
    for engine in engines:
        engine.close()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny MLX checkpoints: ``qwen2``, ``qwen3``, ``glm``, ``smol``, and an ``adapter`` for the
    second."""
    if find_spec("mlx_vlm") is None:
        pytest.skip("there is no MLX for this machine")
    folder = tmp_path_factory.mktemp("checkpoints")
    script = Path(__file__).parent / "support" / "tiny_mlx.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True)
    return folder


@pytest.fixture
def services(database: str, store: Store) -> Iterator[Services]:
    """A server of streams on ``store``."""
    with serving(database, store) as services:
        yield services


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a ``Recorded`` server."""
    servers: list[Recorded] = []

    def serve(*arguments: Any, **options: Any) -> Recorded:
        servers.append(Recorded(*arguments, **options))
        return servers[-1]

    yield serve
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Opens an engine that plays these lines."""
    engines: list[HostedEngine] = []

    def play(*lines: dict[str, Any], query: str = "", stop_seconds: float = 5.0) -> HostedEngine:
        path = tmp_path / f"{len(engines)} recording.jsonl"
        record(path, list(lines))
        engine = open_hosted(f"replay:{path}{query}")
        engine._stop_seconds = stop_seconds
        engines.append(engine)
        return engine

    yield play
    for engine in engines:
        engine.close()
