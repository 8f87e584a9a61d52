"""`deform completions`: what a shell completes with, and the manual page, both made from the commands there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from deformcli import __version__
from deformcli.config import every_command, is_group
from deformcli.errors import DeformError

What = Literal["bash", "zsh", "fish", "man"]
VARIABLES = {
    "DEFORM_CACHE_DIR": "folder of downloads, instead of the user's cache folder",
    "DEFORM_WEIGHTS_DIR": "folder of your own copies of weights, each called ID.safetensors",
    "DEFORM_DATA_DIR": "folders where --data KIND looks for data sets, joined like those of PATH",
    "DEFORM_LOAD_PLUGINS": "load these plugins alone, separated by commas; empty: none",
    "DEFORM_DISABLE_PLUGINS": "leave these plugins out, separated by commas",
    "DEFORM_STRICT_PLUGINS": "1: a plugin that does not load is an error",
    "DEFORM_DEBUG": "1: errors come with a traceback",
    "HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE": "as the Hub's client reads them",
}


def completions(
    context: typer.Context,
    what: Annotated[What, typer.Argument(help="The shell; man: the manual page.", show_default=False)],
) -> None:
    """Write the completion script of a shell, or the manual page, to stdout."""
    if what == "man":
        typer.echo("\n".join(_manual(context.find_root().command)))
        return
    from typer.completion import get_completion_script

    typer.echo(get_completion_script(prog_name="deform", complete_var="_DEFORM_COMPLETE", shell=what))


def _manual(root: Any) -> Iterator[str]:
    """The lines of deform(1), in the man macros."""
    yield from (f'.TH DEFORM 1 "" "deform {__version__}" "User Commands"', ".SH NAME")
    yield f"deform \\- {_roff(_sentence(root.help))}"
    yield from (".SH SYNOPSIS", ".B deform", r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]", ".SH COMMANDS")
    for path, command in sorted(every_command(root, "deform")):
        if is_group(command):
            continue
        yield from (f".SS {path}", _roff(_sentence(command.help)))
        context = typer.Context(command, info_name=path)
        for parameter in command.params:
            if record := parameter.get_help_record(context):
                yield from (".TP", f".B {_roff(record[0])}", _roff(record[1]) or "\\&")
    refusals = {kind.exit_code: _sentence(kind.__doc__) for kind in (DeformError, *DeformError.__subclasses__())}
    exit_codes = {0: "All done or skipped."} | refusals | {130: "Interrupted."}
    for title, items in (("ENVIRONMENT", VARIABLES), ("EXIT STATUS", exit_codes)):
        yield f".SH {title}"
        for name, meaning in items.items():
            yield from (".TP", f".B {name}", _roff(meaning))


def _sentence(help_text: str | None) -> str:
    return " ".join((help_text or "").split("\n\n")[0].split())


def _roff(text: str) -> str:
    """Text as roff shows it: no line is a request, a hyphen is the one of options."""
    text = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return rf"\&{text}" if text.startswith(".") else text
