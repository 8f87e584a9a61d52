"""The studio at work in this process, its page in a real browser, and requests that no page would make."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ...conftest import ROOT

pytest.importorskip("uvicorn", reason="needs the extra studio")

EXAMPLES = ROOT / "examples"
PATIENCE = 120_000  # milliseconds that a page may take where much else runs


@dataclass
class Studio:
    """A page that is served, and the folder that it saves into."""

    address: str
    folder: Path

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    @property
    def token(self) -> str:
        return urlsplit(self.address).path.strip("/")

    def request(self, path: str, body: object = None, /, **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer; below the token, unless the path begins with a slash. A body is posted."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        path = path if path.startswith("/") else f"/{self.token}/{path}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str, body: object = None) -> Any:
        """The JSON of an answer, or the last line of one that comes in lines."""
        return json.loads(self.request(path, body)[1].splitlines()[-1])

    def opened(self, path: Path) -> str:
        """Where the results of a photo that is dropped are."""
        return f"photos/{self.get(f'api/open?name={path.name}', path.read_bytes())['id']}"


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """An app at work in a thread: its port."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as opened:
        thread = threading.Thread(target=server.run, args=([opened],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield opened.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def studio(command, tmp_path, tiny_weights) -> Iterator[Callable[..., Studio]]:
    """`studio(source, host=..., password=..., max_pixels=...)` serves the page, with tiny networks."""
    from deform_studio.app import build_app
    from deform_studio.files import Files
    from deform_studio.jobs import Jobs
    from deform_studio.options import FileOptions, NetworkOptions
    from deform_studio.security import Guard

    weights = {f"{task}_weights": str(tiny_weights(task)) for task in ("inpaint", "frontalize")}
    with ExitStack() as stack:

        def serve(source: Path | None = None, *, host: str = "127.0.0.1", password: str | None = None, **files: Any):
            opened = Files.of(FileOptions(source=source, output=files.pop("output", Path("out")), **files))
            guard, jobs = Guard(host, password), Jobs()
            stack.callback(jobs.close)
            app = build_app(opened, NetworkOptions(**weights, device="cpu", offline=True), jobs)
            port = stack.enter_context(serving(guard.around(app)))
            return Studio(f"http://127.0.0.1:{port}/{guard.token}/", tmp_path / "out")

        yield serve


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Any]]:
    """`visit(studio)`: the page in a tab. It asks nobody else for anything and has nothing to complain about."""
    contexts, complaints, asked = [], [], []

    def go(studio: Studio, *, photo: str = "", **context: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}, **context))
        contexts[-1].set_default_timeout(PATIENCE)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Failed to load" not in said.text else None)
        page.on("request", lambda request: asked.append((request.url, studio.address)))
        page.goto(studio.address)
        if photo:
            page.locator("#about").get_by_text(photo).wait_for()
        return page

    yield go
    for context in contexts:
        context.close()
    assert not complaints
    assert [url for url, own in asked if not url.startswith((own, "blob:", "data:"))] == []


@pytest.fixture
def astronaut(tmp_path) -> Path:
    """The example photo in the working folder."""
    return Path(shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path / "astronaut.jpg")).relative_to(tmp_path)
