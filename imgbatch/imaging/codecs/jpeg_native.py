"""Decodes the commonest kind of JPEG natively, where that was built (imgbatch/native).

At 1/2, 1/4 and 1/8, in less time than libjpeg-turbo; and nothing that is not in perfect order:
whatever is refused is for Pillow, which also words the errors.
"""

from __future__ import annotations

import os
from functools import cache
from io import SEEK_END
from typing import Any, BinaryIO, Final

_SCALES: Final = frozenset({2, 4, 8})
# Bytes per pixel in Pillow's memory.
_CHANNELS: Final = {"L": 1, "RGB": 4}

SWITCH: Final = "IMGBATCH_NATIVE"
"""The environment variable that switches it off with 0, and keeps it from being built."""

PIECE: Final = 1 << 18
"""How many bytes of a file are read at once."""


def load(image: Any, file: BinaryIO, start: int) -> bool:
    """Load an image that is shrunk, with data from `start` on; return whether that was possible.

    The data end with an end marker then, and nothing is wrong with them.
    """
    scale = image.decoderconfig[0]
    channels = _CHANNELS.get(image.mode)
    if scale not in _SCALES or channels is None or "progressive" in image.info:
        return False
    native = library()
    if native is None:
        return False
    most = file.seek(0, SEEK_END) - start
    file.seek(0)
    head = file.read(start)
    try:
        if native.begin(head, len(head), most, scale, *image.size, channels):
            return False
        while piece := file.read(PIECE):
            if not native.take(piece, len(piece)):
                break
        image.load_prepare()
        if native.decode(native.rows(image.im)):
            return False
    finally:
        native.end()
    image.tile = []
    return True


@cache
def library() -> Any:
    """The native functions (`native_api.Library`), or None if they cannot be used."""
    return _opened()[0]


def use() -> str:
    """Whether it is used, and if not, why, as words for users."""
    trouble = _opened()[1]
    if trouble is None:
        return f"decoded at reduced size by the native decoder ({SWITCH}=0 switches it off)"
    return f"decoded at reduced size by Pillow: {trouble}"


@cache
def _opened() -> tuple[Any, str | None]:
    if os.environ.get(SWITCH) == "0":
        return None, f"the native decoder is switched off ({SWITCH} is 0)"
    from imgbatch.imaging.codecs import native_api

    try:
        return native_api.Library(), None
    except native_api.UnusableError as error:
        return None, f"the native decoder {error}"
