"""The functions of the native library (imgbatch/native), and Pillow's memory, where it writes."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, Final

from PIL import Image

_FOLDER: Final = os.path.join(os.path.dirname(__file__), "..", "..", "native")
_NAMES: Final = {"darwin": "libimgbatch_native.dylib", "win32": "imgbatch_native.dll"}
_NAME: Final = _NAMES.get(sys.platform, "libimgbatch_native.so")
_VERSION: Final = 2

_CAPSULE: Final = b"Pillow Imaging"


class UnusableError(Exception):
    """The library cannot be used; the message says why, after its name."""


class Library:
    """The opened library. Raises UnusableError where there is none, or none for this Pillow."""

    def __init__(self) -> None:
        path = os.path.abspath(os.path.join(_FOLDER, _NAME))
        if not os.path.exists(path):
            raise UnusableError("was not built (that needs Rust when imgbatch is installed)")
        try:
            found = ctypes.CDLL(path)
            version = found.imgbatch_version()
        except (OSError, AttributeError) as error:
            raise UnusableError(f"cannot be loaded: {error}") from error
        if version != _VERSION:
            raise UnusableError("is of another version than imgbatch")
        if not _knows_pillow():
            raise UnusableError("does not know this version of Pillow")
        self.begin = found.imgbatch_jpeg_begin
        self.begin.argtypes = (ctypes.c_char_p, *(ctypes.c_size_t,) * 6)
        self.take = found.imgbatch_jpeg_take
        self.take.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
        self.decode = found.imgbatch_jpeg_decode
        self.decode.argtypes = (ctypes.c_void_p,)
        self.end = found.imgbatch_jpeg_end
        self.end.restype = None
        self.plain = found.imgbatch_plain
        self.plain.argtypes = (ctypes.c_bool,)
        self.plain.restype = None

    @staticmethod
    def rows(core: Any) -> int | None:
        """The address of the pointers to the rows of an image (`Image.im`)."""
        found: int | None = _imaging(core).image
        return found


class _Imaging(ctypes.Structure):
    """The beginning of Pillow's ImagingMemoryInstance (libImaging/Imaging.h)."""

    _fields_ = (
        ("mode", ctypes.c_int),
        ("type", ctypes.c_int),
        ("depth", ctypes.c_int),
        ("bands", ctypes.c_int),
        ("xsize", ctypes.c_int),
        ("ysize", ctypes.c_int),
        ("palette", ctypes.c_void_p),
        ("image8", ctypes.c_void_p),
        ("image32", ctypes.c_void_p),
        ("image", ctypes.c_void_p),
    )


_pointer: Final = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)


def _imaging(core: Any) -> _Imaging:
    return _Imaging.from_address(_pointer(core.ptr, _CAPSULE))


def _knows_pillow() -> bool:
    """Whether pixels are where this module looks for them."""
    grey, colour = Image.new("L", (3, 2)), Image.new("RGB", (3, 2))
    grey.putpixel((2, 1), 77)
    colour.putpixel((2, 1), (11, 22, 33))
    try:
        grey8, colour32 = _imaging(grey.im), _imaging(colour.im)
    except (AttributeError, ValueError):
        return False
    sizes = {(one.xsize, one.ysize, one.palette) for one in (grey8, colour32)}
    fields = (grey8.image32, colour32.image8, grey8.bands, colour32.bands)
    if sizes != {(3, 2, None)} or fields != (None, None, 1, 3):
        return False
    if grey8.image != grey8.image8 or colour32.image != colour32.image32 or not colour32.image:
        return False
    return _row(grey8, 3) == b"\0\0\x4d" and _row(colour32, 12)[8:11] == bytes((11, 22, 33))


def _row(imaging: _Imaging, count: int) -> bytes:
    """The second row."""
    step = ctypes.sizeof(ctypes.c_void_p)
    return ctypes.string_at(ctypes.c_void_p.from_address(imaging.image + step).value or 0, count)
