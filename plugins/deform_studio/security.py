"""Who may talk to the page: whoever has the address with its token, from that very page, and knows the password."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deformcli.errors import DeformError, UsageError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address has the token
    "X-Content-Type-Options": "nosniff",
}
LOCAL = ("localhost", "127.0.0.1", "::1")
PAUSE = 0.5  # seconds that a wrong password takes


class Guard:
    """Lets through what the page itself asks for."""

    def __init__(self, host: str, password: str | None, token: str | None = None) -> None:
        self.host, self.password = host, password
        self.token = token or secrets.token_urlsafe(24)

    def address(self, port: int) -> str:
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{self.token}/"

    def around(self, app: ASGIApp) -> ASGIApp:
        """The app, which sees only requests that are let through."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)  # starting and ending; there are no websockets
            refusal = self.refusal(Headers(scope=scope), scope["path"])
            if refusal is not None and refusal.status_code == 401:
                await asyncio.sleep(PAUSE)

            async def send_with_headers(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).update(HEADERS)
                await send(message)

            await (refusal or app)(scope, receive, send_with_headers)

        return guarded

    def refusal(self, headers: Headers, path: str) -> Response | None:
        if not self._is_ours(headers.get("host", "")):  # another name that leads here: DNS rebinding
            return _refused("this is not the address of the page")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refused("another page asked for this")
        if (origin := headers.get("origin")) is not None and urlsplit(origin).netloc != headers["host"]:
            return _refused("another page asked for this")
        if self.password is not None and not self._knows_password(headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="deform studio", charset="UTF-8"'}
            return PlainTextResponse("The password is missing or wrong.\n", 401, challenge)
        if not _same(path.split("/")[1] if "/" in path else "", self.token):
            return _refused("its token is missing or wrong")
        return None

    def _is_ours(self, header: str) -> bool:
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if name in LOCAL or name == self.host.lower():
            return True
        return not is_local(self.host) and (_is_number(name) or name == socket.gethostname().lower())

    def _knows_password(self, header: str) -> bool:
        kind, _, code = header.partition(" ")
        try:
            given = base64.b64decode(code, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
        return kind.lower() == "basic" and _same(given, self.password or "")


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def read_password(host: str, path: Path | None) -> str | None:
    """The password in the first line of a file.

    Raises:
        UsageError: others can reach the host and there is no file, or it cannot be read, is empty, or is not private.
    """
    if path is None:
        if is_local(host):
            return None
        raise UsageError(f"others can reach {host}", "give a --password-file, or use an SSH tunnel instead of --host")
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise UsageError(f"others can read the password in {path}", f"make it private: chmod 600 {path}")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the password file {path} cannot be read: {error}", "check the path") from error
    if not lines or not lines[0]:
        raise UsageError(f"the password file {path} has nothing in its first line", "write the password into it")
    return lines[0]


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises DeformError if it cannot be had."""
    try:
        place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        opened = socket.create_server(place[4][:2], family=place[0])
    except OSError as error:
        cause = f"port {port} of {host} cannot be listened at: {error.strerror or error}"
        raise DeformError(cause, "choose another --port or --host") from error
    with opened:
        yield opened


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _refused(why: str) -> Response:
    return PlainTextResponse(f"Refused: {why}.\nOpen the address that `deform studio` printed.\n", 403)
