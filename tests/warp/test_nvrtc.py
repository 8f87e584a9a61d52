"""What NVRTC makes of the CUDA kernels' source, and the cache of it."""

import ctypes

import pytest

from deformcli.warp import cuda, nvrtc

CAPABILITIES = (75, 80, 90, 120)
WARPS = ("splat", "normalise", "splat_fixed", "normalise_fixed", "gather")
KERNELS = [*(f"{name}_{t}" for name in WARPS for t in ("f32", "f64")), "nearest_rows_u8", "nearest_columns_u8"]

try:
    NO_NVRTC = "" if nvrtc.version() else "NVRTC has no version"
except OSError as error:
    NO_NVRTC = str(error)
needs_nvrtc = pytest.mark.skipif(bool(NO_NVRTC), reason=NO_NVRTC)


def ptx(capability: int) -> str:
    """Of a capability that NVRTC does not know: for the one before it."""
    binary, _ = nvrtc.compile_source(nvrtc.SOURCE.read_bytes(), capability)
    return binary.decode()


@needs_nvrtc
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_compiles_without_spills(capability):
    binary, log = nvrtc.compile_source(nvrtc.SOURCE.read_bytes(), capability, "--ptxas-options=-v")
    assert binary.startswith(b"\x7fELF")
    for kernel in KERNELS:
        assert f".text.{kernel}\0".encode() in binary
        assert kernel in log
    unspilled = "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    assert log.count("bytes spill stores") == log.count(unspilled) == len(KERNELS)


@needs_nvrtc
@pytest.mark.parametrize(("capability", "whole"), [(85, False), (99, True)])  # PTX for 8.0 and 9.0
def test_hopper_adds_whole_cells(capability, whole):
    assert ("red.global.add.v4.f32" in ptx(capability)) == whole


@needs_nvrtc
def test_arguments_have_the_compilers_size():
    text = ptx(85)
    for suffix, real in (("f32", ctypes.c_float), ("f64", ctypes.c_double)):
        for parameter, argument in (
            (f"gather_{suffix}_param_0", cuda._gradient(real)),
            (f"splat_{suffix}_param_3", cuda.Shape),
        ):
            assert f".param .align 8 .b8 {parameter}[{ctypes.sizeof(argument)}]" in text


@needs_nvrtc
def test_a_device_newer_than_nvrtc_gets_ptx():
    assert ".visible .entry splat_f32" in ptx(9999)


@needs_nvrtc
def test_a_broken_source_says_why():
    with pytest.raises(RuntimeError, match=r"(?s)NVRTC could not compile forward_warp.cu: .*nonsense"):
        nvrtc.compile_source(b"nonsense", 90)


@needs_nvrtc
def test_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path))
    first = nvrtc.compiled(80)
    assert [path.read_bytes() for path in (tmp_path / "kernels").iterdir()] == [first]
    monkeypatch.setattr(nvrtc, "compile_source", lambda *arguments: pytest.fail("compiled again"))
    assert nvrtc.compiled(80) == first
    with pytest.raises(pytest.fail.Exception):
        nvrtc.compiled(90)


@needs_nvrtc
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "kernels").touch()  # a file where the folder should be
    monkeypatch.setenv("DEFORM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(nvrtc, "compile_source", lambda *arguments: (b"binary", ""))
    assert nvrtc.compiled(80) == b"binary"
