"""The page as people use it: in a browser, and what it saves is what the command line makes."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deformcli.images import read_image

from .conftest import EXAMPLES, Studio

WIDTHS = (1280, 420)


def paint(page, *points: tuple[float, float]) -> None:
    """A stroke through points of the view, 0..1 from the left and the top."""
    box = page.locator("#canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def fill(page) -> None:
    page.get_by_role("button", name="Remove", exact=True).click()
    page.locator("#busy").wait_for(state="visible")
    page.locator("#busy").wait_for(state="hidden")


def save(page, name: str = "") -> list[Path]:
    """Click Save: the files that the page says it has saved."""
    if name:
        page.get_by_label("Name").fill(name)
        page.get_by_label("Name").blur()
    page.get_by_role("button", name="Save").click()
    saved = page.locator("#saved")
    saved.get_by_text("Saved").wait_for()
    return [Path(text) for text in saved.inner_text().removeprefix("Saved ").split(" and ")]


@pytest.fixture
def made_by_lines(command, tmp_path) -> Callable[..., bytes]:
    """The file that the command lines on the page make, where they are asked to make it elsewhere."""

    def run(page, saved: Path) -> bytes:
        lines = page.locator("#lines").inner_text().splitlines()
        before = saved.read_bytes()
        saved.unlink()
        for line in lines:
            program, *arguments = shlex.split(line)
            assert program == "deform"
            ended = command(*arguments)
            assert ended.code == 0, ended.err
        made = saved.read_bytes()
        saved.write_bytes(before)
        return made

    return run


def test_remove_compare_go_on_and_save(studio, visit, astronaut, made_by_lines, tmp_path):
    page = visit(studio(astronaut), photo="astronaut.jpg · 512 × 512 · JPEG · 8 bit")
    assert page.get_by_role("button", name="Remove", exact=True).is_disabled()
    paint(page, (0.35, 0.7), (0.5, 0.75), (0.45, 0.8))
    fill(page)
    page.get_by_label("Compare with the photo before").fill("50")
    saved, mask = save(page)
    assert (saved.name, mask.name) == ("astronaut-inpainted.jpg", "astronaut-inpainted-mask.png")
    assert made_by_lines(page, saved) == saved.read_bytes()
    holes = read_image(mask)
    assert holes.grey and holes.size == (512, 512) and set(np.unique(holes.rgb)) == {0, 255}
    assert 0.005 < (holes.rgb > 0).mean() < 0.2

    # on from the result, as a file without losses
    paint(page, (0.6, 0.2), (0.65, 0.3))
    fill(page)
    saved, first, second = save(page, "two steps.png")
    assert len(page.locator("#lines").inner_text().splitlines()) == 2
    assert made_by_lines(page, saved) == saved.read_bytes()
    photo, result = read_image(astronaut).rgb, read_image(saved).rgb
    painted = (read_image(first).rgb > 0) | (read_image(second).rgb > 0)
    assert (photo == result)[~painted].all() and (photo != result)[painted].mean() > 0.3
    assert read_image(astronaut).rgb.shape == result.shape

    # back and forth: strokes and results are steps of one timeline
    for _ in range(2):
        page.keyboard.press("Control+z")
    page.locator("#lines").get_by_text("astronaut-inpainted.jpg").wait_for()
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Redo").click()
    page.locator("#lines").get_by_text("astronaut-inpainted-2.jpg").wait_for()


def test_download_is_what_would_be_saved(studio, visit, astronaut, tmp_path):
    page = visit(studio(astronaut), photo="astronaut")
    paint(page, (0.5, 0.5), (0.52, 0.55))
    fill(page)
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    with page.expect_download() as mask_started:
        page.get_by_role("link", name="Mask").click()
    assert list((tmp_path / "out").glob("*")) == [], "nothing is written unless it is asked for"
    saved, mask = save(page)
    assert started.value.path().read_bytes() == saved.read_bytes()
    assert mask_started.value.path().read_bytes() == mask.read_bytes()


def test_a_face_is_clicked_and_turned(studio, visit, made_by_lines, tmp_path):
    shutil.copy(EXAMPLES / "three-quarter.jpg", "turned.jpg")
    page = visit(studio(Path("turned.jpg")), photo="turned")
    page.get_by_role("tab", name="Turn faces").click()
    page.get_by_label("Show how it was moved").check()
    page.get_by_label("At the photo's own size").check()
    page.get_by_role("button", name="Face 1, turned to the right").click()
    page.locator("#face-picture").wait_for()
    (saved,) = save(page)
    warps = {
        image.get_attribute("alt"): image.get_attribute("src") for image in page.locator("#warp-pictures img").all()
    }
    shown = [page.evaluate(DECODED, page.url + address) for address in warps.values()]
    assert made_by_lines(page, saved) == saved.read_bytes()
    written = sorted((tmp_path / "out" / "warps").iterdir(), key=lambda path: "whf".index(path.stem.split("-")[-1][0]))
    for path, pixels in zip(written, shown, strict=True):
        assert (np.array(pixels, np.uint8).reshape(128, 128, 4)[..., :3] == np.array(Image.open(path))).all()


DECODED = """async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height), pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    return [...pen.getImageData(0, 0, image.width, image.height).data];
}"""


def test_a_face_put_back_is_a_step_of_the_photo(studio, visit, astronaut, made_by_lines, monkeypatch):
    monkeypatch.setattr("deform_frontalize.choice.TOO_FAR", 90)
    shutil.copy(EXAMPLES / "three-quarter.jpg", "turned.jpg")
    page = visit(studio(Path(".")), photo="astronaut")
    page.get_by_role("tab", name="Turn faces").click()
    page.get_by_label("Put it back into the photo").check()
    page.get_by_role("button", name="Face 1, frontal: turn it to the front").click()
    page.get_by_role("alert").get_by_text("face 1 is seen from the front already").wait_for()

    page.locator("#photos").select_option("turned.jpg")
    page.get_by_role("button", name="Face 1, turned to the right").click()
    page.get_by_label("Compare with the photo before").wait_for()
    page.get_by_role("tab", name="Remove").click()
    paint(page, (0.2, 0.8), (0.25, 0.85))
    fill(page)
    saved, _ = save(page)
    assert "--paste" in page.locator("#lines").inner_text()
    assert made_by_lines(page, saved) == saved.read_bytes()


def test_messages(studio, visit, tmp_path, smooth_picture):
    Image.fromarray(smooth_picture(90, 120)).save(tmp_path / "plain.png")
    whole = (tmp_path / "plain.png").read_bytes()
    page = visit(studio())
    for name, data, words in (
        ("text.jpg", b"not a picture", "text.jpg is not a picture. Give a file of PNG"),
        ("cut.png", whole[:-300], "cut.png is damaged"),
        ("plain.png", whole, ""),
    ):
        page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": data})
        if words:
            page.get_by_role("alert").get_by_text(words).wait_for()
            page.get_by_role("button", name="Close this message").click()
    page.locator("#about").get_by_text("plain.png").wait_for()
    assert page.get_by_role("alert").is_hidden()
    page.get_by_role("tab", name="Turn faces").click()
    page.get_by_text("No face was found").wait_for()


def test_a_name_that_is_taken_is_asked_about(studio, visit, astronaut, tmp_path):
    page = visit(studio(astronaut), photo="astronaut")
    paint(page, (0.5, 0.5), (0.52, 0.55))
    fill(page)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "mine.png").write_text("mine")
    answers, questions = [False, True], []

    def answer(dialog) -> None:
        questions.append(dialog.message)
        dialog.accept() if answers.pop(0) else dialog.dismiss()

    page.on("dialog", answer)
    page.get_by_label("Name").fill("mine.png")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_text("mine.png exists already").wait_for()
    assert (tmp_path / "out" / "mine.png").read_text() == "mine"
    save(page, "mine.png")
    assert read_image(tmp_path / "out" / "mine.png").size == (512, 512)
    assert "Overwrite it?" in questions[-1]


def test_work_is_cancelled(studio, visit, astronaut, monkeypatch):
    from deform_studio.networks import Networks

    ended = []

    def slow(self, session, number, mask, grow, progress):
        try:
            for share in range(1000):
                progress(share / 1000, "Filling")
                time.sleep(0.05)
        finally:
            ended.append(share)

    page = visit(studio(astronaut), photo="astronaut")
    monkeypatch.setattr(Networks, "inpaint", slow)
    paint(page, (0.5, 0.5), (0.6, 0.6))
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("status").get_by_text("Filling").wait_for()
    paint(page, (0.3, 0.3), (0.3, 0.4))  # goes on meanwhile
    page.get_by_role("application", name="2 strokes painted").wait_for()
    assert page.locator("#share").get_attribute("value") is not None
    page.get_by_role("button", name="Cancel").click()
    page.locator("#busy").wait_for(state="hidden")
    assert page.get_by_role("alert").is_hidden() and page.locator("#result").is_hidden()
    assert page.get_by_role("button", name="Remove", exact=True).is_enabled(), "what was painted is there"
    monkeypatch.undo()
    fill(page)
    assert page.locator("#result").is_visible()
    assert ended and ended[0] < 900


def test_two_tabs_do_not_mix(studio, visit, astronaut, tmp_path):
    shutil.copy(EXAMPLES / "three-quarter.jpg", "other.jpg")
    server = studio(Path("."))
    first, second = visit(server, photo="astronaut"), visit(server, photo="astronaut")
    second.locator("#photos").select_option("other.jpg")
    second.locator("#about").get_by_text("640 × 640").wait_for()
    for page, point in ((first, 0.4), (second, 0.6)):
        paint(page, (point, 0.5), (point, 0.6))
        page.get_by_role("button", name="Remove", exact=True).click()
    for page in (first, second):
        page.locator("#result").wait_for()
    first_saved, second_saved = save(first), save(second)
    assert [read_image(path).size for path in (first_saved[0], second_saved[0])] == [(512, 512), (640, 640)]
    assert [path.name for path in second_saved] == ["other-inpainted.jpg", "other-inpainted-mask.png"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_and_looks(studio, visit, astronaut, scheme):
    page = visit(studio(astronaut), photo="astronaut", color_scheme=scheme)
    paint(page, (0.35, 0.7), (0.5, 0.75))
    fill(page)
    for tab in ("Turn faces", "Remove"):
        page.get_by_role("tab", name=tab).click()
        page.locator("#busy").wait_for(state="hidden")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (tab, width)
    shot = Image.open(_file(page.screenshot())).convert("L")
    assert (np.median(np.asarray(shot)[:40]) > 128) == (scheme == "light")


def _file(data: bytes):
    import io

    return io.BytesIO(data)


def test_keys_and_names(studio, visit, astronaut):
    page = visit(studio(astronaut), photo="astronaut")
    size = page.get_by_label("Brush size in pixels")
    before = int(size.input_value())
    page.keyboard.press("]")
    assert int(size.input_value()) > before
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert int(size.input_value()) < before
    page.keyboard.press("e")
    assert page.get_by_label("Erase").is_checked()
    page.keyboard.press("b")

    page.locator("#canvas").focus()  # a stroke without a mouse
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    painted = page.get_by_role("application", name="astronaut.jpg, 1 strokes painted")
    painted.wait_for()
    page.keyboard.press("Control+z")
    page.get_by_role("application", name="astronaut.jpg, 0 strokes painted").wait_for()
    page.keyboard.press("Control+Shift+z")
    painted.wait_for()
    page.keyboard.press("Control+Enter")
    page.locator("#result").wait_for()

    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select, a, canvas")].filter((one) => one.checkVisibility() &&
        !(one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim()))
        .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("[...document.images].every((image) => image.hasAttribute('alt'))")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"


def test_touch_paints_and_erases(studio, visit, astronaut):
    page = visit(studio(astronaut), photo="astronaut", has_touch=True)
    page.locator("#canvas").tap()
    page.get_by_role("application", name="1 strokes painted").wait_for()
    assert page.get_by_role("button", name="Remove", exact=True).is_enabled()
    page.get_by_text("Erase", exact=True).tap()
    page.locator("#canvas").tap()
    page.get_by_role("application", name="2 strokes painted").wait_for()


def test_a_large_photo_is_sharp_where_it_is_looked_at(studio, visit, tmp_path, made_by_lines):
    pixels = np.zeros((300, 6000, 3), np.uint8)
    pixels[:, ::2] = 255  # finer than what is sent of the whole
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    page = visit(studio(Path("wide.png")), photo="wide.png · 6000 × 300")
    with page.expect_response(lambda answer: "left=" in answer.url) as detail:
        for _ in range(12):
            page.keyboard.press("+")
    assert detail.value.status == 200
    assert _studio_part(page) > 60, "single columns are seen"


def _studio_part(page) -> float:
    time.sleep(1)
    shown = np.asarray(Image.open(_file(page.locator("#view").screenshot())).convert("L"), float)
    return float(shown[shown.shape[0] // 2].std())


def test_the_real_command(visit, environment, tmp_path):
    """A process of its own: it says where it is, serves, and ends at Ctrl-C without a word."""
    import re
    import signal
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "deformcli",
        "studio",
        str(EXAMPLES / "three-quarter.jpg"),
        "-o",
        "out",
        "--no-browser",
    ]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        address = re.search(r"http://127\.0\.0\.1:\d+/\S{32}/", process.stderr.readline())[0]
        visit(Studio(address, tmp_path / "out"), photo="three-quarter.jpg · 640 × 640")
        assert not (tmp_path / "out").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert process.stderr.read() == "Ctrl-C ends it\n"
