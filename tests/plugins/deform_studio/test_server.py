"""What the server answers, to its page and to others; what it reads and writes."""

from __future__ import annotations

import base64
import http.client
import json
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from deformcli.images import Picture, read_image, write_image

STROKES = [{"radius": 6, "erase": False, "points": [[20.5, 30.5], [60, 40]]}]


@pytest.fixture
def photo(save, smooth_picture) -> Path:
    return save("in/photo.png", smooth_picture(70, 90)).relative_to(Path.cwd())


# who is let in


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "192.168.1.7"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": ""}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["", "api/start"])
def test_only_the_page_itself_is_answered(studio, path, headers, status):
    answer, body = studio().request(path, **headers)
    assert answer == status
    assert status == 200 or b"Open the address that `deform studio` printed." in body


def test_its_own_origin_may_post(studio, photo):
    server = studio(photo)
    assert server.request("api/open?number=0", b"", Origin=f"http://{server.host}")[0] == 200


@pytest.mark.parametrize("path", ["/", "/x/", "/api/start", "/{wrong}/", "/{wrong}/api/start", "//{right}/", "*"])
def test_without_the_token_there_is_nothing(studio, path):
    server = studio()
    wrong = server.token[:-1] + ("a" if server.token[-1] != "a" else "b")
    status, body = server.request(path.format(wrong=wrong, right=server.token) if path != "*" else "/*")
    assert status == 403 and server.token.encode() not in body


def test_a_password_is_asked_for(studio):
    server = studio(password="sesame:ä")
    right, wrong = (base64.b64encode(f"me:{word}".encode()).decode() for word in ("sesame:ä", "sesame"))
    assert server.request("")[0] == 401
    assert server.request("", Authorization=f"Basic {right}")[0] == 200
    for header in (f"Basic {wrong}", f"Bearer {right}", "Basic !", "Basic"):
        assert server.request("", Authorization=header)[0] == 401


def test_headers_keep_the_page_to_itself(studio):
    server = studio()
    connection = http.client.HTTPConnection(server.host)
    connection.request("GET", f"/{server.token}/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


# what is read


@pytest.mark.parametrize("name", ["../command.py", "..%2Fcommand.py", "command.py", "%2Fetc%2Fpasswd", "index.html"])
def test_no_other_file_is_read(studio, name):
    assert studio().request(name)[0] in (403, 404)


@pytest.mark.parametrize("query", ["number=1", "number=-1", "number=x", "number="])
def test_only_the_photos_that_were_named(studio, photo, query):
    status, body = studio(photo).request(f"api/open?{query}", b"")
    assert status == 400 and set(json.loads(body)["error"]) == {"cause", "remedy"}


def test_folders_are_listed(studio, photo, save, smooth_picture, tmp_path):
    save("in/b.jpg", smooth_picture(40, 40))
    save("in/.hidden.png", smooth_picture(40, 40))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    assert studio(Path("in")).get("api/start")["photos"] == ["b.jpg", "photo.png"]


def test_what_is_too_large_is_refused(studio, photo, monkeypatch):
    server = studio(max_pixels=70 * 90 - 1)
    answer = server.get("api/open?name=a.png", photo.read_bytes())
    assert "90 x 70 pixels, more than 6,299" in answer["error"]["cause"]
    assert "raise --max-pixels" in answer["error"]["remedy"]
    most = server.get("api/start")["max_bytes"]
    assert most == 6299 * 8 + 2**20
    assert f"more than {most:,} bytes" in server.get("api/open?name=a.png", bytes(most + 1))["error"]["cause"]


def test_frames_are_chosen(studio, tmp_path):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    source = Path("a.gif")
    assert "2 frames" in studio(source).get("api/open?number=0", b"")["error"]["cause"]
    server = studio(source, frame=2)
    result = f"photos/{server.get('api/open?number=0', b'')['id']}/0"
    strokes = [{"radius": 3, "erase": False, "points": [[9, 9]]}]
    line = server.get(f"{result}/inpaint", {"strokes": strokes})["result"]["lines"][0]
    assert "--frame 2" in line and line.endswith("-o out/a-inpainted.png")


# what is written


def deep_photo(name: str, tmp_path: Path) -> Path:
    """A 16-bit picture with all that a file can have beside its pixels."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 65536, (60, 80, 3), np.uint16)
    alpha = rng.integers(0, 65536, (60, 80), np.uint16) if name.endswith("png") else None
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    write_image(Picture(rgb, alpha, icc=b"some profile", exif=exif.tobytes(), dpi=(300, 300)), tmp_path / name)
    return Path(name)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "grey.png", "a.webp", "a.bmp", "-odd name.jpg", "CAPS.JPG"])
@pytest.mark.parametrize("strip", [False, True])
def test_a_file_stays_what_it_is(studio, command, tmp_path, smooth_picture, name, strip):
    """Format, depth, profile and metadata: the bytes are the command line's."""
    if name.startswith("deep"):
        deep_photo(name, tmp_path)
    else:
        pixels = smooth_picture(60, 80)
        Image.fromarray(pixels[..., 0] if name == "grey.png" else pixels).save(tmp_path / name)
    server = studio(Path(name))
    photo = f"photos/{server.get('api/open?number=0', b'')['id']}"
    made = server.get(f"{photo}/0/inpaint", {"strokes": STROKES, "grow": 2})["result"]
    saved = server.get(f"{photo}/{made['number']}/save", {"name": made["name"], "masks": True, "strip": strip})
    before, after = read_image(tmp_path / name), read_image(saved["files"][0])
    assert (after.format, after.rgb.dtype, after.grey) == (before.format, before.rgb.dtype, before.grey)
    assert after.icc == before.icc and after.exif == (None if strip else before.exif)
    if before.format != "JPEG":
        outside = np.ones((60, 80), bool)
        outside[15:60, 5:75] = False
        assert (after.rgb == before.rgb)[outside].all()
        assert (after.alpha == before.alpha).all() if before.alpha is not None else after.alpha is None
    data = Path(saved["files"][0]).read_bytes()
    Path(saved["files"][0]).unlink()
    (line,) = saved["lines"]
    assert "--mask-dilate 2" in line and ("--metadata strip" in line) == strip
    assert command(*shlex.split(line)[1:]).code == 0
    assert Path(saved["files"][0]).read_bytes() == data
    url = f"{photo}/{made['number']}/file/{quote(made['name'])}" + "?metadata=strip" * strip
    assert server.request(url) == (200, data)


def made(server, photo: Path) -> str:
    """Where a first result is."""
    result = server.opened(photo)
    return f"{result}/{server.get(f'{result}/0/inpaint', {'strokes': STROKES})['result']['number']}"


@pytest.mark.parametrize(
    "name", ["../a.png", "a/b.png", "/tmp/a.png", "..", ".", "", "  ", "a\\b.png", "c:a.png", "a\0.png", "a.xyz", "a"]
)
def test_names_that_lead_elsewhere_are_refused(studio, photo, tmp_path, name):
    server = studio()
    result = made(server, photo)
    before = set(tmp_path.rglob("*"))
    status, body = server.request(f"{result}/save", {"name": name, "masks": True})
    assert status == 400 and set(json.loads(body)["error"]) == {"cause", "remedy"}
    assert set(tmp_path.rglob("*")) == before


def test_photos_are_never_overwritten(studio, photo):
    server = studio(photo, output=photo.parent)
    before = photo.read_bytes()
    answer = server.get(f"{made(server, photo)}/save", {"name": "photo.png", "overwrite": True})
    assert "is an input and would be overwritten" in answer["error"]["cause"]
    assert photo.read_bytes() == before


def test_files_are_not_overwritten_unasked(studio, photo, tmp_path):
    server = studio()
    result = made(server, photo)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "a-mask.png").write_text("mine")
    status, body = server.request(f"{result}/save", {"name": "a.png", "masks": True})
    assert status == 409 and json.loads(body)["exists"]
    assert (tmp_path / "out" / "a-mask.png").read_text() == "mine" and not (tmp_path / "out" / "a.png").exists()
    assert server.request(f"{result}/save", {"name": "a.png", "masks": True, "overwrite": True})[0] == 200
    assert read_image(tmp_path / "out" / "a-mask.png").size == (90, 70)


# what goes wrong


@pytest.mark.parametrize(
    "strokes",
    [
        None,
        3,
        [3],
        [{}],
        [{"radius": "x", "erase": False, "points": [[1, 2]]}],
        [{"radius": 3, "erase": False, "points": [[1]]}],
        [{"radius": 3, "erase": False, "points": []}],
        [{"radius": 1e9, "erase": False, "points": [[1, 2]]}],
        [{"radius": 3, "erase": False, "points": [[1e30, 2]]}],
        [{"radius": 3, "erase": False, "points": [[float("nan"), 2]]}],
    ],
)
def test_broken_strokes_are_refused(studio, photo, strokes):
    server = studio()
    error = server.get(f"{server.opened(photo)}/0/inpaint", {"strokes": strokes})["error"]
    assert error["cause"] == "what was painted did not arrive whole"


def test_nothing_or_everything_painted(studio, photo):
    server = studio()
    result = server.opened(photo)
    nothing = [*STROKES, STROKES[0] | {"erase": True, "radius": 9}]
    assert "marks nothing" in server.get(f"{result}/0/inpaint", {"strokes": nothing})["error"]["cause"]
    everything = [STROKES[0] | {"radius": 500}]
    assert "nothing to fill from" in server.get(f"{result}/0/inpaint", {"strokes": everything})["error"]["cause"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("photos/nobody/0/picture", None, 410),
        ("{photo}/7/picture", None, 400),
        ("{photo}/0/mask", None, 400),
        ("{photo}/0/warps/flow", None, 400),
        ("{photo}/0/picture?left=99999&width=5", None, 400),
        ("{photo}/0/turn", {}, 400),
        ("{photo}/0/save", b"no json", 400),
        ("{photo}/0/file/..%2Fa.png", None, 404),
    ],
)
def test_nonsense_is_refused(studio, photo, path, body, status):
    server = studio()
    answer, text = server.request(path.format(photo=server.opened(photo)), body)
    assert answer == status
    assert b"Traceback" not in text and b"unexpected" not in text


def test_a_crash_loses_nothing(studio, photo, monkeypatch, tmp_path):
    from deform_studio.networks import Networks

    server = studio()
    result = made(server, photo)
    server.get(f"{result}/save", {"name": "a.png"})
    saved = (tmp_path / "out" / "a.png").read_bytes()
    for error in (RuntimeError("a bug"), MemoryError()):

        def crash(*_, error=error, **__):
            raise error

        monkeypatch.setattr(Networks, "inpaint", crash)
        told = server.get(f"{result}/inpaint", {"strokes": STROKES})["error"]
        assert told["cause"] in ("unexpected RuntimeError: a bug", "out of memory")
    monkeypatch.setattr("deform_studio.app.write_atomic", crash)
    assert server.request(f"{result}/save", {"name": "a.png", "overwrite": True})[0] == 500
    monkeypatch.undo()
    assert (tmp_path / "out" / "a.png").read_bytes() == saved
    assert "result" in server.get(f"{result}/inpaint", {"strokes": STROKES})


def test_a_full_disk_is_told(studio, photo, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    server = studio()
    result = made(server, photo)
    monkeypatch.setattr("deform_studio.app.write_atomic", full)
    assert "cannot be written: No space left" in server.get(f"{result}/save", {"name": "a.png"})["error"]["cause"]


def test_work_ends_when_its_page_goes_away(studio, photo, monkeypatch):
    from deform_studio.networks import Networks

    begun, ended = threading.Event(), threading.Event()

    def slow(self, session, number, mask, grow, progress):
        begun.set()
        try:
            for share in range(1200):
                progress(share / 1200)
                time.sleep(0.05)
        finally:
            ended.set()

    server = studio()
    result = server.opened(photo)
    monkeypatch.setattr(Networks, "inpaint", slow)
    connection = http.client.HTTPConnection(server.host)
    connection.request("POST", f"/{server.token}/{result}/0/inpaint", json.dumps({"strokes": STROKES}))
    connection.getresponse().read(10)
    assert begun.wait(60) and not ended.is_set()
    connection.close()
    assert ended.wait(60)
    assert server.request(f"{result}/1/picture")[0] == 400, "there is no result of it"


def test_tabs_beyond_the_most_close_the_oldest(studio, photo, monkeypatch):
    monkeypatch.setattr("deform_studio.session.MOST", 2)
    server = studio()
    first, second = server.opened(photo), server.opened(photo)
    assert server.request(f"{first}/0/picture")[0] == 200
    server.opened(photo)
    assert [server.request(f"{one}/0/picture")[0] for one in (first, second)] == [200, 410]
    assert server.request(f"{first}/close", b"")[0] == 204
    assert server.request(f"{first}/0/picture")[0] == 410


# the command


def test_refusals_of_the_command(refused, photo, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    secret.chmod(0o644)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    empty.chmod(0o600)
    (tmp_path / "none").mkdir()
    for code, words, *arguments in (
        (2, "no such file or folder: nowhere.png", "nowhere.png"),
        (5, "no picture in none", "none"),
        (2, "photo.png is a file", photo, "-o", photo),
        (2, "others can reach 0.0.0.0", "--host", "0.0.0.0"),
        (2, "others can read the password", "--host", "0.0.0.0", "--password-file", secret),
        (2, "has nothing in its first line", "--host", "0.0.0.0", "--password-file", empty),
        (2, "cannot be read", "--password-file", tmp_path / "absent"),
        (1, "cannot be listened at", "--host", "nobody.invalid", "--password-file", secret_of(tmp_path)),
    ):
        assert words in refused(code, "studio", *arguments)


def secret_of(folder: Path) -> Path:
    path = folder / "private"
    if not path.exists():
        path.write_text("sesame\n")
        path.chmod(0o600)
    return path


def test_without_the_extra(environment, tmp_path):
    for module in ("starlette", "uvicorn"):
        code = f"import sys; sys.modules[{module!r}] = None; from deformcli.cli import main; sys.exit(main(['studio']))"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 2
        assert done.stderr == (
            "error: the server of deform studio is not installed\n  fix: pip install 'deformcli[studio]'\n"
        )
