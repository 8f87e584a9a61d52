"""Finds the plugins, loads them one by one, and keeps a broken one from hurting the others."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, Literal

import pluggy
import typer

from . import __all__ as PUBLIC
from . import __version__, hookspecs
from .errors import DeformError, PluginError, UsageError, debugging, one_line

GROUP = "deformcli"
Status = Literal["loaded", "broken", "disabled", "missing"]
# SystemExit too: a module that leaves while it is imported must not take the tool along.
FAILURES = (Exception, SystemExit)


@dataclass(frozen=True)
class PluginRecord:
    """How one plugin fared: where it comes from, and why it is not there when it is not."""

    name: str
    module: str
    distribution: str
    version: str
    status: Status
    error: str = ""
    hooks: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do about a plugin that is not there."""
        if self.status in ("loaded", "disabled"):
            return ""
        if not self.distribution:
            return f"install it, or take {self.name} out of DEFORM_LOAD_PLUGINS"
        return f"update it, or remove it: pip uninstall {self.distribution}"


class Registry:
    """The plugins of one process: `manager` holds the loaded ones, `records` tells about all of them."""

    def __init__(self, *, strict: bool = False) -> None:
        self.manager = _new_manager()
        self.records: list[PluginRecord] = []
        self._strict = strict

    def load(self, entry_point: EntryPoint) -> None:
        """Import and register one plugin. Whatever it raises ends in its record; strictness makes it PluginError."""
        try:
            if namesakes := [one for one in self.records if (one.name, one.status) == (entry_point.name, "loaded")]:
                raise ValueError(f"{namesakes[0].distribution} has a plugin of that name")
            plugin = entry_point.load()
            marked = [name for name in dir(plugin) if self.manager.parse_hookimpl_opts(plugin, name) is not None]
            if unknown := [name for name in marked if not hasattr(hookspecs, name)]:
                known = f"deform {__version__} does not know {', '.join(unknown)}"
                raise TypeError(f"{known}: the plugin may be made for a newer one")
            # A wrong signature shows here, before the shared manager has seen it.
            if not _alone(plugin).get_hookcallers(plugin):
                raise TypeError("it implements no hook")
            self.manager.register(plugin, entry_point.name)
        except FAILURES as error:
            self.records.append(_record(entry_point, "broken", error=one_line(error)))
            self._tell(self.records[-1], error)
        else:
            hooks = sorted(caller.name for caller in self.manager.get_hookcallers(plugin) or ())
            self.records.append(_record(entry_point, "loaded", hooks=tuple(hooks)))

    def set_aside(self, name: str, error: BaseException) -> None:
        """Unregister a loaded plugin that failed later on, and say so."""
        self.manager.unregister(name=name)
        for index, record in enumerate(self.records):
            if record.name == name and record.status == "loaded":
                self.records[index] = replace(record, status="broken", error=one_line(error))
                self._tell(self.records[index], error)

    def add_commands(self, app: typer.Typer) -> None:
        """Let every plugin add its commands to `app`; one that raises or takes an existing name adds none."""
        taken = {*(str(one.name) for one in app.registered_commands), *(str(one.name) for one in app.registered_groups)}
        for name, plugin in self.manager.list_name_plugin():
            own = typer.Typer()
            try:
                _alone(plugin).hook.register_commands(app=own)
                commands = _commands(own)
                if clash := sorted(commands & taken):
                    raise ValueError(f"the command {', '.join(clash)} exists already")
            except FAILURES as error:
                self.set_aside(name, error)
            else:
                app.add_typer(own)
                taken |= commands

    def offers(self, hook: str) -> Iterator[tuple[str, Any]]:
        """(plugin's name, what its `hook` returns), in order of registration; a plugin that raises is set aside."""
        order = [name for name, _ in self.manager.list_name_plugin()]  # pluggy's own heeds trylast
        found = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(found, key=lambda one: order.index(one.plugin_name)):
            try:
                offer = implementation.function()
            except FAILURES as error:
                self.set_aside(implementation.plugin_name, error)
            else:
                yield implementation.plugin_name, offer

    def merged(self, hook: str, own: Collection[str] = ()) -> dict[str, str]:
        """What the plugins offer through a naming hook, as one mapping name -> "module:object".

        A plugin that takes a name of deform's `own`, or of one before it, is set aside.
        """
        names: dict[str, str] = {}
        for plugin, offer in self.offers(hook):
            try:
                names |= _new_names(offer, dict.fromkeys(own, "deform itself") | names)
            except (TypeError, ValueError) as error:
                self.set_aside(plugin, error)
        return names

    def _tell(self, record: PluginRecord, error: BaseException) -> None:
        what = f"plugin {record.name!r} ({record.distribution or record.module}) does not load: {record.error}"
        if debugging():
            traceback.print_exception(error)
        if self._strict:
            raise PluginError(what, f"repair or uninstall it, or set DEFORM_DISABLE_PLUGINS={record.name}") from error
        if "_DEFORM_COMPLETE" not in os.environ:  # completing shells show stderr in the middle of the command line
            typer.echo(f"warning: {what}; it is left out (see `deform plugins list`)", err=True)


def load_plugins(found: Iterable[EntryPoint] | None = None, environ: Mapping[str, str] | None = None) -> Registry:
    """Load the plugins of the entry-point group `deformcli`, each on its own; first those that come with deform.

    What an earlier one has is taken: names of commands, recipes and the like, and the plugin's own.

    Args:
        found: the entry points; None for the installed ones.
        environ: DEFORM_LOAD_PLUGINS=a,b loads these alone (empty: none), DEFORM_DISABLE_PLUGINS=a,b leaves these out,
            DEFORM_STRICT_PLUGINS=1 makes the first broken one an error. None for the process's environment.

    Raises:
        PluginError: a plugin does not load and strictness was asked for.
    """
    environ = os.environ if environ is None else environ
    found = list(entry_points(group=GROUP) if found is None else found)
    wanted = _names(environ["DEFORM_LOAD_PLUGINS"]) if "DEFORM_LOAD_PLUGINS" in environ else None
    disabled = _names(environ.get("DEFORM_DISABLE_PLUGINS", ""))
    registry = Registry(strict=environ.get("DEFORM_STRICT_PLUGINS", "") not in ("", "0"))
    for entry_point in sorted(found, key=_rank):
        if entry_point.name in disabled or (wanted is not None and entry_point.name not in wanted):
            registry.records.append(_record(entry_point, "disabled"))
        else:
            registry.load(entry_point)
    for name in sorted((wanted or set()) - {item.name for item in found}):
        error = LookupError("DEFORM_LOAD_PLUGINS names it, but no installed package offers it")
        registry.records.append(PluginRecord(name, "", "", "", "missing", error=str(error)))
        registry._tell(registry.records[-1], error)
    return registry


@cache
def plugins() -> Registry:
    """The registry of this process, loaded at the first call."""
    return load_plugins()


def functions() -> dict[str, str]:
    """Every function's name -> "module:function"; `deformcli.NAME` is that function."""
    return plugins().merged("register_functions", PUBLIC)


def recipes() -> dict[str, str]:
    """Every recipe's name -> "module:Class"."""
    return plugins().merged("register_recipes")


def datasets(own: Collection[str] = ()) -> dict[str, str]:
    """Every data set's name -> "module:function", of plugins; deform's `own` names cannot be theirs."""
    return plugins().merged("register_datasets", own)


def metrics(own: Collection[str] = ()) -> dict[str, str]:
    """Every metric's name -> "module:function", of plugins; deform's `own` names cannot be theirs."""
    return plugins().merged("register_metrics", own)


def choose(kind: str, name: str, known: Mapping[str, str]) -> Any:
    """The object that `name` stands for in `known`, e.g. `choose("recipe", "inpaint", recipes())`.

    Raises:
        UsageError: nobody offers that name; the remedy lists those on offer.
        DeformError: see `resolve`.
    """
    if name not in known:
        raise UsageError(f"no {kind} is called {name!r}", f"known: {', '.join(sorted(known)) or 'none'}")
    return resolve(known[name])


def resolve(spec: str) -> Any:
    """Import "module:object". Raises DeformError if the module does not import, or has no such object."""
    module, _, attribute = spec.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise DeformError(f"{spec} cannot be imported: {one_line(error)}", "reinstall the package it is in") from error


def _new_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _alone(plugin: object) -> pluggy.PluginManager:
    manager = _new_manager()
    manager.register(plugin)
    return manager


def _commands(app: typer.Typer) -> set[str]:
    """The names `app` would add. Building them also shows signatures that Typer cannot read."""
    if app.registered_callback:
        raise ValueError("a plugin adds commands and groups to the app, no callback")
    return set(typer.main.get_group(app).commands)


def _new_names(offer: Any, taken: Mapping[str, str]) -> dict[str, str]:
    for name, spec in dict(offer).items():
        if name in taken:
            raise ValueError(f"the name {name!r} is taken by {taken[name]}")
        if not isinstance(spec, str) or not all(spec.partition(":")):
            raise ValueError(f'{name!r}: expected "module:object", got {spec!r}')
    return dict(offer)


def _rank(entry_point: EntryPoint) -> tuple[bool, str, str]:
    """What comes with deform first, then by name."""
    distribution, _ = _name_and_version(entry_point.dist)
    return distribution != GROUP, entry_point.name, distribution


def _names(text: str) -> set[str]:
    return {name.strip() for name in text.split(",")} - {""}


def _record(entry_point: EntryPoint, status: Status, *, error: str = "", hooks: tuple[str, ...] = ()) -> PluginRecord:
    name, version = _name_and_version(entry_point.dist)
    return PluginRecord(entry_point.name, entry_point.value, name, version, status, error, hooks)


@cache
def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    about = distribution.metadata if distribution else {"Name": "", "Version": ""}  # read from disk each time
    return about["Name"], about["Version"]
