"""What reveals a position: the words and numbers that `no-gps` removes, wherever they are.

Names of places are words meant to be read, so they stay. All patterns are bounded: a search that
restarts at each of a million places must not look at all the rest from each of them.
"""

from __future__ import annotations

import re
from typing import Final

# However it is spelled: one drone maker writes Longtitude.
_ANGLE: Final = r"l[ao]\w{0,9}itude"
# W3C's Basic Geo vocabulary.
_WORD: Final = rf"gps|{_ANGLE}|wgs84_pos"
# Four decimals of a degree are 11 m.
_NUMBER: Final = r"(?<![0-9A-Za-z_])\d{1,3}\.\d{4}"

_IN_NAME: Final = re.compile(_WORD, re.IGNORECASE)
_IN_TEXT: Final = re.compile(f"{_WORD}|{_NUMBER}", re.IGNORECASE)
# Three letters prove nothing in encoded data.
_IN_BLOCK: Final = re.compile(rf"gps\w{{0,99}}l|{_ANGLE}", re.IGNORECASE)


def in_name(name: str) -> bool:
    """Whether the name of a property or a namespace, or a text's keyword, is about a position."""
    return _IN_NAME.search(name) is not None


def in_text(text: str | bytes) -> bool:
    """Whether a text that people wrote may contain a position: a word for it, or such a number.

    Bytes are UTF-8, or UTF-16, of which only ASCII matters here.
    """
    if isinstance(text, bytes):
        text = text.replace(b"\0", b"").decode("utf-8", "replace")
    return _IN_TEXT.search(text) is not None


def in_block(block: bytes) -> bool:
    """Whether a block whose names and texts were cleaned still contains a position somewhere."""
    return _IN_BLOCK.search(block.decode("utf-8", "replace")) is not None
