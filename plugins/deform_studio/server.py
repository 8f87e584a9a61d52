"""Serving the page until it is ended."""

from __future__ import annotations

import socket
import threading
import webbrowser

from deformcli.errors import debugging

from .files import Files
from .options import NetworkOptions
from .security import Guard


def serve(files: Files, options: NetworkOptions, guard: Guard, opened: socket.socket, browse: str | None) -> None:
    """Answer at the socket until Ctrl-C; show the address `browse` in a browser."""
    import uvicorn

    from deformcli.images import pillow_limits

    from .app import build_app
    from .jobs import Jobs

    jobs = Jobs()
    app = guard.around(build_app(files, options, jobs))
    config = uvicorn.Config(
        app,
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
