"""The manifest, and the way from an id to a verified file: bundled, one's own, damaged, not there."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from safetensors.torch import load_file

from deformcli import registry
from deformcli.errors import WeightsError
from deformcli.weights import archive, manifest, pickles
from deformcli.weights import store as weights

TENSORS = {
    "regressor.conv.weight": np.zeros((4, 3, 3, 3), np.float16),
    "regressor.norm.running_mean": np.zeros(4, np.float16),
    "inpainter.bias": np.zeros(5, np.float16),
}
DATA = save(TENSORS, metadata={"format": "pt"})
SHA256 = hashlib.sha256(DATA).hexdigest()
REVISION = "0123456789abcdef0123456789abcdef01234567"


def toml(name: str, **changes) -> str:
    """A manifest with one good entry (bundled beside it), after `changes`; None takes a key out."""
    table = {
        "task": "frontalize",
        "arch": "thesis",
        "source": "bundled",
        "path": "net.safetensors",
        "sha256": SHA256,
        "size": len(DATA),
        "format": "safetensors",
        "licence": "Apache-2.0",
        "trained_on": "nothing",
        "status": "for tests",
    } | changes
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value is not None]
    return "\n".join(["schema = 1", f'["{name}"]', *lines])


@pytest.fixture
def core(tmp_path, monkeypatch):
    """`core(text)` makes `text` the core's manifest, beside a good file, with no plugins and a cache of its own."""
    (tmp_path / "net.safetensors").write_bytes(DATA)
    path = tmp_path / "manifest.toml"
    monkeypatch.setattr(manifest, "CORE_MANIFEST", path)
    monkeypatch.setattr(registry, "plugins", registry.Registry)
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "cache"))

    def write(text: str) -> Path:
        path.write_text(text)
        return path

    return write


def test_the_projects_own_manifest_is_whole():
    root = Path(__file__).resolve().parents[2] / "weights_manifest.toml"
    assert root.samefile(manifest.CORE_MANIFEST)
    for entry in manifest.read_manifest(root).values():
        here = weights.local_file(entry)
        assert entry.source != "bundled" or (here and here.stat().st_size == entry.size), entry.id


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sha256": "ABC"}, "sha256"),
        ({"sha256": None}, "sha256"),
        ({"size": "12"}, "size"),
        ({"size": True}, "size"),
        ({"licence": ""}, "licence"),
        ({"format": "pickle"}, "format"),
        ({"source": "ftp"}, "source"),
        ({"source": 3}, "source"),
        ({"colour": "red"}, "colour"),
        ({"path": "../net.safetensors"}, "path"),
        ({"path": "a/../../net.safetensors"}, "path"),
        ({"path": "/etc/net.safetensors"}, "path"),
        ({"path": None}, "path"),
        ({"package": "a.b"}, "package"),
        ({"config": "x"}, "config"),
        ({"source": "hub", "repo": "name", "revision": REVISION, "file": "f"}, "repo"),
        ({"source": "hub", "repo": "a/b", "revision": "main", "file": "f"}, "revision"),
        ({"source": "external"}, "obtain"),
        ({"source": "external", "sha256": "ABC", "obtain": "ask Ann"}, "sha256"),
    ],
)
def test_wrong_key_is_named_with_its_table(core, changes, key):
    path = core(toml("net-1", **changes))
    with pytest.raises(WeightsError, match=re.escape(f"{path}: [net-1] {key}: expected ")):
        manifest.read_manifest(path)


@pytest.mark.parametrize(
    "text", ["schema = 2", "", "schema = ", toml("Net"), 'schema = 1\nnet = "x"', toml("-net"), toml("a b")]
)
def test_what_is_no_manifest_is_refused(core, text):
    with pytest.raises(WeightsError, match=r"manifest\.toml"):
        manifest.read_manifest(core(text))


def test_plugin_with_a_wrong_manifest_is_set_aside(core, tmp_path, monkeypatch, capsys):
    core(toml("net"))
    clash = tmp_path / "clash.toml"
    clash.write_text(toml("net"))
    set_aside = []
    plugins = registry.Registry()
    monkeypatch.setattr(plugins, "offers", lambda hook: iter([("a", clash), ("b", tmp_path / "none.toml"), ("c", 3)]))
    monkeypatch.setattr(plugins, "set_aside", lambda name, error: set_aside.append((name, str(error))))
    monkeypatch.setattr(registry, "plugins", lambda: plugins)
    assert list(manifest.all_weights()) == ["net"]
    assert [name for name, _ in set_aside] == ["a", "b", "c"]
    assert "net exist already" in set_aside[0][1]


def test_bundled_beside_the_manifest(core, tmp_path):
    core(toml("net"))
    assert weights.resolve_weights("net", task="frontalize") == tmp_path / "net.safetensors"


def test_bundled_in_a_package_that_is_not_imported(core, tmp_path, monkeypatch):
    package = tmp_path / "deform_carrier"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "net.safetensors").write_bytes(DATA)
    monkeypatch.syspath_prepend(tmp_path)
    core(toml("net", package="deform_carrier"))
    assert weights.resolve_weights("net") == package / "net.safetensors"
    assert "deform_carrier" not in sys.modules


def test_checksum_is_compared_once_and_again_when_the_file_changes(core, tmp_path, monkeypatch):
    core(toml("net"))
    weights.resolve_weights("net")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "_check_sha256", lambda *args: pytest.fail("hashed a stamped file"))
        weights.resolve_weights("net")
    (tmp_path / "net.safetensors").write_bytes(DATA[:-1] + b"x")
    with pytest.raises(WeightsError, match="sha256"):
        weights.resolve_weights("net")
    assert (tmp_path / "net.safetensors").exists()  # a bundled file belongs to its package


def test_cache_that_cannot_be_written_is_no_error(core, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "file"))
    core(toml("net"))
    assert weights.resolve_weights("net").is_file()


@pytest.mark.parametrize(
    ("changes", "task", "cause", "remedy"),
    [
        ({}, "inpaint", "net are for frontalize, not for inpaint", "known: none"),
        ({"path": "gone.safetensors"}, None, "not on this machine", "reinstall"),
        ({"package": "deform_not_there"}, None, "deform_not_there, which is not installed", "install"),
        ({"source": "external", "path": None, "obtain": "ask Ann"}, None, "not on this machine", "ask Ann"),
    ],
)
def test_weights_that_cannot_be_had(core, changes, task, cause, remedy):
    core(toml("net", **changes))
    with pytest.raises(WeightsError, match=cause) as caught:
        weights.resolve_weights("net", task=task)
    assert remedy in caught.value.remedy and caught.value.exit_code == 4


def test_unknown_id_lists_the_known_ones(core):
    core(toml("net"))
    with pytest.raises(WeightsError, match="no weights are called 'nat'") as caught:
        weights.resolve_weights("nat")
    assert caught.value.remedy == "known: net"


def test_path_of_the_user(core, tmp_path):
    core(toml("net"))
    assert weights.resolve_weights(tmp_path / "net.safetensors") == tmp_path / "net.safetensors"
    (tmp_path / "text.safetensors").write_text("hello, this is no network")
    (tmp_path / "short.safetensors").write_text("hi")
    (tmp_path / "net.onnx").write_bytes(DATA)
    for name, cause in [
        ("text.safetensors", "is not a safetensors file"),
        ("short.safetensors", "is not a safetensors file"),
        ("gone.safetensors", "no such file"),
        ("net.pth", "can run code"),
        ("net.onnx", "no .safetensors file"),
    ]:
        with pytest.raises(WeightsError, match=cause):
            weights.resolve_weights(tmp_path / name)


def test_header_whose_length_begins_like_a_pickle_is_none(tmp_path):
    """The file starts with the length of its header: 640 is b"\\x80\\x02", as a pickle of protocol 2 starts."""
    empty = len(save({}, {"format": ""})) - 8
    path = tmp_path / "net.safetensors"
    path.write_bytes(save({}, {"format": "x" * (640 - empty)}))
    assert path.read_bytes().startswith(b"\x80\x02\x00")
    assert weights.resolve_weights(path) == path


def test_parameter_counts_leave_statistics_out(core, tmp_path):
    core(toml("net"))
    assert weights.parameter_counts(tmp_path / "net.safetensors") == {"regressor": 108, "inpainter": 5}


def test_weights_commands(deform, install_plugin, tmp_path):
    source = """
        from pathlib import Path
        import deformcli

        @deformcli.hookimpl
        def register_weights():
            return Path(__file__).with_name("own.toml")
    """
    variables = {"PYTHONPATH": install_plugin("own", source), "DEFORM_LOAD_PLUGINS": "own"}
    (tmp_path / "site" / "own.toml").write_text(toml("own-net"))
    (tmp_path / "site" / "net.safetensors").write_bytes(DATA)
    assert "own-net" in deform("weights", "list", **variables).stdout
    listed = {item["id"]: item for item in json.loads(deform("weights", "list", "--json", **variables).stdout)}
    assert listed["own-net"]["parameters"] == {"regressor": 108, "inpainter": 5}
    assert "regressor 108" in deform("weights", "info", "own-net", **variables).stdout
    assert deform("weights", "verify", "own-net", **variables).returncode == 0
    (tmp_path / "site" / "net.safetensors").write_bytes(DATA[:-1] + b"x")
    damaged = deform("weights", "verify", "own-net", **variables)
    assert damaged.returncode == 4 and "sha256" in damaged.stdout


def test_a_network_of_another_format_is_shown_without_its_parameters(deform, tmp_path):
    (tmp_path / "yunet.onnx").write_bytes(b"onnx")
    shown = deform("weights", "info", "yunet", "--json", DEFORM_WEIGHTS_DIR=str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    described = json.loads(shown.stdout)
    assert (described["local"], described["parameters"]) == (str(tmp_path / "yunet.onnx"), {})


def external(**changes) -> str:
    gone = {"path": None, "sha256": None, "size": None}
    return toml("helper", source="external", status="external", obtain="ask Ann", **gone | changes)


def test_external_weights_are_the_users_own(core, tmp_path, monkeypatch):
    core(external())
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        weights.resolve_weights("helper")
    own = tmp_path / "cache" / "weights" / "helper.safetensors"
    assert caught.value.remedy == f"ask Ann; then name it as helper=FILE, or put it at {own}"
    net = tmp_path / "net.safetensors"
    assert weights.resolve_weights(f"helper={net}") == net
    (tmp_path / "mine").mkdir()
    net.rename(tmp_path / "mine" / "helper.safetensors")
    monkeypatch.setenv("DEFORM_WEIGHTS_DIR", str(tmp_path / "mine"))
    assert weights.resolve_weights("helper", task="frontalize") == tmp_path / "mine" / "helper.safetensors"


def test_own_copy_of_known_weights_has_their_checksum(core, tmp_path, monkeypatch):
    core(toml("net"))
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(DATA)
    assert weights.resolve_weights(f"net={copy}", task="frontalize") == copy
    copy.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(WeightsError, match="sha256"):
        weights.resolve_weights(f"net={copy}")
    monkeypatch.setenv("DEFORM_WEIGHTS_DIR", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    copy.rename(tmp_path / "mine" / "net.safetensors")
    with pytest.raises(WeightsError, match="sha256") as caught:
        weights.resolve_weights("net")
    assert "your own copy" in caught.value.remedy and (tmp_path / "mine" / "net.safetensors").exists()


def test_helper_networks_are_entries_without_invented_facts():
    entries = manifest.read_manifest(manifest.CORE_MANIFEST)
    for name in ("vgg-16", "mobilefacenet", "inception-resnet-v1", "light-cnn-29", "inception-v3-fid"):
        entry = entries[name]
        assert (entry.source, entry.status, entry.sha256, entry.repo, entry.revision) == ("external",) * 2 + ("",) * 3
        assert entry.licence and "convert" in entry.obtain


def test_train_takes_a_helper_by_what_it_is_for(tmp_path, monkeypatch):
    from deform_train.command import _helper

    monkeypatch.setenv("DEFORM_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match="vgg-16 is not on this machine"):
        _helper("vgg-16", False)
    (tmp_path / "vgg-16.safetensors").write_bytes(DATA)
    (tmp_path / "face.safetensors").write_bytes(DATA)
    assert _helper("vgg-16", False) == f"perceptual_weights={tmp_path / 'vgg-16.safetensors'}"
    assert _helper(f"mobilefacenet={tmp_path / 'face.safetensors'}", False).startswith("identity_weights=")


def pickle_of(path: Path, state) -> Path:
    torch.save(state, path)
    return path


TENSOR = torch.arange(3.0)


@pytest.mark.parametrize(
    "state",
    [{"a": TENSOR}, {"epoch": 3, "state_dict": {"a": TENSOR}}, {"state_dict": {"module.a": TENSOR}}],
    ids=["plain", "nested", "parallel"],
)
def test_tensors_of_a_checkpoint(state):
    (name, tensor) = next(iter(pickles.tensors_in(state).items()))
    assert name == "a" and torch.equal(tensor, TENSOR)


@pytest.mark.parametrize("state", [[TENSOR], {"a": "b"}, {"x": {"a": TENSOR}, "y": {"a": TENSOR}}, {}])
def test_what_is_no_checkpoint(state):
    with pytest.raises(ValueError, match="one mapping"):
        pickles.tensors_in(state)


def test_convert_takes_the_tensors(deform, tmp_path):
    source = pickle_of(tmp_path / "net.pth", {"state_dict": {"a": TENSOR}})
    done = deform("weights", "convert", source)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'net.safetensors'}\n"), done.stderr
    assert torch.equal(load_file(tmp_path / "net.safetensors")["a"], TENSOR)
    again = deform("weights", "convert", source)
    assert again.returncode == 2 and "exists already" in again.stderr


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_convert_runs_no_code_of_the_pickle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="is not converted: UnpicklingError"):
        pickles.convert(pickle_of(tmp_path / "bomb.pth", {"a": Bomb()}), tmp_path / "bomb.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.pth"]


def test_pickle_in_disguise_is_refused(core, tmp_path):
    core(toml("net"))
    disguised = pickle_of(tmp_path / "x.safetensors", {"a": TENSOR})
    with pytest.raises(WeightsError, match="can run code") as caught:
        weights.resolve_weights(disguised)
    assert "deform weights convert" in caught.value.remedy


def tar_of(path: Path, sums: str | None, *members: tuple[str, bytes], link: str = "") -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in [*([(archive.SUMS, sums.encode())] if sums is not None else []), *members]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name == link:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            tar.addfile(member, io.BytesIO(data))
    return path


NET = "net.safetensors"


@pytest.mark.parametrize(
    ("sums", "members", "link"),
    [
        (None, [(NET, DATA)], ""),
        ("", [(NET, DATA)], ""),
        (f"{SHA256}  {NET}\n", [], ""),
        (f"{SHA256}  {NET}\n", [(NET, DATA[:-1] + b"x")], ""),
        (f"{hashlib.sha256(b'x').hexdigest()}  {NET}\n", [(NET, b"x")], ""),
        (f"{SHA256}  {NET}\n", [(NET, DATA)], NET),
        (f"{SHA256}  ../{NET}\n", [(f"../{NET}", DATA)], ""),
        (f"{SHA256}  /tmp/{NET}\n", [(f"/tmp/{NET}", DATA)], ""),
        (f"{SHA256}  other.safetensors\n", [("other.safetensors", DATA)], ""),
        (f"{SHA256}  {NET}\n{SHA256}  net.py\n", [(NET, DATA), ("net.py", DATA)], ""),
    ],
    ids=["no sums", "unlisted", "missing", "damaged", "not the entry's", "link", "up", "absolute", "unknown", "suffix"],
)
def test_archive_that_is_wrong_leaves_nothing(core, tmp_path, sums, members, link):
    core(toml("net"))
    tar = tar_of(tmp_path / "w.tar", sums, *members, link=link)
    folder = tmp_path / "in" / "weights"
    with pytest.raises(WeightsError, match="is not imported"):
        archive.read_archive(tar, folder, manifest.all_weights())
    assert [path for path in (tmp_path / "in").rglob("*") if path.is_file()] == []


def test_archive_that_ends_early_is_refused(core, tmp_path):
    core(toml("net"))
    archive.write_archive(tmp_path / "w.tar", {"net": tmp_path / NET})
    (tmp_path / "w.tar").write_bytes((tmp_path / "w.tar").read_bytes()[:1700])
    with pytest.raises(WeightsError, match="is not imported"):
        archive.read_archive(tmp_path / "w.tar", tmp_path / "in", manifest.all_weights())


def test_archive_is_the_same_for_everyone(core, tmp_path):
    core(toml("net"))
    for name in ("a.tar", "b.tar"):
        archive.write_archive(tmp_path / name, {"net": tmp_path / NET})
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert archive.read_archive(tmp_path / "a.tar", tmp_path / "in", manifest.all_weights()) == [tmp_path / "in" / NET]
