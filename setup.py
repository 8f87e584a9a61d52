"""Builds the C++ libraries, if there is a compiler; everything else is in pyproject.toml."""

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")

# Rounding must not depend on how the compiler vectorises: no contraction. The other two change no value.
OPTIMIZE = ["-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
OPTIMIZE += ["-fno-wrapv", "-fvisibility=hidden", "-Wno-psabi"]  # Python is built with -fwrapv, which slows the loops
ATTEMPTS = (["-march=x86-64-v2", "-fopenmp"], ["-march=x86-64-v2"], ["-fopenmp"], [])
X86_LEVELS = {  # what the warp is compiled for beyond that; it asks the processor for just these
    "_v3": ["-mavx2", "-mbmi2"],
    "_v4": ["-mavx2", "-mbmi2", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"],
}
ATTEMPTS_MSVC = (["/std:c++17", "/O2", "/openmp"], ["/std:c++17", "/O2"])


class BuildSharedLibrary(build_ext):
    """Builds a plain shared library, with no Python in it, by the first set of options the compiler takes."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + SUFFIX

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def build_extension(self, ext: Extension) -> None:
        own = ext.extra_compile_args
        self.build_temp = str(Path(self.build_temp).with_name(ext.name))  # several libraries have a source in common
        msvc = self.compiler.compiler_type == "msvc"
        attempts = ATTEMPTS_MSVC if msvc else [OPTIMIZE + options for options in ATTEMPTS]
        for options in attempts:
            ext.extra_compile_args = [*options, *own]
            ext.extra_link_args = [option for option in options if option == "-fopenmp"]
            try:
                return super().build_extension(ext)
            except (CompileError, LinkError) as failure:
                error = failure
        raise error


class PlatformWheel(bdist_wheel):
    """The library is made for a platform, but for no Python version."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


CSRC = "src/deformcli/warp/csrc/"
HEADERS = [f"{CSRC}{name}.h" for name in ("export", "vectors", "landing", "memory", "forward", "gather", "backward")]
WARP = "deformcli.warp._forward_warp"


def library(name: str, *sources: str, options: tuple[str, ...] | list[str] = ()) -> Extension:
    return Extension(
        name, list(sources), depends=HEADERS, extra_compile_args=list(options), language="c++", optional=True
    )


libraries = [
    library(WARP, *(f"{CSRC}{name}.cpp" for name in ("forward_warp", "labelling", "nearest", "patchmatch", "smooth"))),
    library("deform_synthesize._rasterize", "plugins/deform_synthesize/csrc/rasterize.cpp"),
]
if platform.machine() in ("x86_64", "AMD64") and sys.platform != "win32":
    libraries += [
        library(WARP + level, CSRC + "forward_warp.cpp", options=options) for level, options in X86_LEVELS.items()
    ]

setup(ext_modules=libraries, cmdclass={"build_ext": BuildSharedLibrary, "bdist_wheel": PlatformWheel})
