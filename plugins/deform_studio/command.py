"""The command behind `deform studio`."""

from __future__ import annotations

from importlib.util import find_spec

import typer

from deformcli import options
from deformcli.errors import UsageError

from .options import FileOptions, NetworkOptions, ServerOptions


@options.spread
def studio(files: FileOptions, network: NetworkOptions, server: ServerOptions) -> None:
    """Open a page in the browser: paint what to remove, click the face to turn."""
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise UsageError("the server of deform studio is not installed", "pip install 'deformcli[studio]'")

    from .files import Files
    from .security import Guard, listening, read_password
    from .server import serve

    opened = Files.of(files)
    password = read_password(server.host, server.password_file)
    with listening(server.host, server.port) as socket:
        guard = Guard(server.host, password)
        address = guard.address(socket.getsockname()[1])
        typer.echo(f"deform studio is at {address}\nCtrl-C ends it", err=True)
        serve(opened, network, guard, socket, address if server.browser else None)
