"""What the page asks for. Results are addressed as photos/ID/NUMBER; long work answers in lines, see `jobs`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deformcli.errors import DeformError, UsageError
from deformcli.images import Picture, encode_image, to_depth
from deformcli.runtime import write_atomic, writing

from .files import Files, shown
from .jobs import Jobs, Progress, told_error
from .networks import Networks
from .options import NetworkOptions
from .session import Closed, Session, Sessions, mask_of

PAGE, PARTS = Path(__file__).with_name("page"), ("studio.js", "studio.css", "icon.svg")
LONGEST = 4096  # pixels of a picture that is sent to be looked at
MOST_JSON = 64 * 2**20  # bytes of what was painted


class App:
    """The routes, and what they share."""

    def __init__(self, files: Files, options: NetworkOptions, jobs: Jobs) -> None:
        self.files, self.jobs = files, jobs
        self.networks = Networks(options, files)
        self.sessions = Sessions()

    def routes(self) -> list[Route]:
        """Below the token."""
        result = "/{token}/photos/{id}/{number:int}"
        return [
            Route("/{token}/", lambda request: FileResponse(PAGE / "index.html")),
            *(Route(f"/{{token}}/{name}", lambda request, name=name: FileResponse(PAGE / name)) for name in PARTS),
            Route("/{token}/api/start", self.start),
            Route("/{token}/api/open", self.open, methods=["POST"]),
            Route("/{token}/photos/{id}/close", self.close, methods=["POST"]),
            Route(f"{result}/picture", self.picture),
            Route(f"{result}/warps/{{name}}", self.warp),
            Route(f"{result}/mask", self.mask),
            Route(f"{result}/file/{{name}}", self.download),
            Route(f"{result}/lines", self.lines),
            Route(f"{result}/save", self.save, methods=["POST"]),
            Route(f"{result}/inpaint", self.inpaint, methods=["POST"]),
            Route(f"{result}/faces", self.faces, methods=["POST"]),
            Route(f"{result}/turn", self.turn, methods=["POST"]),
        ]

    # photos

    def start(self, request: Request) -> Response:
        """What there is to open, and the limits."""
        files, photos = self.files, [path.name for path in self.files.photos]
        return JSONResponse({"photos": photos, "folder": str(files.folder.absolute()), "max_bytes": files.max_bytes})

    async def open(self, request: Request) -> Response:
        """Open photo ?number of the folder, or the file that is sent, which is called ?name."""
        if (number := request.query_params.get("number")) is not None:
            session = await run_in_threadpool(self._open_listed, _whole(number))
        else:
            data = await _body(request, self.files.max_bytes)
            name = Path(request.query_params.get("name", "").replace("\\", "/")).name or "photo.png"
            picture = await run_in_threadpool(self.files.decode, data, name)
            session = Session(name, f"./{name}" if name.startswith("-") else name, picture)
        self.sessions.open(session)
        photo = session.photo
        about = {"width": photo.size[0], "height": photo.size[1], "format": photo.format}
        about |= {"bits": photo.rgb.itemsize * 8, "grey": photo.grey, "alpha": photo.alpha is not None}
        return JSONResponse({"id": session.id, "name": session.name, **about, "profile": photo.icc is not None})

    def _open_listed(self, number: int) -> Session:
        picture = self.files.read(number)
        path = self.files.photos[number]
        return Session(path.name, shown(path), picture)

    def close(self, request: Request) -> Response:
        """The tab is gone."""
        self.sessions.close(request.path_params["id"])
        return Response(status_code=204)

    # results

    def picture(self, request: Request) -> Response:
        """The result to look at, or ?left, top, width, height of it; ?longest: pixels of its longer side at most."""
        session, number = self._result(request)
        picture, query = session.picture(number), request.query_params
        width, height = picture.size
        left, top = (_whole(query.get(key, "0")) for key in ("left", "top"))
        width, height = _whole(query.get("width", str(width))), _whole(query.get("height", str(height)))
        longest = min(_whole(query.get("longest", str(LONGEST))), LONGEST)
        return _shown(picture, (slice(top, top + height), slice(left, left + width)), longest)

    def warp(self, request: Request) -> Response:
        """One of the pictures of --show-warp."""
        session, number = self._result(request)
        warps = {name: picture for step in session.steps(number) for name, picture in step.warps.items()}
        if (picture := warps.get(request.path_params["name"])) is None:
            raise UsageError("no such picture", "ask for the warp when the face is turned")
        return Response(encode_image(picture, ".png"), media_type="image/png")

    def mask(self, request: Request) -> Response:
        """The last mask that was painted, white = fill."""
        session, number = self._result(request)
        masks = [step.mask for step in session.steps(number) if step.mask is not None]
        if not masks:
            raise UsageError("no mask was painted", "paint one first")
        name = f"{Path(session.name).stem}-mask.png"
        return _attached(encode_image(_as_picture(masks[-1]), ".png"), name)

    def download(self, request: Request) -> Response:
        """The result as a file of its own format: the very bytes that `save` writes."""
        session, number = self._result(request)
        name = self.files.target(request.path_params["name"]).name
        metadata = request.query_params.get("metadata", "keep") == "keep"
        return _attached(encode_image(session.picture(number), Path(name).suffix, metadata=metadata), name)

    def lines(self, request: Request) -> Response:
        """The command lines of the result when it is called ?name."""
        session, number = self._result(request)
        name, metadata = request.query_params.get("name", ""), request.query_params.get("metadata", "keep")
        return JSONResponse(self._told(session, number, self.files.target(name).name, metadata == "strip"))

    async def save(self, request: Request) -> Response:
        """Write the result, and its masks if asked for, into the folder."""
        asked = await _json(request)
        return JSONResponse(await run_in_threadpool(self._save, *self._result(request), asked))

    def _save(self, session: Session, number: int, asked: Mapping[str, Any]) -> dict[str, Any]:
        target = self.files.target(str(asked.get("name", "")))
        strip = bool(asked.get("strip"))
        files = {target: encode_image(session.picture(number), target.suffix, metadata=not strip)}
        if asked.get("masks"):
            masks = session.masks(number, target).items()
            files |= {path: encode_image(_as_picture(mask), ".png") for path, mask in masks}
        there = [path for path in files if self.files.target(path.name).exists()]
        if there and not asked.get("overwrite"):
            raise Exists(f"{there[0]} exists already", "choose another name, or overwrite it")
        for path, data in reversed(files.items()):  # the result last
            with writing(path, "choose another folder with -o"):
                write_atomic(path, data)
        return {"files": [str(path.absolute()) for path in files], **self._told(session, number, target.name, strip)}

    def _told(self, session: Session, number: int, name: str, strip: bool = False) -> dict[str, Any]:
        """What the page shows of a result."""
        last = ("--metadata", "strip") if strip else ()
        return {"number": number, "name": name, "lines": session.lines(number, shown(self.files.folder / name), last)}

    # work

    async def inpaint(self, request: Request) -> Response:
        asked = await _json(request)
        session, number = self._result(request)
        grow = _whole(str(asked.get("grow", 0)))

        def work(progress: Progress) -> dict[str, Any]:
            mask = mask_of(asked.get("strokes"), session.picture(number).size)
            step = self.networks.inpaint(session, number, mask, grow, progress)
            return self._added(session, number, step, "inpainted")

        return self._answered(request, work)

    async def faces(self, request: Request) -> Response:
        session, number = self._result(request)

        def work(progress: Progress) -> dict[str, Any]:
            progress(None, "Looking for faces")
            found = self.networks.faces(session, number)
            return {"faces": [{"box": [float(value) for value in face.box], "pose": face.pose} for face in found]}

        return self._answered(request, work)

    async def turn(self, request: Request) -> Response:
        asked = await _json(request)
        session, number = self._result(request)
        face = _whole(str(asked.get("face")))
        chosen = {key: bool(asked.get(key)) for key in ("native", "paste", "warps")}

        def work(progress: Progress) -> dict[str, Any]:
            step = self.networks.turn(session, number, face, **chosen, progress=progress)
            return self._added(session, number, step, "frontal") | {"warps": list(step.warps)}

        return self._answered(request, work)

    def _added(self, session: Session, number: int, step: Any, word: str) -> dict[str, Any]:
        return self._told(session, session.add(number, step), self.files.free_name(session.name, word))

    def _answered(self, request: Request, work: Callable[[Progress], dict[str, Any]]) -> Response:
        return StreamingResponse(self.jobs.lines(request, work), media_type="application/x-ndjson")

    def _result(self, request: Request) -> tuple[Session, int]:
        session, number = self.sessions.get(request.path_params["id"]), request.path_params["number"]
        session.steps(number)  # or it is refused
        return session, number


class Exists(DeformError):
    """A file that would be overwritten."""


STATUS = {Closed: 410, Exists: 409}


def build_app(files: Files, options: NetworkOptions, jobs: Jobs) -> Starlette:
    """The app behind the page, to be put behind a `Guard`; what fills holes is loaded at once."""
    app = App(files, options, jobs)
    jobs.prepare(app.networks.warm_up)
    handlers: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]]
    handlers = {DeformError: _refuse, Exception: _refuse}
    return Starlette(routes=app.routes(), exception_handlers=handlers)


async def _refuse(request: Request, error: Exception) -> Response:
    status = STATUS.get(type(error), 400) if isinstance(error, DeformError) else 500
    return JSONResponse({"error": told_error(error), "exists": isinstance(error, Exists)}, status)


async def _body(request: Request, most: int) -> bytes:
    """What was sent, if it is no more than so many bytes."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise UsageError(f"the file has more than {most:,} bytes", "make it smaller, or raise --max-pixels")
    return bytes(data)


async def _json(request: Request) -> Mapping[str, Any]:
    try:
        asked = json.loads(await _body(request, MOST_JSON))
    except ValueError as error:
        raise UsageError("what the page sent did not arrive whole", "reload the page") from error
    return asked if isinstance(asked, dict) else {}


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{text!r} is not a whole number", "reload the page")
    return int(text)


def _as_picture(mask: np.ndarray) -> Picture:
    return Picture(np.repeat(mask[..., None], 3, axis=2), grey=True)


def _shown(picture: Picture, place: tuple[slice, slice], longest: int) -> Response:
    """A picture as browsers show it: 8 bits, its colours by its profile, no larger than asked for."""
    layers = [picture.rgb8[place]]
    if picture.alpha is not None:
        layers.append(to_depth(picture.alpha, np.uint8)[place][..., None])
    pixels = np.ascontiguousarray(np.concatenate(layers, 2))
    if not pixels.size:
        raise UsageError("there is nothing of the picture", "reload the page")
    scale = longest / max(pixels.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    alpha = pixels[..., 3] if picture.alpha is not None else None
    small = Picture(np.ascontiguousarray(pixels[..., :3]), alpha, picture.grey, picture.icc)
    suffix, kind = (".jpg", "image/jpeg") if alpha is None else (".png", "image/png")
    return Response(encode_image(small, suffix), media_type=kind)


def _attached(data: bytes, name: str) -> Response:
    about = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(data, media_type="application/octet-stream", headers=about)
