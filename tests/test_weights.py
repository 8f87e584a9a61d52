"""The manifest, and the way from an id to a verified file: bundled, from a (local) Hub, damaged, not there."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from deformcli import manifest, registry, weights
from deformcli.errors import WeightsError

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
    root = Path(__file__).resolve().parents[1] / "weights_manifest.toml"
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
    assert list(manifest.manifest()) == ["net"]
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


def test_parameter_counts_leave_statistics_out(core, tmp_path):
    core(toml("net"))
    assert weights.parameter_counts(tmp_path / "net.safetensors") == {"regressor": 108, "inpainter": 5}


class Hub(BaseHTTPRequestHandler):
    """The two requests that the Hub's client makes for a file."""

    content = DATA
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()
        self.wfile.write(self.server.content)

    def answer(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        if self.path != f"/deform-test/net/resolve/{REVISION}/a/net.safetensors":
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{hashlib.sha256(self.server.content).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.content, server.seen = DATA, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub_deform(deform, hub, install_plugin, tmp_path):
    """`deform` with a plugin whose weights are on the local Hub."""
    source = """
        from pathlib import Path
        import deformcli

        @deformcli.hookimpl
        def register_weights():
            return Path(__file__).with_name("hub.toml")
    """
    path = install_plugin("hubby", source)
    entry = {"source": "hub", "repo": "deform-test/net", "revision": REVISION, "file": "a/net.safetensors"}
    (tmp_path / "site" / "hub.toml").write_text(toml("net", path=None, **entry))
    endpoint = f"http://127.0.0.1:{hub.server_address[1]}"
    fixed = {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "hubby", "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    return lambda *args, **more: deform(*args, **fixed, **more)


def test_hub_file_comes_once_then_offline(hub_deform, hub, tmp_path):
    missing = hub_deform("weights", "path", "net", "--offline")
    assert missing.returncode == 4 and "--offline" in missing.stderr.splitlines()[1]
    assert hub.seen == []
    result = hub_deform("weights", "path", "net")
    assert (result.returncode, result.stderr) == (0, "")
    path = Path(result.stdout.strip())
    assert path.read_bytes() == DATA and path.is_relative_to(tmp_path / "cache" / "hub")
    requests = len(hub.seen)
    for arguments, variables in [((), {}), (("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"})]:
        again = hub_deform("weights", "path", "net", *arguments, **variables)
        assert Path(again.stdout.strip()) == path
    assert len(hub.seen) == requests
    assert json.loads(hub_deform("weights", "verify", "--json").stdout) == {"net": "ok"}


def test_hub_file_with_another_checksum_is_quarantined(hub_deform, hub, tmp_path):
    hub.content = DATA + b" "
    result = hub_deform("weights", "path", "net")
    assert result.returncode == 4 and "sha256" in result.stderr and result.stdout == ""
    assert (tmp_path / "cache" / "quarantine" / "net.safetensors").read_bytes() == hub.content
    hub.content = DATA
    assert hub_deform("weights", "path", "net").returncode == 0


def test_hub_without_the_file_is_two_lines(hub_deform, tmp_path):
    manifest_file = tmp_path / "site" / "hub.toml"
    manifest_file.write_text(manifest_file.read_text().replace("deform-test/net", "deform-test/other"))
    for variables in ({}, {"HF_HUB_OFFLINE": "1"}):
        result = hub_deform("weights", "path", "net", **variables)
        assert result.returncode == 4 and len(result.stderr.splitlines()) == 2


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
