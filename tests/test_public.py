"""What may be imported, and that the plugins import nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import deformcli
from deformcli import registry

from .conftest import ROOT

PLUGINS = ROOT / "plugins"


def test_public_names():
    assert deformcli.__all__ == [
        "__version__", "batch", "data", "errors", "evaluation", "faces", "hookimpl", "images", "losses", "metrics",
        "models", "options", "pages", "recipes", "registry", "runs", "runtime", "training", "warp", "weights",
    ]  # fmt: skip
    assert all(getattr(deformcli, name) for name in deformcli.__all__)


def test_functions_of_the_plugins(plugins):
    assert sorted(set(dir(deformcli)) - set(deformcli.__all__)) == ["frontalize", "inpaint"]
    assert deformcli.inpaint.__module__ == "deform_inpaint.function"
    with pytest.raises(AttributeError, match="no attribute 'swirl', and no plugin"):
        _ = deformcli.swirl


def test_importing_is_light(environment):
    code = "import sys, deformcli, deformcli.registry; sys.exit(bool({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.fixture
def plugins(monkeypatch):
    monkeypatch.setenv("DEFORM_LOAD_PLUGINS", "frontalize,inpaint,train,evaluate,synthesize,studio")
    registry.plugins.cache_clear()
    yield
    registry.plugins.cache_clear()


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_plugins_import_the_public_names_alone(path):
    for statement in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(statement, ast.Import):
            assert not [name.name for name in statement.names if name.name.startswith("deformcli.")]
        if isinstance(statement, ast.ImportFrom) and statement.module and statement.module.startswith("deformcli"):
            _, _, package = statement.module.partition(".")
            assert package in ("", *deformcli.__all__)
            module = getattr(deformcli, package) if package else deformcli
            public = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
            assert {name.name for name in statement.names} <= set(public)
