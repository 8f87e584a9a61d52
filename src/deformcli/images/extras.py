"""Formats that Pillow reads by a plugin of its own, an extra of this package: HEIC and JPEG XL."""

from __future__ import annotations

from deformcli.errors import MissingExtraError

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


def register_extra(data: bytes, name: str) -> str | None:
    """Pillow's format of the bytes if one of these, which Pillow can open from then on; else None.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    kind = _kind(data)
    try:
        if kind == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        elif kind == "JXL":
            import pillow_jxl  # noqa: F401  # registers itself
    except ImportError as error:
        title, extra = ("HEIC", "heic") if kind == "HEIF" else ("JPEG XL", "jxl")
        cause = f"{name} is {title}, for which a library is missing"
        raise MissingExtraError(cause, f"pip install 'deformcli[{extra}]'") from error
    return kind


def _kind(data: bytes) -> str | None:
    if data[:2] == b"\xff\x0a" or data[4:12] == b"JXL \r\n\x87\n":
        return "JXL"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC and b"avif" not in data[16:64]:
        return "HEIF"
    return None
