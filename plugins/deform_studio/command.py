"""The command behind `deform studio`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from deformcli import options
from deformcli.errors import UsageError, debugging

from .options import FileOptions, NetworkOptions, ServerOptions

if TYPE_CHECKING:
    from socket import socket

    from .files import Files
    from .security import Guard


@options.spread
def studio(files: FileOptions, network: NetworkOptions, server: ServerOptions) -> None:
    """Open a page in the browser: paint what to remove, click the face to turn."""
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise UsageError("the server of deform studio is not installed", "pip install 'deformcli[studio]'")

    from .files import Files
    from .security import Guard, listening, read_password

    named = Files.of(files)
    password = read_password(server.host, server.password_file)
    with listening(server.host, server.port) as opened:
        guard = Guard(server.host, password)
        address = guard.address(opened.getsockname()[1])
        typer.echo(f"deform studio is at {address}\nCtrl-C ends it", err=True)
        _serve(named, network, guard, opened, address if server.browser else None)


def _serve(files: Files, options: NetworkOptions, guard: Guard, opened: socket, browse: str | None) -> None:
    """Answer at the socket until Ctrl-C; show the address `browse` in a browser."""
    import threading
    import webbrowser

    import uvicorn

    from deformcli.images import pillow_limits

    from .app import build_app
    from .jobs import Jobs

    jobs = Jobs()
    config = uvicorn.Config(
        guard.around(build_app(files, options, jobs)),
        log_level="info" if debugging() else "critical",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    if browse:  # the socket listens already
        threading.Thread(target=webbrowser.open, args=(browse,), daemon=True).start()
    with pillow_limits(files.max_pixels):
        try:
            uvicorn.Server(config).run([opened])
        finally:
            jobs.close()
