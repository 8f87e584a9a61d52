"""Every hook, implemented by an inline plugin in the live registry."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

import deformcli
from deformcli import hookspecs, manifest, registry
from deformcli.errors import UsageError

from .test_weights import toml


class Inline:
    """A plugin with all hooks; a module does the same with functions."""

    manifest = Path()

    @deformcli.hookimpl
    def register_commands(self, app):
        @app.command()
        def greet(name: str) -> None:
            typer.echo(f"hello {name}")

    @deformcli.hookimpl
    def register_recipes(self):
        return {"inline-recipe": "collections:OrderedDict"}

    @deformcli.hookimpl
    def register_datasets(self):
        return {"inline-data": "pathlib:Path"}

    @deformcli.hookimpl
    def register_metrics(self):
        return {"inline-metric": "math:dist"}

    @deformcli.hookimpl
    def register_weights(self):
        return self.manifest

    @deformcli.hookimpl
    def doctor(self):
        return [("inline", True, "fine")]


@pytest.fixture
def inline(tmp_path):
    plugin = Inline()
    plugin.manifest = tmp_path / "manifest.toml"
    plugin.manifest.write_text(toml("inline-weights"))
    manager = registry.plugins().manager
    manager.register(plugin, "inline")
    try:
        yield plugin
    finally:
        manager.unregister(plugin)


def test_inline_plugin_has_every_hook():
    specified = {name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "deformcli_spec")}
    assert specified == {name for name in vars(Inline) if hasattr(getattr(Inline, name), "deformcli_impl")}


def test_register_commands(inline):
    from deformcli.cli import build_app

    result = CliRunner().invoke(build_app(), ["greet", "you"])
    assert (result.exit_code, result.output) == (0, "hello you\n")


def test_register_names(inline):
    assert registry.recipes()["inline-recipe"] == "collections:OrderedDict"
    assert registry.choose("data set", "inline-data", registry.datasets()) is Path
    assert registry.metrics()["inline-metric"] == "math:dist"


def test_data_set_of_a_plugin_is_read_and_cycled(inline, monkeypatch):
    from deformcli.data import spec

    monkeypatch.setattr(registry, "resolve", lambda name: lambda *args: [" ".join(map(str, args))])
    recipe = SimpleNamespace(config=SimpleNamespace(training="config"))
    assert spec.open_items(recipe, ["inline-data:here"], "test") == ["here test config"]
    items = spec.open_items(recipe, ["inline-data:here"], "train", 3)
    assert (len(items), items[2]) == (3, "here train config")
    with pytest.raises(UsageError, match="comes alone"):
        spec.open_items(recipe, ["inline-data:here", "folder:there"], "train")


def test_register_weights(inline):
    assert manifest.manifest()["inline-weights"].manifest == inline.manifest


def test_doctor(inline):
    assert ("inline", [("inline", True, "fine")]) in registry.plugins().offers("doctor")


def test_nothing_stays_behind():
    assert "inline-recipe" not in registry.recipes()
