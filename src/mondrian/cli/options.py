"""Commands, and the options that they make of ``Settings``."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from inspect import Parameter, Signature, signature
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from typer.core import TyperCommand

from mondrian.cli.app import app, set_verbosity

F = TypeVar("F", bound=Callable[..., None])

PhotosArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO...",
        help="Photos: JPEG, HEIC, AVIF, PNG, WebP, TIFF or RAW; - is standard input.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON to stdout.")]
RecursiveOption = Annotated[
    bool,
    typer.Option(
        *("--recursive", "-r"), metavar="", help="Take folders, with all photos in and below them."
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        *("--output", "-o"),
        metavar="FILE",
        help="Write the report there, as its ending says: .html, .pdf, .md or .json.",
    ),
]


class Group(StrEnum):
    """The groups of commands in ``mondrian --help``, in their order."""

    LOCAL = "Here, without a server"
    CLIENT = "With a server"
    SERVICE = "Run a server"
    MACHINE = "Models and this machine"


class SettingsCommand(TyperCommand):
    """A command with an option for each of ``settings``: the parameter's name and the setting's.

    They are made when they are first needed, since reading ``Settings`` takes longer than all else
    that `mondrian --help` does.
    """

    settings: Mapping[str, str] = {}
    files: Collection[str] = ()
    """Options whose FILE may be left out: then the report goes to standard output."""

    words: Mapping[str, Sequence[str]] = {}
    """Options whose word may be left out, each with its words: then it is the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command's arguments."""
        return super().parse_args(ctx, list(_fill_in(args, self.files, self.words)))

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's own parameters, then those of the settings."""
        *own, help_ = super().get_params(ctx)
        help_.metavar = ""
        return [*own, *self._options, help_]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with the settings as its context's object."""
        from mondrian.settings import Settings

        set_verbosity(is_quiet=ctx.params.pop("quiet"), is_verbose=ctx.params.pop("verbose"))
        given = {field: ctx.params.pop(name) for name, field in self.settings.items()}
        # A list option that was not given is an empty list, which is not what is meant.
        ctx.obj = Settings.read(**{f: v for f, v in given.items() if v not in ([], ())})
        return super().invoke(ctx)

    @cached_property
    def _options(self) -> list[Any]:
        def take(**_: Any) -> None: ...

        made = [_make_option(name, field) for name, field in self.settings.items()]
        made += [
            _make_flag("quiet", "-q", "Show no progress."),
            _make_flag("verbose", "-v", "Show what is logged, and where an error came from."),
        ]
        _set_signature(take, Signature(made))
        holder = typer.Typer(add_completion=False)
        holder.command()(take)
        return typer.main.get_command(holder).params


def command(
    *names: str,
    group: Group,
    examples: Sequence[str] = (),
    files: Collection[str] = (),
    words: Mapping[str, Sequence[str]] | None = None,
    **renamed: str,
) -> Callable[[F], F]:
    """Return a decorator that makes a function a command with an option for each setting of
    ``names``. They come as one object, its parameter ``settings``. ``renamed`` are settings whose
    option is called otherwise here (``older_than="retention"``). ``group`` and ``examples`` are for
    ``--help``; ``files`` are options whose FILE may be left out, ``words`` those whose
    word may, with their words."""
    fields = {name: name for name in names} | renamed
    shown = "\n\n".join(["Examples:", *(f"  mondrian {each}" for each in examples)])

    def decorate(function: F) -> F:
        def run(ctx: typer.Context, **given: Any) -> None:
            function(settings=ctx.obj, **given)

        run.__doc__, run.__name__ = function.__doc__, function.__name__.rstrip("_")
        shape = signature(function)
        own = [each for each in shape.parameters.values() if each.name != "settings"]
        context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        _set_signature(run, shape.replace(parameters=[context, *own]))
        kind = type(
            "Command",
            (SettingsCommand,),
            {"settings": fields, "files": files, "words": words or {}},
        )
        app.command(cls=kind, rich_help_panel=group, epilog=shown if examples else None)(run)
        return function

    return decorate


def describe(field: str) -> str:
    """Return what a setting means and may be, as a sentence."""
    from mondrian import settings

    text = settings.Settings.model_fields[field].description or ""
    return f"{text[0].upper()}{text[1:]}{describe_range(field)}."


def describe_range(field: str) -> str:
    """Return the range of a setting in brackets, empty if it has none."""
    from mondrian.settings import bounds

    return f" ({found})" if (found := bounds(field)) else ""


def _fill_in(
    args: Sequence[str], files: Collection[str], words: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield ``args`` with ``-`` behind an option of ``files`` that no file follows, and the first
    word behind one of ``words`` that none of its words follows."""
    for arg, following in zip_longest(args, args[1:], fillvalue=""):
        yield arg
        if arg in words and following not in words[arg]:
            yield words[arg][0]
        if arg in files and not (following == "-" or set(following) & set("./\\")):
            yield "-"


def _make_flag(name: str, short: str, text: str) -> Parameter:
    flag = typer.Option(f"--{name}", short, metavar="", help=text)
    annotation = Annotated[bool, flag]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


def _make_option(name: str, field: str) -> Parameter:
    from mondrian import settings

    option, kind = settings.find_option(field), _find_kind(field)
    spelled = settings.spelling(field) if name == field else f"--{name.replace('_', '-')}"
    if settings.Settings.model_fields[field].default is True:
        spelled = f"{spelled}/--no-{spelled.removeprefix('--')}"
    made = typer.Option(
        spelled,
        *filter(None, [option.short]),
        envvar=None if kind == list[str] else settings.variable(field),
        metavar=option.metavar or "",
        help=describe(field),
        show_default=settings.default(field),
        rich_help_panel=option.group,
    )
    optional: Any = kind | None
    annotation = Annotated[optional, made]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _find_kind(field: str) -> Any:
    """Return the type that the command line reads. Numbers are left to ``Settings``, which knows
    their bounds."""
    from mondrian.settings import Settings

    setting = Settings.model_fields[field]
    if isinstance(setting.default, tuple):
        return list[str]
    kinds = get_args(setting.annotation) or (setting.annotation,)
    return next((kind for kind in (bool, Path) if kind in kinds), str)


def _set_signature(function: Callable[..., Any], shape: Signature) -> None:
    """Let ``function`` look to Typer as if it had that signature."""
    function.__signature__ = shape  # type: ignore[attr-defined]
    function.__annotations__ = {name: each.annotation for name, each in shape.parameters.items()}
