"""Draws the README's picture of deform studio from `examples/`: python tools/studio.py (extra test, Chromium)"""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
PHOTO, OUT = ROOT / "examples" / "astronaut.jpg", ROOT / "docs" / "images" / "studio.jpg"
NAME_PLATE = [(0.545, 0.685), (0.64, 0.71)]  # x, y in the photo, 0..1
EMBLEM = [(0.30, 0.72), (0.37, 0.70), (0.30, 0.75), (0.38, 0.75), (0.30, 0.79), (0.37, 0.79)]


def paint(page: Page, points: list[tuple[float, float]]) -> None:
    """A stroke through points of the photo, which fills the view's height."""
    box = page.locator("#canvas").bounding_box()
    side = box["height"] - 24
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + 12
    places = [(left + x * side, top + y * side) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=10)
    page.mouse.up()


def draw(page: Page) -> bytes:
    """The name plate is gone, the emblem is painted over, the command line is shown."""
    page.locator("#about").get_by_text("512").wait_for()
    page.locator("#size").fill("44")
    paint(page, NAME_PLATE)
    page.locator("#fill").click()
    page.locator("#result").wait_for()
    page.locator("#size").fill("34")
    page.wait_for_timeout(500)
    paint(page, EMBLEM)
    page.wait_for_timeout(500)
    return page.screenshot()


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        photo = shutil.copy(PHOTO, name)
        command = [
            sys.executable,
            "-m",
            "deformcli",
            "studio",
            Path(photo).name,
            "-o",
            ".",
            "--no-browser",
            "--offline",
        ]
        with subprocess.Popen(command, cwd=name, stderr=subprocess.PIPE, text=True) as process:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 780})
            page.set_default_timeout(600_000)
            page.goto(re.search(r"http\S+", process.stderr.readline())[0])
            page.locator("#folder").evaluate("(folder) => { folder.textContent = '/home/me/photos'; }")
            Image.open(io.BytesIO(draw(page))).convert("RGB").save(OUT, quality=90)
            browser.close()
            process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
