"""Weights of the Hub: its real client against a local server that behaves well, badly, and like a liar."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from ..conftest import clean_environment, served
from .test_weights import REVISION, toml

CHUNK = 10 * 2**20  # the client writes that much at a time
DATA = save({"regressor.weight": np.arange(CHUNK // 4 + 100_000, dtype=np.float32)})
FILE = f"/deform-test/net/resolve/{REVISION}/a/net.safetensors"
CDN = "/cdn/blob"


class Hub(BaseHTTPRequestHandler):
    """HEAD and GET of one file as the Hub answers them: commit, ETag, size, ranges, and a redirect to where it lies.

    The server's attributes make it misbehave: see `hub`.
    """

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        server = self.server
        server.seen.append((self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        time.sleep(server.delay + (server.stall if self.command == "GET" else 0))
        if self.path not in (FILE, server.moved, CDN):
            self.reply(404, {"X-Error-Code": "EntryNotFound"})
        elif server.refusals and (status := server.refusals.pop(0)):
            self.reply(status, server.refusal_headers)
        elif server.moved and self.path == FILE:
            self.reply(307, {"Location": server.moved})
        elif server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            self.reply(401, {"X-Error-Code": "GatedRepo"})
        elif server.cdn and self.path != CDN:
            etag = hashlib.sha256(server.content).hexdigest()
            linked = {"X-Linked-Size": str(len(server.content)), "X-Linked-Etag": f'"{etag}"'}
            self.reply(302, linked | {"X-Repo-Commit": REVISION, "Location": server.cdn})
        else:
            self.send_file()

    def send_file(self) -> None:
        server = self.server
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = server.content[start:]
        headers = {
            "X-Repo-Commit": REVISION,
            "ETag": f'"{hashlib.sha256(server.content).hexdigest()}"',
            "Content-Length": str(len(body) + server.lie),
            "Accept-Ranges": "bytes",
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
        self.reply(206 if start else 200, headers)
        if self.command == "GET":
            cut = server.cuts.pop(0) if server.cuts else len(body)
            self.wfile.write(body[:cut])
            if cut < len(body) + max(server.lie, 0):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

    def reply(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def hub():
    """The local Hub; a test changes what it does by these attributes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # connections are dropped on purpose
    server.content = DATA
    server.seen = []
    server.delay, server.stall = 0.0, 0.0  # seconds before each answer; more of them before a download
    server.refusals, server.refusal_headers = [], {}  # statuses of the next answers; 0 = answer as usual
    server.cuts = []  # bytes after which the next downloads break off
    server.lie = 0  # bytes added to the size it announces
    server.moved = server.cdn = server.token = ""  # another path, another server, the token it wants
    with served(server):
        yield server


@pytest.fixture
def fetch(deform, hub, install_plugin, tmp_path):
    """`deform` with a plugin whose weights `net` are on the local Hub."""
    source = """
        import os
        import time
        from pathlib import Path
        import deformcli

        if "HURRY" in os.environ:  # the client waits longer and longer between attempts
            sleep = time.sleep
            time.sleep = lambda seconds: sleep(seconds / 50)

        @deformcli.hookimpl
        def register_weights():
            return Path(__file__).with_name("hub.toml")
    """
    path = install_plugin("hubby", source)
    entry = {"source": "hub", "repo": "deform-test/net", "revision": REVISION, "file": "a/net.safetensors"}
    entry |= {"sha256": hashlib.sha256(DATA).hexdigest(), "size": len(DATA)}
    (tmp_path / "site" / "hub.toml").write_text(toml("net", path=None, **entry))
    endpoint = f"http://127.0.0.1:{hub.server_address[1]}"
    fixed = {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "hubby", "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    return lambda *args, **more: deform(*(args or ("weights", "path", "net")), **(fixed | more))


def arrived(result) -> bool:
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return Path(result.stdout.strip()).read_bytes() == DATA


def refused(result) -> str:
    """The two lines of exit 4."""
    assert (result.returncode, result.stdout) == (4, ""), result
    assert len(result.stderr.splitlines()) == 2, result.stderr
    return result.stderr


def gets(hub) -> list:
    return [request for request in hub.seen if request[:2] == ("GET", FILE)]


def test_comes_once_then_offline(fetch, hub, tmp_path):
    assert "--offline" in refused(fetch("weights", "path", "net", "--offline"))
    assert hub.seen == []
    first = fetch()
    assert arrived(first) and Path(first.stdout.strip()).is_relative_to(tmp_path / "cache" / "hub")
    requests = len(hub.seen)
    for arguments, variables in [((), {}), (("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"})]:
        assert fetch("weights", "path", "net", *arguments, **variables).stdout == first.stdout
    assert len(hub.seen) == requests
    assert json.loads(fetch("weights", "verify", "--json").stdout)["net"] == "ok"


def test_dropped_connection_is_taken_up_where_it_broke(fetch, hub):
    hub.cuts = [CHUNK + 100_000]
    assert arrived(fetch())
    assert [request[2] for request in gets(hub)] == [None, f"bytes={CHUNK}-"]


def test_broken_download_leaves_nothing_that_hurts_the_next(fetch, hub):
    hub.cuts = [CHUNK + 100_000] + [0] * 20
    refused(fetch(HURRY="1"))
    hub.cuts = []
    assert arrived(fetch())


def test_wrong_bytes_are_quarantined(fetch, hub, tmp_path):
    hub.content = DATA[:-1] + b"x"
    assert "sha256" in refused(fetch())
    assert (tmp_path / "cache" / "quarantine" / "net.safetensors").read_bytes() == hub.content
    hub.content = DATA
    assert arrived(fetch())
    listed = fetch("weights", "prune", "--dry-run")
    assert listed.stdout.splitlines() == [str(tmp_path / "cache" / "quarantine" / "net.safetensors")]


@pytest.mark.parametrize("lie", [5_000, -5_000])
def test_server_that_lies_about_the_size(fetch, hub, lie):
    hub.lie = lie
    refused(fetch(HURRY="1"))
    hub.lie = 0
    assert arrived(fetch())


def test_404_says_what_to_update(fetch, tmp_path):
    manifest = tmp_path / "site" / "hub.toml"
    manifest.write_text(manifest.read_text().replace("deform-test/net", "deform-test/other"))
    assert "no such file" in refused(fetch())


def test_401_asks_for_the_token_which_is_then_sent(fetch, hub):
    hub.token = "hf_secret"
    assert "HF_TOKEN" in refused(fetch())
    assert arrived(fetch(HF_TOKEN="hf_secret"))
    assert all(token == "Bearer hf_secret" for _, _, _, token in hub.seen[-2:])


def test_429_waits_as_long_as_the_server_asks(fetch, hub):
    hub.refusals, hub.refusal_headers = [0, 429], {"Retry-After": "1"}
    start = time.monotonic()
    assert arrived(fetch())
    assert len(gets(hub)) == 2 and time.monotonic() - start > 1


def test_429_without_end_is_two_lines(fetch, hub):
    hub.refusals = [429] * 50
    assert "no more requests" in refused(fetch(HURRY="1"))


def test_server_too_slow_is_two_lines_and_patience_is_a_setting(fetch, hub):
    hub.stall = 1.2
    refused(fetch(HF_HUB_DOWNLOAD_TIMEOUT="1", HURRY="1"))
    assert arrived(fetch())


def test_nobody_answers(fetch):
    assert "HF_ENDPOINT" in refused(fetch(HF_ENDPOINT="http://127.0.0.1:9", HURRY="1"))


def test_renamed_repository_is_followed(fetch, hub):
    hub.moved = FILE.replace("deform-test", "deform-new")
    assert arrived(fetch())


def test_blob_of_another_server_gets_no_token(fetch, hub):
    hub.cdn = f"http://localhost:{hub.server_address[1]}{CDN}"
    assert arrived(fetch(HF_TOKEN="hf_secret"))
    assert {path: token for _, path, _, token in hub.seen if path in (FILE, CDN)} == {
        FILE: "Bearer hf_secret",
        CDN: None,
    }


def test_two_processes_at_once_download_once(fetch, hub):
    hub.delay = 0.5
    with ThreadPoolExecutor() as pool:
        results = [future.result() for future in [pool.submit(fetch) for _ in range(2)]]
    assert all(arrived(result) for result in results)
    assert len(gets(hub)) == 1


def test_cache_that_cannot_be_written(fetch, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be downloaded" in refused(fetch(DEFORM_CACHE_DIR=str(tmp_path / "file" / "cache")))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is read-only to this user")
def test_read_only_cache_serves_what_it_has(fetch, hub, tmp_path):
    assert arrived(fetch())
    shutil.rmtree(tmp_path / "cache" / "verified")
    folders = [tmp_path / "cache", *(path for path in (tmp_path / "cache").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert arrived(fetch())
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_fetch_export_import_rm(fetch, deform, hub, tmp_path):
    assert json.loads(fetch("weights", "fetch", "net", "--json").stdout).keys() == {"net"}
    tar = tmp_path / "weights.tar"
    assert fetch("weights", "export", "net", "-o", tar).returncode == 0
    assert fetch("weights", "rm", "net").returncode == 0
    refused(fetch("weights", "path", "net", "--offline"))
    assert fetch("weights", "rm", "net").returncode == 2

    hub.seen = []
    done = fetch("weights", "import", tar, "--json")
    assert json.loads(done.stdout) == {"net": str(tmp_path / "cache" / "weights" / "net.safetensors")}
    assert arrived(fetch()) and hub.seen == []
    assert fetch("weights", "rm", "net").returncode == 0
    assert not (tmp_path / "cache" / "weights").exists()


def test_prune_removes_what_no_manifest_names(fetch, hub, tmp_path):
    assert arrived(fetch())
    assert fetch("weights", "prune").stdout == ""
    manifest = tmp_path / "site" / "hub.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace(REVISION, "f" * 40).replace(hashlib.sha256(DATA).hexdigest(), "0" * 64))
    absent = fetch("weights", "prune", DEFORM_LOAD_PLUGINS="hubby,gone")
    assert absent.returncode == 2 and "gone" in absent.stderr
    gone = fetch("weights", "prune")
    assert str(tmp_path / "cache" / "hub" / "models--deform-test--net" / "snapshots" / REVISION) in gone.stdout
    assert int(gone.stderr.split()[0].replace(",", "")) >= len(DATA)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    manifest.write_text(text)
    assert arrived(fetch())


def test_nothing_is_fetched_without_being_asked_for(fetch, hub):
    for arguments in [("--help",), ("weights", "list"), ("weights", "info", "net"), ("plugins",), ("weights", "prune")]:
        assert fetch(*arguments).returncode == 0
    assert hub.seen == []


def test_environment_is_free_of_the_hubs_variables(tmp_path):
    assert not [name for name in clean_environment(tmp_path) if name.startswith("HF_")]
