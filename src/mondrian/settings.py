"""One frozen settings object: each field is an option and an environment variable.

A field is declared once, here: its name, bounds, default and description are also those of the
command line's option (``cli/options.py``) and of the table in docs/settings.md.
"""

import base64
import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mondrian.errors import SettingsError
from mondrian.purpose import GENRES, MAX_INTENT, Purpose, clean_intent, parse_genre

DEFAULT_SERVER = "http://127.0.0.1:5005"

MIN_KEY_LENGTH = 16

_SHOWN = 100

SECRETS = frozenset(
    {"key", "admin_key", "database", "listen_database", "webhook", "webhook_secret"}
)
"""The settings whose values are never shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """How a setting looks on the command line: its ``group`` in ``--help``, the word for its value,
    its ``name`` if that is not the field's, and what is so where it is not set."""

    group: str
    metavar: str | None = None
    name: str | None = None
    short: str | None = None
    unset: str = "none"


_CRITIQUE, _SERVER, _WORK, _STORAGE = "Critique", "Server", "Work", "Storage"


def _expand(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(str(exc)) from exc


def _split(given: Any) -> Any:
    """The words of a list: of a variable in JSON or with commas, or of an option given often."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        given = json.loads(given)
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or not all(isinstance(each, str) for each in texts):
        return given
    return tuple(word.strip() for each in texts for word in each.split(",") if word.strip())


def _split_ports(given: Any) -> Any:
    """The numbers of a list of ports, as ``_split`` gives its words."""
    ports = (given,) if isinstance(given, int) else given
    return [str(each) for each in ports] if isinstance(ports, tuple | list) else _split(ports)


def _check_stars(scores: tuple[float, ...]) -> tuple[float, ...]:
    if len(scores) != 4 or list(scores) != sorted(set(scores)):
        raise ValueError("it should be four scores, each higher than the one before")
    return scores


Stars = Annotated[
    tuple[Annotated[float, Field(ge=1, le=10)], ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_check_stars),
]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[
    tuple[Annotated[int, Field(ge=0, le=65535)], ...], NoDecode, BeforeValidator(_split_ports)
]


class Settings(BaseSettings):
    """What can be set. A field ``x`` is read from ``MONDRIAN_X``. See docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="MONDRIAN_", frozen=True, extra="forbid")

    home: Annotated[Path, AfterValidator(_expand), Option(group=_STORAGE, metavar="FOLDER")] = (
        Field(
            default=Path("~/.mondrian"),
            validate_default=True,
            description="folder for models, photos, the database and your advisors",
        )
    )
    engine: Annotated[str, Option(group=_CRITIQUE, metavar="URL", short="-e")] = Field(
        default="auto", description="the engine: see docs/engines.md"
    )
    adapter: Annotated[Path | None, Option(group=_CRITIQUE, metavar="PATH")] = Field(
        default=None, description="a LoRA adapter for an `mlx:` engine"
    )
    advisor: Annotated[str, Option(group=_CRITIQUE, metavar="ID", short="-a")] = Field(
        default="ansel",
        description="who critiques: an id of `mondrian advisors`, a comma list, `all` or `random`",
    )
    intent: Annotated[
        Annotated[str, AfterValidator(clean_intent)] | None,
        Option(group=_CRITIQUE, metavar="WORDS", unset="nothing"),
    ] = Field(
        default=None,
        description="what you meant, such as `backlit on purpose, for a concert poster`: no fault "
        f"then; at most {MAX_INTENT} characters",
    )
    genre: Annotated[
        Annotated[str, AfterValidator(parse_genre)] | None,
        Option(group=_CRITIQUE, metavar="GENRE", unset="any"),
    ] = Field(
        default=None,
        description=f"what kind of photo it is, which sets what counts as a fault: "
        f"{', '.join(GENRES)}",
    )
    update_interval: Annotated[
        float, Option(group=_CRITIQUE, metavar="SECONDS", name="--interval")
    ] = Field(default=5.0, ge=0.1, le=60.0, description="seconds between two thinking updates")

    offline: Annotated[bool, Option(group=_CRITIQUE)] = Field(
        default=False,
        description="fetch nothing unasked; else the first critique fetches `u2netp` (4.6 MB), "
        "which finds the subject of a photo",
    )
    stars: Annotated[Stars, Option(group=_CRITIQUE, metavar="SCORES")] = Field(
        default=(5.0, 6.0, 7.0, 8.0),
        description="the least overall scores for 2, 3, 4 and 5 stars, separated by commas, where "
        "`--xmp` writes ratings",
    )

    server: Annotated[str, Option(group=_SERVER, metavar="URL")] = Field(
        default=DEFAULT_SERVER, description="the server that client commands talk to"
    )
    host: Annotated[str, Option(group=_SERVER, metavar="ADDRESS")] = Field(
        default="127.0.0.1",
        description="the address to listen on; any but loopback wants `--key` or `--open`",
    )
    port: Annotated[int, Option(group=_SERVER, metavar="NUMBER")] = Field(
        default=5005, ge=0, le=65535, description="the port to listen on; 0 takes a free one"
    )
    key: Annotated[str | None, Option(group=_SERVER, metavar="KEY", unset="loopback only")] = Field(
        default=None,
        description="the key that clients send, of 16 characters at least; for `serve` a comma "
        "list of several. On the command line all users of the machine see it: prefer the variable",
    )
    key_file: Annotated[Path | None, Option(group=_SERVER, metavar="FILE")] = Field(
        default=None, description="a file with the keys of `serve`, one a line"
    )
    admin_key: Annotated[str | None, Option(group=_SERVER, metavar="KEY")] = Field(
        default=None, description="a key that sees, and may do, everything with everybody's jobs"
    )
    open: Annotated[bool, Option(group=_SERVER)] = Field(
        default=False, description="answer anyone who reaches the server, without a key"
    )
    hosts: Annotated[
        Words, Option(group=_SERVER, metavar="NAME", unset="any, with a key or `--open`")
    ] = Field(
        default=(),
        description="names (of the `Host` header) that the server answers to, besides this "
        "machine's own and that of the base URL: with any set, a request for another is refused",
    )
    connections: Annotated[int, Option(group=_SERVER, metavar="N")] = Field(
        default=10_000,
        ge=16,
        le=1_000_000,
        description="connections that the server has at most, and fewer where the system lets it "
        "open fewer files; one that asks for nothing makes room for another",
    )
    connections_per_address: Annotated[int, Option(group=_SERVER, metavar="N")] = Field(
        default=256,
        ge=1,
        le=1_000_000,
        description="connections from one address, or one IPv6 network of 64 bits, at most",
    )
    trusted_proxies: Annotated[
        Words, Option(group=_SERVER, metavar="ADDRESS", name="--trusted-proxy")
    ] = Field(
        default=("127.0.0.1", "::1"),
        description="addresses or networks of proxies, whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed, and which may have any number of connections",
    )
    base_url: Annotated[
        str | None, Option(group=_SERVER, metavar="URL", unset="the request's own host")
    ] = Field(default=None, description="what URLs in answers begin with, behind a proxy")
    cors_origins: Annotated[Words, Option(group=_SERVER, metavar="URL", name="--cors-origin")] = (
        Field(
            default=(),
            description="origins that may call the API from a browser; the option once for each, "
            "the variable as a list with commas or in JSON",
        )
    )
    also: Annotated[Ports, Option(group=_SERVER, metavar="PORT")] = Field(
        default=(),
        description="more ports to answer at, such as 5100, where older clients look for the "
        "advisor service; the option once for each, the variable as a list with commas",
    )
    done_status: Annotated[Literal["done", "completed"], Option(group=_SERVER)] = Field(
        default="done",
        description="the word for a job that is done in `/status` and `/jobs`; some older scripts "
        "wait for `completed`",
    )
    source: Annotated[Path | None, Option(group=_SERVER, metavar="FOLDER")] = Field(
        default=None, description="a folder whose files `POST /submit` may name"
    )

    webhook: Annotated[str | None, Option(group=_SERVER, metavar="URL")] = Field(
        default=None,
        description="a URL that is told of each job that ends, in a signed message: see "
        "docs/notify.md",
    )
    webhook_secret: Annotated[str | None, Option(group=_SERVER, metavar="SECRET")] = Field(
        default=None,
        description="what these messages, and those to the `callback_url` of an upload, are signed "
        "with: `whsec_` and 24 to 64 bytes in Base64; several with commas while one replaces the "
        "other. Without one no messages are sent",
    )
    webhook_networks: Annotated[
        Words, Option(group=_SERVER, metavar="NETWORK", name="--webhook-network")
    ] = Field(
        default=(),
        description="addresses or networks to which a `callback_url` may lead though they are "
        "private, as 192.168.1.0/24",
    )

    worker: Annotated[bool, Option(group=_WORK)] = Field(
        default=True, description="whether `serve` works at jobs itself"
    )
    concurrency: Annotated[
        int | None, Option(group=_WORK, metavar="N", unset="as many as the engine has slots")
    ] = Field(default=None, ge=1, le=256, description="how many jobs a worker has under way")
    readers: Annotated[int, Option(group=_WORK, metavar="N")] = Field(
        default=2,
        ge=1,
        le=64,
        description="how many photos are read at once, each in a process of up to 2 GB",
    )
    lease: Annotated[float, Option(group=_WORK, metavar="SECONDS")] = Field(
        default=10.0,
        ge=1.0,
        le=600.0,
        description="seconds that a worker may be silent before its jobs are another's",
    )
    health_port: Annotated[int | None, Option(group=_WORK, metavar="NUMBER")] = Field(
        default=None,
        ge=0,
        le=65535,
        description="a port where `worker` answers `/health/live`, `/health/ready` and `/metrics`, "
        "to all addresses",
    )
    log_format: Annotated[Literal["text", "json"], Option(group=_SERVER, metavar="text|json")] = (
        Field(
            default="text",
            description="how `serve` and `worker` log, to standard error: lines for people, or "
            "JSON objects, one a line, with the ids of job and request",
        )
    )
    stall: Annotated[float, Option(group=_WORK, metavar="SECONDS")] = Field(
        default=300.0,
        ge=1.0,
        le=86400.0,
        description="seconds without a token or progress after which an engine is replaced; four "
        "times as many while a prompt is read of which the engine can tell nothing. "
        "`mondrian critique` then ends with an error",
    )

    database: Annotated[
        str | None,
        Option(group=_STORAGE, metavar="URL", unset="the embedded server, in the home folder"),
    ] = Field(default=None, description="a PostgreSQL URL, for several machines")
    listen_database: Annotated[
        str | None, Option(group=_STORAGE, metavar="URL", unset="the database's")
    ] = Field(
        default=None,
        description="where LISTEN is sent: PostgreSQL's own address, where the database's URL is "
        "that of a pooler in transaction mode",
    )
    postgres: Annotated[Path, Option(group=_STORAGE, metavar="FOLDER")] = Field(
        default=Path("/var/lib/mondrian"),
        description="where the embedded server keeps its data if root runs Mondrian: it works as "
        "another user then",
    )
    photos: Annotated[
        str | None, Option(group=_STORAGE, metavar="URL", unset="`photos` in the home folder")
    ] = Field(
        default=None, description="where photos are kept: `file:///path` or `s3://bucket/prefix`"
    )
    retention: Annotated[float, Option(group=_STORAGE, metavar="DAYS")] = Field(
        default=30.0,
        ge=0.0,
        le=36500.0,
        description="days that the events of an ended job are kept; its report stays",
    )
    quota: Annotated[ByteSize | None, Option(group=_STORAGE, metavar="BYTES")] = Field(
        default=None,
        description="bytes that all photos may take (`10GB` is understood): an upload beyond is "
        "refused. Where they take more, since it was lowered, the oldest ended jobs go",
    )
    share: Annotated[
        ByteSize | None,
        Option(
            group=_STORAGE,
            metavar="BYTES",
            unset="the quota, by the number of keys; a fourth of it with `--open`",
        ),
    ] = Field(default=None, description="bytes of the quota that one owner's photos may take")
    waiting_per_owner: Annotated[int, Option(group=_STORAGE, metavar="N")] = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="photos of one owner that may wait to be critiqued",
    )

    @property
    def purpose(self) -> Purpose:
        """What the photographer meant."""
        return Purpose(intent=self.intent or "", genre=self.genre or "")

    @property
    def photos_url(self) -> str:
        """Where the photos are."""
        return self.photos or (self.home.absolute() / "photos").as_uri()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of ``key``, separated by commas, and of ``key_file``, one a line.

        Raise ``SettingsError`` for one that is easily guessed or cannot be sent, or a file that
        cannot be read.
        """
        given = [] if self.key is None else self.key.split(",")
        if self.key_file is not None:
            given += _read_lines(self.key_file)
        return tuple(_check_key(key) for key in given)

    @property
    def admin_keys(self) -> tuple[str, ...]:
        """The admin's key, or none. Raise ``SettingsError`` as ``keys`` does."""
        return () if self.admin_key is None else (_check_key(self.admin_key),)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of ``webhook_secret``, separated by commas. Raise ``SettingsError`` for one
        that is no good, or a ``webhook`` without one."""
        if self.webhook and not self.webhook_secret:
            raise SettingsError(f"--webhook needs a secret to sign with. {_MAKE_SECRET}")
        return tuple(_check_secret(each) for each in (self.webhook_secret or "").split(",") if each)

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Return the settings: those ``given`` that are not ``None``, else of the environment, else
        of the file ``mondrian.toml``, else the defaults.

        Raise ``SettingsError`` that names the option, its value and what it may be.
        """
        given = {name: value for name, value in given.items() if value is not None}
        path = find_config(given.get("home"))
        filed = read_config(path) if path else {}
        filed = {name: filed[name] for name in filed.keys() - given.keys() - _list_environment()}
        try:
            return cls(**filed, **given)
        except ValidationError as exc:
            problem = exc.errors()[0]
            name = str(problem["loc"][0])
            value = "what it is" if name in SECRETS else _quote(problem["input"])
            reason = problem["msg"].removeprefix("Value error, ")
            where = f"{name} in {path}" if name in filed else f"{spelling(name)} ({variable(name)})"
            raise SettingsError(
                f"{where} cannot be {value}: {reason.replace('Input should', 'it should')}."
            ) from exc


def _quote(given: Any) -> str:
    shown = repr(given)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


CONFIG_NAME = "mondrian.toml"
CONFIG_VARIABLE = "MONDRIAN_CONFIG"
SYSTEM_CONFIG = Path("/etc/mondrian") / CONFIG_NAME
_MAX_CONFIG_BYTES = 1_000_000


def find_config(home: Path | str | None = None) -> Path | None:
    """Return the file of settings: the one of ``MONDRIAN_CONFIG`` (empty: none), else that in the
    home folder, else that of the system; ``None`` if there is none.

    Never one of the working directory, which may be anybody's.
    """
    if (named := os.environ.get(CONFIG_VARIABLE)) is not None:
        return Path(named).expanduser() if named else None
    default = Settings.model_fields["home"].default
    folder = _expand(Path(home or os.environ.get(variable("home")) or default))
    return next((p for p in (folder / CONFIG_NAME, SYSTEM_CONFIG) if p.is_file()), None)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in the file at ``path``, unchecked.

    Raise ``SettingsError`` if it cannot be read, is no TOML, or has a name that is no setting.
    """
    try:
        with path.open("rb") as file:
            found = tomllib.loads(file.read(_MAX_CONFIG_BYTES).decode("utf-8"))
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise SettingsError(f"{path} is not TOML: {exc}.") from exc
    for name in found:
        if name not in Settings.model_fields:
            raise SettingsError(f"{path}: there is no setting {name!r}. {_suggest(name)}")
    return found


def _suggest(name: str) -> str:
    """Return what may be meant by a ``name`` that is no setting."""
    named = {
        spelling(each).removeprefix("--").replace("-", "_"): each for each in Settings.model_fields
    }
    known = named | {each: each for each in Settings.model_fields}
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"Is {known[near[0]]!r} meant?" if near else "`mondrian config` lists them all."


def _list_environment() -> set[str]:
    """Return the names of the settings that have a variable."""
    variables = {name.upper() for name in os.environ}
    return {name for name in Settings.model_fields if variable(name) in variables}


def find_sources(home: Path) -> dict[str, str]:
    """Return for each setting where it comes from: its variable, the file, or ``default``."""
    environment, path = _list_environment(), find_config(home)
    filed = read_config(path) if path else {}
    return {
        name: variable(name) if name in environment else str(path) if name in filed else "default"
        for name in Settings.model_fields
    }


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as exc:
        raise SettingsError(f"The file of keys {path} cannot be read. Check --key-file.") from exc
    return [line for line in lines if line.strip()] or [""]


def _check_key(key: str) -> str:
    """Return ``key`` without blanks around it. Raise ``SettingsError`` if it is no good."""
    key = key.strip()
    if len(key) < MIN_KEY_LENGTH or not re.fullmatch(r"[!-+\--~]+", key):
        raise SettingsError(
            f"A key has {MIN_KEY_LENGTH} characters at least, all of them ASCII, none a blank or a "
            "comma, so that it cannot be guessed. `openssl rand -hex 16` makes one."
        )
    return key


_MAKE_SECRET = 'Make one: `echo "whsec_$(openssl rand -base64 32)"`, for MONDRIAN_WEBHOOK_SECRET.'


def _check_secret(secret: str) -> str:
    """Return ``secret`` without blanks around it. Raise ``SettingsError`` if it is no good."""
    secret = secret.strip()
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not (secret.startswith("whsec_") and 24 <= size <= 64):
        raise SettingsError(
            f"A webhook secret is `whsec_` and 24 to 64 bytes in Base64. {_MAKE_SECRET}"
        )
    return secret


def find_option(name: str) -> Option:
    """Return how the setting ``name`` looks on the command line."""
    found = Settings.model_fields[name].metadata
    return next(each for each in found if isinstance(each, Option))


def spelling(name: str) -> str:
    """Return the option of the setting ``name``."""
    return find_option(name).name or f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment variable of the setting ``name``."""
    return f"MONDRIAN_{name.upper()}"


def bounds(name: str) -> str:
    """Return the range of the setting ``name`` in words, empty if it has none."""
    limits = Settings.model_fields[name].metadata
    least = [each.ge for each in limits if hasattr(each, "ge")]
    most = [each.le for each in limits if hasattr(each, "le")]
    return f"{least[0]:g} to {most[0]:g}" if least and most else ""


def default(name: str) -> str:
    """Return the default of the setting ``name`` in words."""
    match Settings.model_fields[name].default:
        case bool(value):
            return "on" if value else "off"
        case None | ():
            return find_option(name).unset
        case float(value):
            return f"{value:g}"
        case tuple(values):
            return ", ".join(f"{each:g}" if isinstance(each, float) else each for each in values)
        case value:
            return str(value)
