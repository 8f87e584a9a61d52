"""The committed completions and manual page are those of the tool, and complete in real shells."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from deformcli import options

from .conftest import ROOT, clean_environment
from .weights.test_weights import toml

COMPLETIONS = {shell: ROOT / "completions" / f"deform.{shell}" for shell in ("bash", "zsh", "fish")}
MANUAL = ROOT / "docs" / "deform.1"
ZEBRA = """
    from pathlib import Path
    import deformcli

    @deformcli.hookimpl
    def register_weights():
        return Path(__file__).with_name("zebra.toml")
"""
LINES = {
    "deform fr": "frontalize",
    "deform train inp": "inpaint",
    "deform evaluate inp": "inpaint",
    "deform weights info zeb": "zebra-1",
    "deform frontalize --weights zeb": "zebra-1",
}


@pytest.mark.parametrize(("what", "path"), [*COMPLETIONS.items(), ("man", MANUAL)])
def test_committed_file_is_what_the_tool_writes(deform, what, path):
    own = "frontalize,inpaint,train,evaluate,synthesize,studio"
    assert deform("completions", what, DEFORM_LOAD_PLUGINS=own).stdout == path.read_text("utf-8"), (
        f"write it anew: DEFORM_LOAD_PLUGINS={own} deform completions {what} > {path.relative_to(ROOT)}"
    )


def test_manual_has_every_command_option_and_exit_code():
    manual = MANUAL.read_text("utf-8")
    for text in (".SS deform frontalize", ".SS deform weights verify", r"\-\-show\-warp", "\n.B 130\n"):
        assert text in manual
    for option in (r"\-q, \-\-quiet", r"\-v, \-\-verbose"):
        assert manual.count(option) == manual.count(".SS deform ")
    if shutil.which("mandoc"):
        check = subprocess.run(["mandoc", "-T", "lint", "-W", "error", MANUAL], capture_output=True, check=False)
        assert (check.returncode, check.stdout) == (0, b"")


@pytest.fixture
def environment(install_plugin, tmp_path) -> dict[str, str]:
    """Where `deform` is on the PATH, has the weights zebra-1, and breaks if it imports torch."""
    path = install_plugin("zebra", ZEBRA)
    (tmp_path / "site" / "zebra.toml").write_text(toml("zebra-1", task="frontalize"))
    for heavy in ("torch", "cv2", "huggingface_hub"):
        (tmp_path / "site" / f"{heavy}.py").write_text("raise SystemExit('imported while completing')")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "deform"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deformcli "$@"\n')
    script.chmod(0o755)
    variables = clean_environment(tmp_path) | {"HOME": str(tmp_path), "TERM": "xterm", "PYTHONPATH": path}
    del variables["DEFORM_LOAD_PLUGINS"]
    return variables | {"PATH": f"{script.parent}{os.pathsep}{variables['PATH']}", "PS1": "$ "}


@pytest.mark.parametrize(("line", "completed"), LINES.items())
@pytest.mark.parametrize("start", [["bash", "--norc", "--noprofile", "-i"], ["zsh", "-f", "-i"]], ids=["bash", "zsh"])
def test_tab(environment, start, line, completed):
    setup = "autoload -Uz compinit; compinit -D; " if start[0] == "zsh" else ""
    keys = f"{setup}source {COMPLETIONS[start[0]]}; echo rea''dy\n", f"{line}\t"
    with _terminal(start, environment) as (send, read_until):
        send(keys[0])
        read_until(b"ready")
        send(keys[1])
        read_until(completed.encode())


@pytest.mark.parametrize(("line", "completed"), LINES.items())
def test_fish_completes(environment, line, completed):
    if not shutil.which("fish"):
        pytest.skip("needs fish")
    command = f"source {COMPLETIONS['fish']}; complete --do-complete '{line}'"
    done = subprocess.run(["fish", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split("\t")[0].strip() == completed


def test_weights_of_the_commands_task_alone():
    helpers = {"vgg-16", "mobilefacenet"}
    assert helpers < set(options.weights_ids(SimpleNamespace(info_name="info")))
    assert options.weights_ids(SimpleNamespace(info_name="perceptual")) == ["vgg-16", "vgg-19-compact"]


class _terminal:
    """A shell at a terminal of its own: `send` types, `read_until` waits for the screen to show something."""

    def __init__(self, start: list[str], environment: dict[str, str]) -> None:
        if not shutil.which(start[0]):
            pytest.skip(f"needs {start[0]}")
        self.start, self.environment = start, environment

    def __enter__(self):
        self.master, slave = os.openpty()
        self.shell = subprocess.Popen(
            self.start, stdin=slave, stdout=slave, stderr=slave, env=self.environment, start_new_session=True
        )
        os.close(slave)
        return self.send, self.read_until

    def __exit__(self, *error: object) -> None:
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)

    def send(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read_until(self, text: bytes, seconds: float = 30) -> None:
        screen, end = b"", time.monotonic() + seconds
        while text not in screen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"never saw {text!r}: {screen!r}"
            screen += os.read(self.master, 4096)
