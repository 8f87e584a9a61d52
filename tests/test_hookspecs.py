"""Every hook, implemented by an inline plugin in the live registry."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import deformcli
from deformcli import hookspecs, registry
from deformcli.errors import UsageError
from deformcli.weights import manifest

from .weights.test_weights import toml


class Inline:
    """A plugin with all hooks; a module does the same with functions."""

    manifest = Path()

    @deformcli.hookimpl
    def register_commands(self, app):
        @app.command()
        def greet(name: str) -> None:
            typer.echo(f"hello {name}")

    @deformcli.hookimpl
    def register_functions(self):
        return {"inline_function": "math:dist"}

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
    assert deformcli.inline_function is math.dist
    assert registry.recipes()["inline-recipe"] == "collections:OrderedDict"
    assert registry.choose("data set", "inline-data", registry.datasets()) is Path
    assert registry.metrics()["inline-metric"] == "math:dist"


def test_data_set_of_a_plugin_is_opened_like_any_other(inline, monkeypatch):
    from deformcli.data.spec import open_source

    monkeypatch.setattr(registry, "resolve", lambda name: lambda root, split, *, light="all": (root, split, light))
    assert open_source("inline-data:here", "test").data == ("here", "test", "all")
    assert open_source("inline-data:a/b?light=dim&share=0.5", "train") == (
        "inline-data:a/b?light=dim&share=0.5",
        ("a/b", "train", "dim"),
        0.5,
    )
    with pytest.raises(UsageError, match="no option 'weight'"):
        open_source("inline-data:here?weight=1", "train")


def test_register_weights(inline):
    assert manifest.all_weights()["inline-weights"].manifest == inline.manifest


def test_doctor(inline):
    assert ("inline", [("inline", True, "fine")]) in registry.plugins().offers("doctor")


def test_nothing_stays_behind():
    assert "inline-recipe" not in registry.recipes()
