"""One frozen settings object: each field is an option and an environment variable."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mondrian.errors import SettingsError


class Settings(BaseSettings):
    """What can be set. A field ``x`` is read from ``MONDRIAN_X``; docs/settings.md tells them all.

    ``home`` is the folder for models, photos, the database and the user's advisors.
    ``update_interval`` is the time between two thinking updates, 0.1 to 60 seconds.
    """

    model_config = SettingsConfigDict(env_prefix="MONDRIAN_", frozen=True, extra="forbid")

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default=Path("~/.mondrian"), validate_default=True
    )
    engine: str = "auto"
    advisor: str = "ansel"
    update_interval: float = Field(default=5.0, ge=0.1, le=60.0)

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
