"""One frozen settings object: each field is an option and an environment variable.

A field is declared once, here: its name, bounds, default and description are also those of the
command line's option (``cli/options.py``) and of the table in docs/settings.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from mondrian.errors import SettingsError

DEFAULT_SERVER = "http://127.0.0.1:5005"


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
    update_interval: Annotated[
        float, Option(group=_CRITIQUE, metavar="SECONDS", name="--interval")
    ] = Field(default=5.0, ge=0.1, le=60.0, description="seconds between two thinking updates")

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
        default=None, description="the key that clients send; for `serve` a comma list of several"
    )
    open: Annotated[bool, Option(group=_SERVER)] = Field(
        default=False, description="answer anyone who reaches the server, without a key"
    )
    base_url: Annotated[
        str | None, Option(group=_SERVER, metavar="URL", unset="the request's own host")
    ] = Field(default=None, description="what URLs in answers begin with, behind a proxy")
    cors_origins: Annotated[
        tuple[str, ...], Option(group=_SERVER, metavar="URL", name="--cors-origin")
    ] = Field(
        default=(),
        description="origins that may call the API from a browser; the option once for each, the "
        "variable as a JSON list",
    )
    source: Annotated[Path | None, Option(group=_SERVER, metavar="FOLDER")] = Field(
        default=None, description="a folder whose files `POST /submit` may name"
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
        description="bytes that all photos may take (`10GB` is understood); beyond, the oldest "
        "ended jobs go",
    )

    @property
    def photos_url(self) -> str:
        """Where the photos are."""
        return self.photos or (self.home.absolute() / "photos").as_uri()

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Return the settings from the environment, with those ``given`` that are not ``None``
        above it.

        Raise ``SettingsError`` that names the option, its value and what it may be.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as exc:
            problem = exc.errors()[0]
            name = str(problem["loc"][0])
            raise SettingsError(
                f"{spelling(name)} ({variable(name)}) cannot be {problem['input']!r}: "
                f"{problem['msg'].replace('Input should', 'it should')}."
            ) from exc
        except UnreadableVariable as exc:
            raise SettingsError(
                "A variable that holds a list is not JSON: MONDRIAN_CORS_ORIGINS is written as "
                '["https://one.example", "https://two.example"].'
            ) from exc


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
        case value:
            return str(value)
