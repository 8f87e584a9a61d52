"""A run's weights get an id, go to a local Hub through its real client, and come back from there."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from deformcli import registry
from deformcli.cli import main
from deformcli.errors import DeformError, UsageError, WeightsError
from deformcli.weights import archive, own
from deformcli.weights.manifest import find_entry, own_manifest, read_manifest
from deformcli.weights.networks import export_generator
from deformcli.weights.store import own_file, resolve_weights

from ..conftest import served

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
REPO = "somebody/net"


class Hub(BaseHTTPRequestHandler):
    """What an upload needs: make a repository, ask how to upload, LFS, commit; then HEAD and GET of what is there."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.seen.append(self.path)
        if self.headers.get("Authorization") != "Bearer right":
            self.answer(401, {"error": "Unauthorized"})
        elif self.path == "/api/repos/create":
            server.repo = json.loads(body)
            self.answer(200, {"url": f"{server.url}/{REPO}", "name": REPO})
        elif self.path == f"/api/models/{REPO}/preupload/main":
            files = [{**file, "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                     for file in json.loads(body)["files"]]  # fmt: skip
            self.answer(200, {"files": [{**file, "shouldIgnore": False} for file in files]})
        elif self.path == f"/{REPO}.git/info/lfs/objects/batch":
            actions = {"upload": {"href": f"{server.url}/lfs", "header": {}}}
            objects = [{**thing, "actions": actions} for thing in json.loads(body)["objects"]]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif self.path == f"/api/models/{REPO}/commit/main":
            server.commit = [json.loads(line) for line in body.splitlines()]
            url = f"{server.url}/{REPO}/commit/{COMMIT}"
            self.answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url, "pullRequestUrl": None})
        else:
            self.answer(200, {"errors": [], "warnings": []})

    def do_PUT(self) -> None:
        self.server.blob = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        if self.path != f"/{REPO}/resolve/{COMMIT}/my-run.safetensors":
            self.answer(404, {})
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(server.blob).hexdigest()}"')
        self.send_header("Content-Length", str(len(server.blob)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(server.blob)

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.url, server.seen = f"http://127.0.0.1:{server.server_port}", []
    with served(server):
        yield server


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder, and a cache of one's own."""
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DEFORM_WEIGHTS_DIR", raising=False)
    folder = tmp_path / "My Run"
    folder.mkdir()
    for name, value in (("weights", 1.0), ("weights-best", 2.0)):
        network = torch.nn.Linear(1, 1)
        network.weight.data.fill_(value)
        config = {"widths": (1, 2), "sampler": "forward", "smooth": True, "trust": 0.5}
        export_generator(folder / f"{name}.safetensors", network, "inpaint", config, 7)
    (folder / "run.json").write_text(json.dumps({"data": ['folder:my "photos"']}))
    (folder / "log.jsonl").write_text('{"step": 5, "held_out_mse": 0.25}\n{"step": 7, "held_out_mse": 0.5}\n')
    return folder


def test_a_run_becomes_weights(run):
    own.add_run(run, "", "Apache-2.0", "")
    entry = find_entry("my-run")
    assert (entry.task, entry.licence, entry.trained_on) == ("inpaint", "Apache-2.0", 'folder:my "photos"')
    assert entry.config == {"widths": [1, 2], "sampler": "forward", "smooth": True, "trust": 0.5}
    assert entry.metrics["summary"] == "MSE 0.25000 on the validation split at step 5"
    path = resolve_weights("my-run", task="inpaint")
    assert path.read_bytes() == (run / "weights-best.safetensors").read_bytes()
    with pytest.raises(UsageError, match="my-run exist already"):
        own.add_run(run, "", "", "")
    own.add_run(run, "other.2", "", "é\n'x'")
    assert find_entry("other.2").trained_on == "é\n'x'"
    own.forget(["my-run"])
    assert set(read_manifest(own_manifest())) == {"other.2"}


def test_a_full_disk_is_said(run, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own, "write_atomic", full)
    with pytest.raises(DeformError, match="safetensors cannot be written: No space left on device"):
        own.add_run(run, "", "", "")


@pytest.fixture
def tool(run, monkeypatch, capfd):
    """`tool("weights", ...)` runs the tool in this process, without plugins: its exit code, stdout and stderr."""
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "")
    registry.plugins.cache_clear()
    yield lambda *args: (main([str(arg) for arg in args]), *capfd.readouterr())
    registry.plugins.cache_clear()


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("lost", [False, True])
def test_added_weights_are_removed_as_add_says(tool, run, tmp_path, monkeypatch, elsewhere, lost):
    """From a folder of one's own too, and where their file is gone."""
    if elsewhere:
        monkeypatch.setenv("DEFORM_WEIGHTS_DIR", str(tmp_path / "mine"))
    assert tool("weights", "add", run)[0] == 0
    file = resolve_weights("my-run")
    if lost:
        file.unlink()
    code, _, err = tool("weights", "add", run)
    assert code == 2 and "--replace" in err.splitlines()[1]
    assert tool("weights", "rm", "my-run")[0] == 0
    assert not file.exists() and "my-run" not in read_manifest(own_manifest())
    assert tool("weights", "add", run)[0] == 0


def test_added_weights_may_be_replaced_and_others_not(tool, run):
    assert tool("weights", "add", run, "--id", "mine")[0] == 0
    (run / "weights-best.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    assert tool("weights", "add", run, "--id", "mine", "--licence", "MIT", "--replace")[0] == 0
    assert resolve_weights("mine").read_bytes() == (run / "weights.safetensors").read_bytes()
    assert find_entry("mine").licence == "MIT"
    code, _, err = tool("weights", "add", run, "--id", "vgg-16", "--replace")
    assert code == 2 and "those are not your own" in err


def test_own_weights_go_to_another_machine(tool, run, tmp_path, monkeypatch):
    for name in ("mine", "other"):
        assert tool("weights", "add", run, "--id", name)[0] == 0
    before = find_entry("mine")
    assert tool("weights", "export", "mine", "-o", tmp_path / "w.tar")[0] == 0
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "there"))
    for _ in range(2):  # again: the same are there already
        code, _, err = tool("weights", "import", tmp_path / "w.tar")
        assert code == 0, err
    assert resolve_weights("mine", task="inpaint").read_bytes() == (run / "weights-best.safetensors").read_bytes()
    assert replace(find_entry("mine"), manifest=before.manifest) == before
    assert "other" not in read_manifest(own_manifest())
    (run / "weights-best.safetensors").unlink()
    assert tool("weights", "add", run, "--id", "mine", "--replace")[0] == 0
    code, _, err = tool("weights", "import", tmp_path / "w.tar")
    assert code == 4 and "other weights are called 'mine' here" in err
    assert resolve_weights("mine").read_bytes() == (run / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../mine.safetensors"},
        {"path": "other.safetensors"},
        {"package": "os"},
        {"source": "external", "obtain": "x"},
        {"format": "onnx"},
        {"id": "vgg-16"},
        {"id": "absent"},
    ],
    ids=str,
)
def test_tables_in_a_tar_are_of_its_own_files_alone(tool, run, tmp_path, monkeypatch, changes):
    assert tool("weights", "add", run, "--id", "mine")[0] == 0
    entry = find_entry("mine")
    archive.write_archive(tmp_path / "w.tar", {"mine": own_file(entry)}, [replace(entry, **changes)])
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path / "there"))
    code, _, err = tool("weights", "import", tmp_path / "w.tar")
    assert code == 4 and "is not imported" in err and len(err.splitlines()) == 2
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file()]


def test_a_damaged_file_is_named_and_the_others_are_listed(tool, run):
    assert tool("weights", "add", run, "--id", "mine")[0] == 0
    resolve_weights("mine").write_bytes(b"damaged")
    code, out, _ = tool("weights", "list", "--json")
    listed = {one["id"]: one for one in json.loads(out)}
    assert code == 0 and len(listed) > 3
    assert "mine.safetensors is not a safetensors file" in listed["mine"]["problem"]
    assert listed["face-mesh"]["parameters"] and not listed["face-mesh"]["problem"]
    assert "mine.safetensors is not a safetensors file" in tool("weights", "info", "mine")[1]


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(UsageError, match="is no id"):
        own.add_run(run, "../up", "", "")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        own.add_run(tmp_path / "empty", "", "", "")
    (run / "weights-best.safetensors").write_bytes(b"none")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        own.add_run(run, "", "", "")
    assert not own_manifest().exists()


def test_published_weights_come_back_from_the_hub(deform, hub, run, tmp_path):
    there = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "right", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    assert deform("weights", "add", run, "--licence", "Apache-2.0").returncode == 0
    refused = deform("weights", "publish", REPO, "my-run", **there | {"HF_TOKEN": "wrong"})
    assert refused.returncode == 4
    assert "HF_TOKEN" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2

    done = deform("weights", "publish", REPO, "my-run", "--private", **there)
    assert (done.returncode, done.stderr) == (0, "")
    assert "private" in json.dumps(hub.repo)  # clients differ in how they ask for it
    assert hub.blob == (run / "weights-best.safetensors").read_bytes()
    kinds = {line["key"]: line["value"] for line in hub.commit}
    assert kinds["lfsFile"]["path"] == "my-run.safetensors"
    assert kinds["lfsFile"]["oid"] == hashlib.sha256(hub.blob).hexdigest()
    card = base64.b64decode(kinds["file"]["content"]).decode()
    assert "license: apache-2.0" in card
    assert "deform inpaint" in card

    (tmp_path / "table.toml").write_text(f"schema = 1\n{done.stdout}")
    entry = read_manifest(tmp_path / "table.toml")["my-run"]
    assert (entry.source, entry.repo, entry.revision, entry.file) == ("hub", REPO, COMMIT, "my-run.safetensors")

    (tmp_path / "cache/weights/my-run.safetensors").unlink()
    fetched = deform("weights", "path", "my-run", **there)
    assert fetched.returncode == 0, fetched.stderr
    assert str(tmp_path / "cache/hub") in fetched.stdout
    assert deform("weights", "rm", "my-run").returncode == 0
    assert deform("weights", "info", "my-run").returncode == 4
    assert deform("weights", "publish", REPO, "vgg-16", **there).returncode == 2
