"""`deform` as a user meets it: real processes, their output and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from deformcli import __version__

from .conftest import clean_environment

SWIRL = """
    import time
    from typing import Annotated
    import typer
    import deformcli
    from deformcli.errors import NothingToDoError

    def swirl(mode: str = "no", turns: Annotated[int, typer.Option("--turns", "-q")] = 0) -> int:
        '''Swirl a picture.'''
        if mode == "refuse":
            raise NothingToDoError("no face in\\n the picture", "give one with a face")
        if mode == "because":
            try:
                open("nowhere.png")
            except OSError as error:
                raise NothingToDoError("no picture", "give one") from error
        if mode == "crash":
            return 1 // 0
        if mode == "sleep":
            print("asleep", flush=True)
            time.sleep(60)
        print("swirled" + turns * "!")
        return 7

    @deformcli.hookimpl
    def register_commands(app):
        app.command()(swirl)
"""


@pytest.fixture
def swirl(deform, install_plugin):
    path = install_plugin("swirl", SWIRL)
    return lambda *args, **more: deform(*args, PYTHONPATH=path, DEFORM_LOAD_PLUGINS="swirl", **more)


def test_version(deform):
    result = deform("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"deform {__version__}\n", "")


@pytest.mark.parametrize("args", [(), ("--help",)])
def test_help_lists_built_in_and_plugin_commands(swirl, args):
    result = swirl(*args)
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("plugins", "weights", "doctor", "swirl", "Swirl a picture"))
    assert result.stderr == ""


def python(tmp_path, code: str) -> None:
    """Run `code` in a process of its own, with every installed plugin."""
    environment = clean_environment(tmp_path)
    del environment["DEFORM_LOAD_PLUGINS"]
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_light_commands_import_nothing_heavy(tmp_path):
    commands = "(['--help'], ['--version'], ['plugins', 'list'], ['weights', 'list'], ['config', 'show'])"
    python(
        tmp_path,
        f"import sys; from deformcli.cli import main; assert not any(main(command) for command in {commands});"
        "heavy = {'torch', 'cv2', 'facenet_pytorch', 'huggingface_hub', 'click'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)",
    )


def test_detector_leaves_the_rest_of_its_package_alone(tmp_path):
    python(
        tmp_path,
        "import sys; from deformcli.faces.detect import Mtcnn; Mtcnn();"
        "assert not [name for name in sys.modules if name.startswith(('facenet_pytorch', 'requests'))];"
        "import facenet_pytorch; facenet_pytorch.InceptionResnetV1; Mtcnn()",
    )


def test_plugin_command_runs_and_its_return_value_is_no_exit_code(swirl):
    result = swirl("swirl")
    assert (result.returncode, result.stdout, result.stderr) == (0, "swirled\n", "")


def test_error_is_two_lines_and_its_exit_code(swirl):
    result = swirl("swirl", "--mode", "refuse")
    assert result.returncode == 5
    assert result.stderr == "error: no face in the picture\n  fix: give one with a face\n"
    assert result.stdout == ""


def test_verbose_adds_the_causes_of_an_error(swirl):
    two = swirl("swirl", "--mode", "because")
    assert two.stderr == "error: no picture\n  fix: give one\n"
    more = swirl("swirl", "--mode", "because", "-v")
    assert more.returncode == 5 and more.stderr.startswith(two.stderr)
    assert more.stderr.splitlines()[2:] == [
        "  because of FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.png'"
    ]
    assert swirl("swirl", "--mode", "because", DEFORM_VERBOSE="1").stderr == more.stderr


def test_a_commands_own_option_keeps_its_name(swirl):
    assert swirl("swirl", "-q", "2").stdout == "swirled!!\n"
    assert "No such option: --quiet" in swirl("swirl", "--quiet").stderr


def test_unexpected_error_has_no_traceback_unless_asked_for(swirl):
    result = swirl("swirl", "--mode", "crash")
    assert result.returncode == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("error: unexpected ZeroDivisionError: ")
    assert second.startswith("  fix: ") and "DEFORM_DEBUG=1" in second
    result = swirl("swirl", "--mode", "crash", DEFORM_DEBUG="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-2] == first


@pytest.mark.parametrize(
    ("args", "cause", "remedy"),
    [
        (("nope",), "No such command 'nope'.", "see `deform --help`"),
        (("weights", "info"), "Missing argument 'name'.", "see `deform weights info --help`"),
        (("doctor", "--jsn"), "No such option: --jsn", "see `deform doctor --help`"),
    ],
)
def test_usage_error_is_two_lines_and_2(deform, args, cause, remedy):
    result = deform(*args)
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {cause}")
    assert second == f"  fix: {remedy}"


@pytest.fixture
def interruptible():
    """A shell's background jobs ignore Ctrl-C, and so do their children, unless it is caught here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupt_is_130(install_plugin, tmp_path, interruptible):
    path = install_plugin("swirl", SWIRL)
    environment = clean_environment(tmp_path) | {"PYTHONPATH": path, "DEFORM_LOAD_PLUGINS": "swirl"}
    command = [sys.executable, "-m", "deformcli", "swirl", "--mode", "sleep"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"asleep\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_reader_that_leaves_is_no_error(tmp_path):
    command = [sys.executable, "-m", "deformcli", "plugins", "list", "--json"]
    read, write = os.pipe()
    os.close(read)
    environment = clean_environment(tmp_path)
    result = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")


def test_broken_plugin_costs_one_line_and_nothing_else(deform, install_plugin):
    path = install_plugin("broken", "import nowhere_to_be_found")
    result = deform("--version", PYTHONPATH=path, DEFORM_LOAD_PLUGINS="broken")
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: plugin 'broken' (deform-broken) does not load: ModuleNotFoundError: ")
    listed = deform("plugins", PYTHONPATH=path, DEFORM_LOAD_PLUGINS="broken")
    assert "broken" in listed.stdout and "nowhere_to_be_found" in listed.stdout
    assert "fix: update it, or remove it: pip uninstall deform-broken" in listed.stdout


def test_strictness_makes_a_broken_plugin_exit_6(deform, install_plugin):
    path = install_plugin("broken", "raise SystemExit(0)")
    result = deform("weights", PYTHONPATH=path, DEFORM_LOAD_PLUGINS="broken", DEFORM_STRICT_PLUGINS="1")
    assert result.returncode == 6
    assert result.stderr.startswith("error: plugin 'broken' (deform-broken) does not load: SystemExit: 0\n  fix: ")


def test_plugins_list_and_info_as_json(swirl):
    (record,) = (item for item in json.loads(swirl("plugins", "list", "--json").stdout) if item["name"] == "swirl")
    assert record["status"] == "loaded" and record["hooks"] == ["register_commands"]
    assert (record["distribution"], record["version"], record["module"]) == ("deform-swirl", "0.1", "deform_swirl")
    assert json.loads(swirl("plugins", "info", "swirl", "--json").stdout) == record | {"remedy": ""}
    assert "register_commands" in swirl("plugins", "info", "swirl").stdout
    unknown = swirl("plugins", "info", "swril")
    assert unknown.returncode == 2 and "swirl" in unknown.stderr.splitlines()[1]


CHECKED = """
    from pathlib import Path
    import deformcli

    @deformcli.hookimpl
    def register_recipes():
        return {"good": "collections:OrderedDict"}

    @deformcli.hookimpl
    def register_metrics():
        return {"heavy": "deform_heavy_part:metric"}

    @deformcli.hookimpl
    def register_weights():
        return Path(__file__).with_name("none.toml")
"""


def test_plugins_check_imports_what_they_name(deform, install_plugin, swirl):
    own = {"PYTHONPATH": install_plugin("checked", CHECKED), "DEFORM_LOAD_PLUGINS": "checked,swirl"}
    result = deform("plugins", "check", "--json", **own)
    assert result.returncode == 6 and "not well: checked" in result.stderr
    verdicts = {(item["plugin"], item["what"]): item["ok"] for item in json.loads(result.stdout)}
    assert verdicts["swirl", "register_commands"] and verdicts["checked", "good"]
    assert not verdicts["checked", "register_metrics"] and not verdicts["checked", "register_weights"]
    assert deform("plugins", "check", "swirl", **own).returncode == 0


def test_doctor(deform):
    checks = {check["what"]: check for check in json.loads(deform("doctor", "--device", "cpu", "--json").stdout)}
    assert checks["warp: reference"]["ok"] and checks["cpu"]["ok"] and checks["torch"]["ok"]
    assert checks["self-test on cpu"]["ok"] and "images" in checks["self-test on cpu"]["detail"]
    assert "GB free" in checks["cache"]["detail"]
    assert sum("is what runs there" in check["detail"] for check in checks.values()) == 1


def test_doctor_asks_plugins_and_exits_1_where_one_is_not_well(deform, install_plugin):
    source = """
        import deformcli

        @deformcli.hookimpl
        def doctor():
            return [("spirits", False, "low")]
    """
    path = install_plugin("moody", source)
    result = deform("doctor", PYTHONPATH=path, DEFORM_LOAD_PLUGINS="moody")
    assert result.returncode == 1
    assert "BAD moody: spirits" in result.stdout
    assert "moody: spirits" in result.stderr.splitlines()[0]
