"""Builds the C++ libraries, if there is a compiler; everything else is in pyproject.toml."""

import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")

# Rounding must not depend on how the compiler vectorises: no contraction. The other two change no value.
OPTIMIZE = ["-std=c++17", "-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
OPTIMIZE += ["-fno-wrapv", "-fvisibility=hidden", "-Wno-psabi"]  # Python is built with -fwrapv, which slows the loops
ATTEMPTS = (["-march=x86-64-v2", "-fopenmp"], ["-march=x86-64-v2"], ["-fopenmp"], [])
ATTEMPTS_MSVC = (["/std:c++17", "/O2", "/openmp"], ["/std:c++17", "/O2"])


class BuildSharedLibrary(build_ext):
    """Builds a plain shared library, with no Python in it, by the first set of options the compiler takes."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + SUFFIX

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []

    def build_extension(self, ext: Extension) -> None:
        msvc = self.compiler.compiler_type == "msvc"
        attempts = ATTEMPTS_MSVC if msvc else [OPTIMIZE + options for options in ATTEMPTS]
        for options in attempts:
            ext.extra_compile_args = options
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


setup(
    ext_modules=[
        Extension(name, sources, language="c++", optional=True)
        for name, sources in {
            "deformcli.warp._forward_warp": [
                f"src/deformcli/warp/csrc/{name}.cpp"
                for name in ("forward_warp", "labelling", "nearest", "patchmatch", "smooth")
            ],
            "deform_synthesize._rasterize": ["plugins/deform_synthesize/csrc/rasterize.cpp"],
        }.items()
    ],
    cmdclass={"build_ext": BuildSharedLibrary, "bdist_wheel": PlatformWheel},
)
