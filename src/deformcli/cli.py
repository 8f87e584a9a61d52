"""The `deform` program: the built-in commands, what plugins add, and errors as two lines and an exit code.

An error is written to stderr as

    error: what is wrong
      fix: what to do about it

and ends the program with the code of its class (see `errors`); DEFORM_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from typer.completion import completion_init

from . import __version__, registry
from . import config as settings
from .commands import completions, config, data, doctor, plugins, weights
from .errors import DeformError, UsageError, debugging, one_line
from .runtime.tell import listen_less, listen_more, listening, log


def build_app(plugin_registry: registry.Registry | None = None) -> typer.Typer:
    """The app with the built-in commands and those of the plugins (None: the installed ones).

    Raises:
        PluginError: a plugin does not load and strictness was asked for.
    """
    app = typer.Typer(name="deform", add_completion=False, invoke_without_command=True, result_callback=_ignore)
    app.add_typer(plugins.app, name="plugins")
    app.add_typer(weights.app, name="weights")
    app.add_typer(config.app, name="config")
    app.add_typer(data.app, name="data")
    app.command("doctor")(doctor.doctor)
    app.command("completions")(completions.completions)
    (plugin_registry or registry.plugins()).add_commands(app)
    app.callback()(_root)
    return app


@listening()
def main(args: Sequence[str] | None = None) -> int:
    """Run `deform` with `args` (None: the process's) and return its exit code."""
    _open_standard_streams()
    try:
        if "_DEFORM_COMPLETE" in os.environ:  # a shell asks: let Typer know the shells
            completion_init()
        files = settings.read_files()
        settings.apply_tool_settings(files)
        command = typer.main.get_command(build_app())
        _refuse_empty_texts(command)
        _add_options(command)
        whole = all(record.status == "loaded" for record in registry.plugins().records)
        # With a plugin left out, its options in a file are nobody's: no reason to refuse everything else.
        defaults = settings.defaults(settings.option_settings(files, command, strict=whole))
        code = command.main(args=args, prog_name="deform", standalone_mode=False, default_map=defaults)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of stdout is gone
        # The interpreter flushes stdout once more as it ends; into nowhere, or it would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _refuse(error)
    return code or 0


def _add_options(root: Any) -> None:
    """Give each command that is no group -q and -v, but for what it means otherwise by their names."""
    app = typer.Typer(add_completion=False)
    app.command()(_hear)
    options = typer.main.get_command(app).params
    for _, command in settings.every_command(root):
        if not settings.is_group(command):
            own = {name for one in command.params for name in (one.name, *one.opts, *one.secondary_opts)}
            command.params += [one for one in options if own.isdisjoint((one.name, *one.opts))]


_heard_first = partial(typer.Option, is_eager=True, expose_value=False)


def _hear(
    quiet: Annotated[
        bool, _heard_first("--quiet", "-q", help="Show no progress and no summaries.", callback=listen_less)
    ] = False,
    verbose: Annotated[
        bool, _heard_first("--verbose", "-v", help="Say what is used, and causes of errors.", callback=listen_more)
    ] = False,
) -> None: ...


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deform {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Turns faces to the front and fills holes in images by learned deformations."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def _ignore(value: object, **_: object) -> None:
    """What a command returns is not an exit code; `typer.Exit(code)` is."""


def _refuse_empty_texts(root: Any) -> None:
    """Have every option and argument refuse "", which as a path is the current folder, unless it means "none" to it."""
    for parameter in (parameter for _, command in settings.every_command(root) for parameter in command.params):
        if parameter.default != "":
            parameter.process_value = partial(_not_empty, parameter, parameter.process_value)


def _not_empty(parameter: Any, process: Callable[..., Any], context: Any, value: Any) -> Any:
    if "" in (value if isinstance(value, list | tuple) else [value]):
        name = max(parameter.opts, key=len)
        remedy = "name something, or leave it out; a variable that is not set looks like this"
        raise UsageError(f"{name} is an empty text", remedy)
    return process(context, value)


def _open_standard_streams() -> None:
    """Have closed ones lead nowhere, or the next files that are opened would get what libraries say."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends


def _refuse(error: Exception) -> int:
    if debugging():
        traceback.print_exception(error)
    cause, remedy, code = _words(error)
    if cause:  # Typer's "no arguments: show the help" is an error without words
        typer.echo(f"error: {cause}\n  fix: {remedy}", err=True)
    earlier: BaseException = error
    while earlier := earlier.__cause__ or (None if earlier.__suppress_context__ else earlier.__context__):
        log.debug("  because of %s", one_line(earlier))
    return code


def _words(error: Exception) -> tuple[str, str, int]:
    match error:
        case DeformError():
            return error.cause, error.remedy, error.exit_code
        case typer.TyperException():
            command = getattr(getattr(error, "ctx", None), "command_path", "deform")
            return error.format_message(), f"see `{command} --help`", error.exit_code
        case typer.Abort():
            return "aborted", "run it again and answer the question", 1
        case _:
            return f"unexpected {one_line(error)}", "run it again with DEFORM_DEBUG=1 to see where", 1
