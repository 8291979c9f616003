"""One frozen settings object: each field is an option and an environment variable."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mondrian.errors import SettingsError


class Settings(BaseSettings):
    """What can be set. A field ``x`` is read from ``MONDRIAN_X``; docs/settings.md tells them all.

    ``home`` is the folder for models, photos, the database and the user's advisors.
    ``update_interval`` is the time between two thinking updates, 0.1 to 60 seconds. ``database``
    is a PostgreSQL URL, ``None`` for the embedded server; ``photos`` is ``file://`` or ``s3://``,
    ``None`` for a folder in ``home``. ``concurrency`` is how many jobs a worker has under way,
    ``None`` for as many as its engine has slots. ``lease`` is how long, in seconds, a worker may
    be silent before its jobs are another's; ``stall`` how long an engine may go without a token.
    ``retention`` is how many days the events of an ended job are kept, ``quota`` how many bytes all
    photos may have (as ``10GB``, if you like), ``None`` for any number.
    """

    model_config = SettingsConfigDict(env_prefix="MONDRIAN_", frozen=True, extra="forbid")

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default=Path("~/.mondrian"), validate_default=True
    )
    engine: str = "auto"
    adapter: Path | None = None
    advisor: str = "ansel"
    update_interval: float = Field(default=5.0, ge=0.1, le=60.0)

    host: str = "127.0.0.1"
    port: int = Field(default=5005, ge=0, le=65535)
    database: str | None = None
    photos: str | None = None
    key: str | None = None
    open: bool = False
    worker: bool = True
    concurrency: int | None = Field(default=None, ge=1, le=256)
    base_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    source: Path | None = None
    lease: float = Field(default=10.0, ge=1.0, le=600.0)
    stall: float = Field(default=300.0, ge=1.0, le=86400.0)
    retention: float = Field(default=30.0, ge=0.0, le=36500.0)
    quota: ByteSize | None = None

    @property
    def photos_url(self) -> str:
        """Where the photos are."""
        return self.photos or (self.home.absolute() / "photos").as_uri()

    @classmethod
    def read(cls, **given: Any) -> Self:
        """The settings from the environment, with those ``given`` that are not ``None`` above it.

        Raises ``SettingsError`` that names the field, its value and what it may be.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as exc:
            problem = exc.errors()[0]
            name = str(problem["loc"][0])
            raise SettingsError(
                f"{name} (MONDRIAN_{name.upper()}) cannot be {problem['input']!r}: "
                f"{problem['msg']}."
            ) from exc
