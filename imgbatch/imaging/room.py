"""Whether the system has memory to give.

Codecs in C say of any failure that the data are broken, and those in Rust end the process where
memory is short. So they are asked only for what there is, or judged afterwards.
"""

from __future__ import annotations

import mmap
from typing import Final

_LEAST: Final = 1 << 20


def is_there(length: int) -> bool:
    """Whether so many bytes can be had at once; not more than that: nobody holds them."""
    if length < _LEAST:
        return True
    try:
        mmap.mmap(-1, length).close()
    except (OSError, ValueError, OverflowError, MemoryError):
        return False
    return True
