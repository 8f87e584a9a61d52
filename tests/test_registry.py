"""Plugins are found, chosen by name, and isolated when they break, whichever way they break."""

from __future__ import annotations

import sys
import types
from importlib.metadata import Distribution, EntryPoint

import pytest
import typer

import deformcli
from deformcli import registry
from deformcli.errors import DeformError, PluginError, UsageError


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """`offer("name", hook=function, ...)`: an entry point to a module with these hooks, `of` a distribution or none."""

    def make(name: str, of: str = "", **hooks) -> EntryPoint:
        module = types.ModuleType(f"fake_{of}_{name}".replace("-", "_"))
        for hook, function in hooks.items():
            setattr(module, hook, deformcli.hookimpl(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        if not of:
            return EntryPoint(name, module.__name__, registry.GROUP)
        info = tmp_path / f"{of}-{name}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {of}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {module.__name__}\n")
        (entry_point,) = Distribution.at(info).entry_points
        return entry_point

    return make


def commands(*names):
    def register_commands(app):
        for name in names:
            app.command(name)(lambda: None)

    return register_commands


def app_with(loaded: registry.Registry) -> set[str]:
    app = typer.Typer()
    app.command("weights")(lambda: None)
    loaded.add_commands(app)
    return set(typer.main.get_group(app).commands)


def statuses(loaded: registry.Registry) -> dict[str, str]:
    return {record.name: record.status for record in loaded.records}


def test_good_plugins_load_in_the_order_of_their_names(offer):
    found = [offer("b", register_commands=commands("bend")), offer("a", register_commands=commands("arch", "angle"))]
    loaded = registry.load_plugins(found, {})
    assert list(statuses(loaded).items()) == [("a", "loaded"), ("b", "loaded")]
    assert loaded.records[0].hooks == ("register_commands",)
    assert app_with(loaded) == {"weights", "arch", "angle", "bend"}


def unreadable(app):
    @app.command()
    def bad(value: int | str) -> None:
        """Typer does not read unions."""


def half_way(app):
    app.command("half")(lambda: None)
    raise RuntimeError("in the middle")


@pytest.mark.parametrize(
    ("hooks", "error"),
    [
        (
            {"register_nonsense": lambda: None},
            "does not know register_nonsense: the plugin may be made for a newer one",
        ),
        ({"register_commands": lambda app, more: None}, "more"),
        ({}, "no hook"),
        ({"register_commands": half_way}, "RuntimeError: in the middle"),
        ({"register_commands": commands("bend")}, "the command bend exists already"),
        ({"register_commands": commands("new", "weights")}, "the command weights exists already"),
        ({"register_commands": unreadable}, "nion"),
        ({"register_commands": lambda app: app.callback()(lambda: None)}, "no callback"),
    ],
    ids=["unknown", "signature", "empty", "raises", "duplicate", "built-in", "unreadable", "callback"],
)
def test_broken_plugin_is_isolated(offer, capsys, hooks, error):
    found = [offer("a", register_commands=commands("bend")), offer("broken", **hooks), offer("c", doctor=lambda: [])]
    loaded = registry.load_plugins(found, {})
    assert app_with(loaded) == {"weights", "bend"}
    assert statuses(loaded) == {"a": "loaded", "broken": "broken", "c": "loaded"}
    assert error in loaded.records[1].error
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: plugin 'broken'")
    assert not loaded.manager.has_plugin("broken")


def test_remedy_says_how_to_get_rid_of_it():
    record = registry.PluginRecord("a", "deform_a", "deform-a", "1.0", "broken", error="x")
    assert record.remedy == "update it, or remove it: pip uninstall deform-a"
    assert "DEFORM_LOAD_PLUGINS" in registry.PluginRecord("a", "", "", "", "missing").remedy
    assert registry.PluginRecord("a", "deform_a", "deform-a", "1.0", "loaded").remedy == ""


def test_import_that_fails_is_isolated_and_strictness_raises(capsys):
    found = [EntryPoint("gone", "deform_not_there", registry.GROUP)]
    (record,) = registry.load_plugins(found, {}).records
    assert record.status == "broken" and record.error.startswith("ModuleNotFoundError")
    with pytest.raises(PluginError, match="gone") as caught:
        registry.load_plugins(found, {"DEFORM_STRICT_PLUGINS": "1"})
    assert caught.value.exit_code == 6
    registry.load_plugins(found, {"DEFORM_STRICT_PLUGINS": "1", "DEFORM_DISABLE_PLUGINS": "gone"})


@pytest.mark.parametrize(
    ("environ", "loaded"),
    [
        ({}, {"a", "b", "c"}),
        ({"DEFORM_LOAD_PLUGINS": "a, c"}, {"a", "c"}),
        ({"DEFORM_LOAD_PLUGINS": ""}, set()),
        ({"DEFORM_DISABLE_PLUGINS": "a"}, {"b", "c"}),
        ({"DEFORM_LOAD_PLUGINS": "a,b", "DEFORM_DISABLE_PLUGINS": "b"}, {"a"}),
    ],
)
def test_environment_chooses(offer, environ, loaded):
    records = registry.load_plugins([offer(name, doctor=lambda: []) for name in "abc"], environ).records
    assert {record.name for record in records if record.status == "loaded"} == loaded
    assert {record.name for record in records if record.status == "disabled"} == set("abc") - loaded


def test_name_asked_for_that_nobody_offers_is_told(capsys):
    (record,) = registry.load_plugins([], {"DEFORM_LOAD_PLUGINS": "typo"}).records
    assert (record.name, record.status) == ("typo", "missing")
    assert "typo" in capsys.readouterr().err


def test_names_are_merged_and_a_clash_or_nonsense_is_set_aside(offer, capsys):
    found = [
        offer("a", register_recipes=lambda: {"one": "m:One"}),
        offer("b", register_recipes=lambda: {"two": "m:Two", "one": "n:One"}),
        offer("c", register_recipes=lambda: {"three": "no colon"}),
        offer("d", register_recipes=lambda: 1 // 0),
        offer("e", register_recipes=lambda: {"five": "m:Five"}),
    ]
    loaded = registry.load_plugins(found, {})
    assert loaded.merged("register_recipes") == {"one": "m:One", "five": "m:Five"}
    assert statuses(loaded) == {"a": "loaded", "b": "broken", "c": "broken", "d": "broken", "e": "loaded"}
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.parametrize("hook", ["register_recipes", "register_functions", "register_datasets", "register_metrics"])
@pytest.mark.parametrize("last", [False, True])
def test_names_that_come_with_deform_cannot_be_taken(offer, hook, last):
    """By none whose own name comes before, nor by pluggy's ways to be called at another time."""
    ours, theirs = (lambda: {"fill": "ours:Fill"}), (lambda: {"fill": "theirs:Fill"})
    found = [
        offer("aaa", of="deform-aaa", **{hook: theirs}),
        offer("paint", of="deformcli", **{hook: ours}),
        offer("zzz", of="deform-zzz", **{hook: theirs}),
    ]
    deformcli.hookimpl(trylast=last)(theirs)
    loaded = registry.load_plugins(found, {})
    assert loaded.merged(hook) == {"fill": "ours:Fill"}
    assert statuses(loaded) == {"paint": "loaded", "aaa": "broken", "zzz": "broken"}
    assert "the name 'fill' is taken by ours:Fill" in loaded.records[1].error


def test_commands_that_come_with_deform_cannot_be_taken(offer, capsys):
    found = [
        offer("aaa", of="deform-aaa", register_commands=commands("fill")),
        offer("paint", of="deformcli", register_commands=commands("fill")),
    ]
    loaded = registry.load_plugins(found, {})
    assert app_with(loaded) == {"weights", "fill"}
    assert statuses(loaded) == {"paint": "loaded", "aaa": "broken"}
    (line,) = capsys.readouterr().err.splitlines()
    assert "plugin 'aaa' (deform-aaa) does not load: ValueError: the command fill exists already" in line
    assert loaded.records[1].remedy == "update it, or remove it: pip uninstall deform-aaa"


@pytest.mark.parametrize(
    ("names", "hook", "name"),
    [
        (registry.datasets, "register_datasets", "folder"),
        (registry.metrics, "register_metrics", "mse"),
        (lambda own: registry.functions(), "register_functions", "weights"),
    ],
)
def test_what_deform_has_itself_cannot_be_taken(offer, monkeypatch, names, hook, name):
    loaded = registry.load_plugins([offer("a", **{hook: lambda: {name: "a:b", "new": "a:c"}})], {})
    monkeypatch.setattr(registry, "plugins", lambda: loaded)
    assert names(own={name}) == {}
    assert f"the name '{name}' is taken by deform itself" in loaded.records[0].error


def test_of_two_packages_with_one_plugin_s_name_the_second_is_refused(offer, capsys):
    found = [offer("twin", of=f"deform-{one}", register_commands=commands(one)) for one in "ba"]
    loaded = registry.load_plugins(found, {})
    assert [(record.distribution, record.status) for record in loaded.records] == [
        ("deform-a", "loaded"),
        ("deform-b", "broken"),
    ]
    assert app_with(loaded) == {"weights", "a"}
    (line,) = capsys.readouterr().err.splitlines()
    assert "plugin 'twin' (deform-b) does not load: ValueError: deform-a has a plugin of that name" in line
    assert loaded.records[1].remedy == "update it, or remove it: pip uninstall deform-b"


def test_choose_and_resolve():
    known = {"ordered": "collections:OrderedDict"}
    assert registry.choose("recipe", "ordered", known).__name__ == "OrderedDict"
    with pytest.raises(UsageError, match="no recipe is called 'x'") as caught:
        registry.choose("recipe", "x", known)
    assert "ordered" in caught.value.remedy
    for spec in ("collections:Nope", "not_there_at_all:x"):
        with pytest.raises(DeformError, match=spec):
            registry.resolve(spec)
