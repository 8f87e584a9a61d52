"""Settings: the strongest wins, a file's mistakes are named, a project's file cannot reach out of the project."""

from __future__ import annotations

import json
import os

import pytest

from deformcli import config, registry
from deformcli.cli import main


@pytest.fixture
def files(tmp_path, monkeypatch):
    """`files(project="...", user="...")` writes the two files; the current folder is the project's."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    user = tmp_path / "user" / "config.toml"
    monkeypatch.setattr(config, "user_file", lambda: user)
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "frontalize,inpaint,train,evaluate,synthesize,studio")
    for name in ("data_dir", *config.OF_THE_USER[1:]):
        monkeypatch.setenv(f"DEFORM_{name.upper()}", "")  # so that it is put back, whatever a test's file says
        monkeypatch.delenv(f"DEFORM_{name.upper()}")
    registry.plugins.cache_clear()

    def write(project: str = "", user_text: str = "") -> None:
        config.PROJECT_FILE.write_text(project)
        user.parent.mkdir(exist_ok=True)
        user.write_text(user_text)

    yield write
    registry.plugins.cache_clear()


@pytest.fixture
def show(files, capfd):
    """`show()["frontalize.device"]` is (value, origin)."""

    def run(*args: str) -> dict[str, tuple]:
        assert main(["config", "show", *args, "--json"]) == 0
        shown = json.loads(capfd.readouterr().out)
        return {f"{item['command']}.{item['name']}".lstrip("."): (item["value"], item["origin"]) for item in shown}

    return run


def test_the_strongest_wins(files, show, monkeypatch):
    user = str(config.user_file())
    files(user_text='device = "cuda"\nquality = 70\nseed = 1\n[frontalize]\nquality = 71\nexists = "skip"')
    assert show("frontalize")["frontalize.quality"] == (71, user)
    files("quality = 80\n[inpaint]\nquality = 81\nmask-dilate = 2", config.user_file().read_text())
    shown = show()
    assert shown["frontalize.quality"] == (80, "deform.toml")
    assert shown["inpaint.quality"] == (81, "deform.toml")
    assert shown["inpaint.mask-dilate"] == (2, "deform.toml")
    assert shown["frontalize.exists"] == ("skip", user)
    assert shown["train.device"] == ("cuda", user)
    monkeypatch.setenv("DEFORM_QUALITY", "90")
    monkeypatch.setenv("DEFORM_INPAINT_QUALITY", "91")
    assert show()["frontalize.quality"] == ("90", "DEFORM_QUALITY")
    assert show()["inpaint.quality"] == ("91", "DEFORM_INPAINT_QUALITY")
    assert show("inpaint")["inpaint.offline"] == (False, "default")


def test_commands_heed_them_and_flags_are_stronger(files, capfd):
    files("[weights.list]\njson = true")
    assert main(["weights", "list"]) == 0
    assert isinstance(json.loads(capfd.readouterr().out), list)
    files('[inpaint]\nmask = "none.png"\noutput = "out.png"')
    assert main(["inpaint", "in.png"]) == 2
    assert "no such mask: none.png" in capfd.readouterr().err
    assert main(["inpaint", "in.png", "--mask", "other.png"]) == 2
    assert "no such mask: other.png" in capfd.readouterr().err


def test_origin_is_a_column(files, capfd):
    files('device = "cpu"')
    assert main(["config", "show", "--origin"]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["frontalize.device", "cpu", "deform.toml"] in lines and ["cache_dir", "-", "default"] in lines


def test_the_users_file_may_choose_plugins_and_folders(files, show, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("DEFORM_LOAD_PLUGINS")
    files(user_text=f'disable_plugins = ["train", "evaluate"]\ncache_dir = "{tmp_path}/elsewhere"')
    shown = show()
    assert shown["disable_plugins"] == ("train,evaluate", str(config.user_file()))
    assert shown["cache_dir"] == (f"{tmp_path}/elsewhere", str(config.user_file()))
    assert {r.name: r.status for r in registry.plugins().records}["train"] == "disabled"


def test_folders_of_data(files, show, monkeypatch):
    user = str(config.user_file())
    files("", '[data]\nroots = ["/srv/data", "~/sets"]')
    assert show()["data.roots"] == (f"/srv/data{os.pathsep}~/sets", user)
    assert os.environ["DEFORM_DATA_DIR"] == f"/srv/data{os.pathsep}~/sets"
    monkeypatch.delenv("DEFORM_DATA_DIR")
    files('data = ["folder:photos"]', '[data]\nroots = "/srv/data"\n[data.check]\njson = true')
    assert show()["data.roots"] == ("/srv/data", user)
    monkeypatch.setenv("DEFORM_DATA_DIR", "/mnt")
    assert show()["data.roots"] == ("/mnt", "DEFORM_DATA_DIR")
    monkeypatch.delenv("DEFORM_DATA_DIR")
    files('[data]\nroots = "sets"', '[data]\nroots = "/srv/data"')
    assert show()["data.roots"] == ("sets", "deform.toml")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('load_plugins = "evil"', "load_plugins: a project may not"),
        ('[frontalize]\ncache_dir = "x"', "cache_dir: a project may not"),
        ('weights = "/etc/passwd.safetensors"', "leads out of the project"),
        ('weights = "../evil.safetensors"', "leads out of the project"),
        ('weights = "inpaint-128=/tmp/evil.safetensors"', "leads out of the project"),
        ('[train]\ndata = ["folder:~/photos"]', "leads out of the project"),
        ('[data]\nroots = ["/srv/data"]', "leads out of the project"),
        ('[data]\nplaces = ["sets"]', "data places: there is no such option"),
        ('[frontalize]\nshow-warp = "link/x"', "leads out of the project"),
        ("[weights.lst]\njson = true", "weights lst: there is no such command"),
        ("[frontalize]\nmask = 1", "frontalize mask: there is no such option"),
        ("quality = ", "deform.toml cannot be read as settings"),
    ],
)
def test_project_file_that_is_refused(files, tmp_path, capfd, text, cause):
    (tmp_path / "project" / "link").symlink_to(tmp_path)
    files(text)
    assert main(["weights", "list"]) == 2
    out, err = capfd.readouterr()
    assert cause in err and len(err.splitlines()) == 2 and out == ""


def test_options_of_a_plugin_that_is_left_out_hurt_nobody(files, monkeypatch, capfd):
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "inpaint")
    files("[swirl]\nturns = 3")
    assert main(["weights", "list"]) == 0


@pytest.mark.parametrize("args", [["weights", "list"], ["--help"], ["config", "show"]])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[swirl]\nturns = 3", "deform.toml: swirl: there is no such command"),
        ("turns = 3", "deform.toml: turns: there is no such option"),
    ],
)
def test_settings_of_a_plugin_that_is_not_installed_hurt_nobody(files, capfd, text, words, args):
    files(text)
    assert main(args) == 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"warning: {words}") and "plugin" in line
