"""From starting deform studio to its first result on the screen, against deform inpaint with the same mask.

python benchmarks/studio.py [--rounds N] needs the extra test and Chromium. A browser is running already; a script
paints one stroke as soon as the photo is shown. The sides take turns, and the least time of each counts: the rest is
others' doing.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
DEFORM = [sys.executable, "-m", "deformcli"]
PATIENCE = 600_000  # milliseconds
AT_MOST = 1.3


def paint(page: Any) -> None:
    """A stroke over the badge on her chest."""
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.7 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.8 * box["height"])
    page.mouse.up()


def in_studio(browser: Browser, folder: Path) -> float:
    """Seconds until the result is seen; its mask is saved afterwards."""
    start = time.perf_counter()
    command = [*DEFORM, "studio", str(PHOTO), "-o", str(folder), "--no-browser", "--offline"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(re.search(r"http\S+", process.stderr.readline())[0])
        page.locator("#about").get_by_text("512").wait_for()
        paint(page)
        page.locator("#fill").click()
        page.locator("#result").wait_for()
        seconds = time.perf_counter() - start
        page.locator("#save").click()
        page.locator("#saved").get_by_text("Saved").wait_for()
        page.close()
        process.send_signal(signal.SIGINT)
    return seconds


def in_terminal(folder: Path) -> float:
    """Seconds that the command takes with that mask."""
    start = time.perf_counter()
    mask, out = folder / "astronaut-inpainted-mask.png", folder / "terminal.jpg"
    subprocess.run([*DEFORM, "inpaint", str(PHOTO), "--mask", mask, "-o", out, "--offline"], check=True)
    seconds = time.perf_counter() - start
    assert out.read_bytes() == (folder / "astronaut-inpainted.jpg").read_bytes()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    pairs = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as name:
                pairs.append((in_studio(browser, Path(name)), in_terminal(Path(name))))
        browser.close()
    studio, terminal = (min(times) for times in zip(*pairs, strict=True))
    print(f"{'seconds to the first result':<44} {'studio':>8} {'inpaint':>8} {'ratio':>8} {'at most':>8}")
    print(f"{PHOTO.name + ', one stroke':<44} {studio:8.1f} {terminal:8.1f} {studio / terminal:8.2f} {AT_MOST:8.1f}")


if __name__ == "__main__":
    main()
