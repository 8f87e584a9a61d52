"""The page of `deform evaluate --html`, in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deform_evaluate.page import over_angle
from deformcli.evaluation import Column, Evaluation, Row


@pytest.fixture
def browser(tmp_path) -> Callable[..., bytes]:
    """`browser(page, "--dump-dom")`: what Chromium writes to stdout."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("needs Chromium")

    def run(page: Path, *args: str) -> bytes:
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser")
        command = [program, *quiet, *args, page.as_uri()]
        return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout

    return run


@pytest.fixture
def page(command, save, smooth_picture, tmp_path) -> Path:
    """Three pictures, of which the second is worst and the third is best; the folder's name is markup."""
    for number, error in enumerate((20, 60, 5)):
        picture = smooth_picture(32, 32, number) // 2
        save(f"truth/{number}.png", picture)
        save(f"made <b>/{number}.png", picture + np.uint8(error))
    assert command("evaluate", "dirs", "made <b>", "truth", "--html", "out/page.html").code == 0
    return tmp_path / "out" / "page.html"


def items(dom: str) -> list[str]:
    return re.findall(r'<figure[^>]*data-item="(\d)"', dom)


def test_nothing_comes_from_elsewhere(page):
    text = page.read_text()
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\(", re.sub(r"data:[^\"]*", "", text))
    assert re.findall(r'src="(.{10})', text) == ["data:image"] * 3
    assert "made <b>" not in text and "made &lt;b&gt;" in text


def test_worst_first_and_sorted_anew(page, browser):
    dom = browser(page, "--dump-dom").decode()
    assert items(dom) == ["1", "0", "2"]
    assert re.search(r"<output>made &lt;b&gt;/: mse 0\.05\d+</output>", dom)
    choice = (
        "<script>key.selectedIndex = 2; way.value = '1'; document.forms[0].dispatchEvent(new Event('change'))</script>"
    )
    page.write_text(page.read_text() + choice)
    assert items(browser(page, "--dump-dom").decode()) == ["1", "0", "2"], "the smallest SSIM first"
    page.write_text(page.read_text() + choice.replace("'1'", "'0'"))
    assert items(browser(page, "--dump-dom").decode()) == ["0", "1", "2"], "as they come"


@pytest.mark.parametrize(("scheme", "light"), [(1, True), (0, False)])
def test_looks_in_light_and_dark(page, browser, tmp_path, scheme, light):
    shot = tmp_path / "shot.png"
    browser(page, f"--screenshot={shot}", "--window-size=900,1200", f"--blink-settings=preferredColorScheme={scheme}")
    pixels = np.asarray(Image.open(shot).convert("L"))
    assert (np.median(pixels) > 128) == light
    assert pixels.std() > 15, "there is something to see"


def test_plot_over_the_angle():
    rows = [
        Row(method, "yaw", f"{angle:+d}°" if angle else "0°", 4, {"mse": 0.1 * abs(angle)}, {"mse": (0.0, 9.0)})
        for angle in (-30, 0, 30)
        for method in ("a", "b")
    ]
    evaluation = Evaluation({}, [Column("mse", True)], rows, [], [])
    plot = over_angle(evaluation, evaluation.columns[0])
    lines = re.findall(r'<polyline class="s(\d)" points="([^"]*)"', plot)
    assert [number for number, _ in lines] == ["0", "1"]
    (left, top), (_, middle), (right, end) = (map(float, point.split(",")) for point in lines[0][1].split())
    assert left < right and top == end < middle, "a larger error is higher up"
    assert plot.count("whisker") == 6
    assert over_angle(Evaluation({}, evaluation.columns, rows[:2], [], []), evaluation.columns[0]) == ""
