"""Settings from files and the environment, as defaults of the commands' options.

From the strongest: flags, DEFORM_<COMMAND>_<OPTION>, DEFORM_<OPTION>, ./deform.toml, the user's config.toml, defaults.
A file has options at its top (for every command that has them) and tables of options named like commands:

    device = "cpu"
    [frontalize]
    quality = 90
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import typer

from .errors import UsageError, one_line

PROJECT_FILE = Path("deform.toml")
OF_THE_USER = ("load_plugins", "disable_plugins", "strict_plugins", "cache_dir", "weights_dir")
"""What a project file may not say: the environment variables DEFORM_LOAD_PLUGINS and so on."""
DATA_ROOTS = "data.roots"
"""What a project file may say, of folders in the project: the environment variable DEFORM_DATA_DIR."""
DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """What an option of a command (""; the tool as a whole) is, and who says so."""

    command: str
    name: str
    value: Any
    origin: str
    parameter: str = ""
    """What the command's function calls it."""


Files = Mapping[Path, Mapping[str, Any]]
"""Files of settings that are there, the strongest first, and what is in them."""


def user_file() -> Path:
    """Where the user's own file is looked for."""
    return platformdirs.user_config_path("deform") / "config.toml"


def read_files() -> Files:
    """The files that are there, the strongest first.

    Raises:
        UsageError: one is not TOML, or the project's names plugins, folders of the tool or a path outside the project.
    """
    files = {path: _read(path) for path in (PROJECT_FILE, user_file()) if path.is_file()}
    _check_project(files.get(PROJECT_FILE, {}))
    return files


def tool_settings(files: Files) -> Iterator[Setting]:
    """The settings of OF_THE_USER and DATA_ROOTS, as the texts their environment variables hold."""
    for name in (*OF_THE_USER, DATA_ROOTS):
        table, _, key = name.rpartition(".")
        values = [(_table(whole, table).get(key), str(path)) for path, whole in files.items()]
        texts = [(_text(value, name), path) for value, path in values if value is not None]
        text = os.environ.get(_tool_variable(name))
        if text is not None and text not in [found for found, _ in texts]:  # else it was put there, see below
            texts.insert(0, (text, _tool_variable(name)))
        yield Setting("", name, *(texts or [("", DEFAULT)])[0])


def apply_tool_settings(files: Files) -> None:
    """Put what the files say where the tool looks for it: into this process's environment."""
    for setting in tool_settings(files):
        if setting.origin != DEFAULT:
            os.environ.setdefault(_tool_variable(setting.name), setting.value)


def option_settings(files: Files, root: Any, *, strict: bool) -> list[Setting]:
    """Every option of every command below `root`.

    Raises:
        UsageError: a file has a key in a command's table that is none of its options, and `strict` asks to mind; it is
            named. Tables and keys beside those may be of a plugin that is not installed: of them it warns.
    """
    leaves = {path: _options(command) for path, command in every_command(root) if not is_group(command)}
    for path, table in files.items() if strict else ():
        _check_keys(path, table, leaves)
    return [
        Setting(command, name, *_look_up(files, command, name, parameter), parameter.name)
        for command, parameters in leaves.items()
        for name, parameter in parameters.items()
    ]


def defaults(settings: Sequence[Setting]) -> dict[str, Any]:
    """The settings that are not defaults, as Typer's nested `default_map`."""
    tree: dict[str, Any] = {}
    for setting in settings:
        if setting.origin != DEFAULT:
            table = tree
            for name in setting.command.split():
                table = table.setdefault(name, {})
            table[setting.parameter] = setting.value
    return tree


def _text(value: Any, name: str) -> str:
    if isinstance(value, list):
        return (os.pathsep if name == DATA_ROOTS else ",").join(map(str, value))
    return str(int(value) if isinstance(value, bool) else value)


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as settings: {one_line(error)}", "repair it") from error


def _check_project(table: Mapping[str, Any]) -> None:
    for key, value in _flat(table):
        if key in OF_THE_USER or "plugin" in key:
            remedy = f"put it into {user_file()}, or set {_variable(key)}"
            raise UsageError(f"{PROJECT_FILE}: {key}: a project may not choose plugins or folders of the tool", remedy)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not _stays_inside(text):
                raise UsageError(f"{PROJECT_FILE}: {key}: {text!r} leads out of the project", "use a flag for it")


def _stays_inside(text: str) -> bool:
    """Whether every part that may be a path (`folder:PATH`, `ID=PATH`) stays in the current folder, links followed."""
    here = Path.cwd().resolve()
    parts = text.replace("=", ":").replace("\\", "/").split(":")
    return not any(part.startswith("~") or not (here / part).resolve().is_relative_to(here) for part in parts)


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield key, value


def every_command(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path such as "weights list", command) of a command, "" itself, and of all below it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from every_command(child, f"{path} {name}".strip())


def is_group(command: Any) -> bool:
    """Whether a command holds others."""
    return bool(getattr(command, "commands", None))


def _options(command: Any) -> dict[str, Any]:
    """By their long names."""
    named = ((option, parameter) for parameter in command.params for option in parameter.opts)
    return {option.removeprefix("--"): parameter for option, parameter in named if option.startswith("--")}


def _check_keys(file: Path, table: Mapping[str, Any], leaves: Mapping[str, Mapping[str, Any]]) -> None:
    options = {_key(name) for parameters in leaves.values() for name in parameters}

    def check(table: Mapping[str, Any], path: str, known: set[str]) -> None:
        for key, value in table.items():
            where = f"{path} {key}".strip()
            if isinstance(value, dict) and any(f"{leaf} ".startswith(f"{where} ") for leaf in leaves):
                check(value, where, {_key(name) for name in leaves.get(where, ())})
            elif isinstance(value, dict) or (_key(key) not in known and f"{path}.{key}" != DATA_ROOTS):
                cause = f"{file}: {where}: there is no such {'command' if isinstance(value, dict) else 'option'}"
                if path:
                    raise UsageError(cause, "see `deform --help`")
                if "_DEFORM_COMPLETE" not in os.environ:  # completing shells show stderr
                    typer.echo(f"warning: {cause}; it may be a plugin's that is not installed", err=True)

    check(table, "", options | set(OF_THE_USER))


def _look_up(files: Files, command: str, name: str, parameter: Any) -> tuple[Any, str]:
    for variable in (_variable(f"{command} {name}"), _variable(name)):
        if variable in os.environ:
            value = os.environ[variable]
            return [value] if getattr(parameter, "multiple", False) else value, variable
    for path, whole in files.items():
        for table in (_table(whole, command), whole):
            for key, value in table.items():
                if _key(key) == _key(name) and not isinstance(value, dict):
                    return value, str(path)
    return parameter.default, DEFAULT


def _tool_variable(name: str) -> str:
    return "DEFORM_DATA_DIR" if name == DATA_ROOTS else _variable(name)


def _variable(name: str) -> str:
    return f"DEFORM_{_key(name).upper()}"


def _table(table: Mapping[str, Any], command: str) -> Mapping[str, Any]:
    for name in command.split():
        below = table.get(name)
        table = below if isinstance(below, dict) else {}
    return table


def _key(name: str) -> str:
    return name.replace("-", "_").replace(" ", "_")
