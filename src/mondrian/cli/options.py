"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

PhotoArgument = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="A photo: JPEG, HEIC, PNG, WebP or TIFF.")
]

AdvisorOption = Annotated[
    str | None,
    typer.Option(envvar="MONDRIAN_ADVISOR", help="Who critiques: see `mondrian advisors`."),
]

EngineOption = Annotated[
    str | None,
    typer.Option(envvar="MONDRIAN_ENGINE", metavar="URL", help="The engine; `auto` by default."),
]

AdapterOption = Annotated[
    Path | None,
    typer.Option(
        envvar="MONDRIAN_ADAPTER", metavar="PATH", help="A LoRA adapter for an `mlx:` engine."
    ),
]

IntervalOption = Annotated[
    float | None,
    typer.Option(
        envvar="MONDRIAN_UPDATE_INTERVAL",
        metavar="SECONDS",
        help="Time between two thinking updates, 0.1 to 60; 5 by default.",
    ),
]

HomeOption = Annotated[
    Path | None,
    typer.Option(
        envvar="MONDRIAN_HOME", metavar="FOLDER", help="Where data lives; ~/.mondrian by default."
    ),
]
