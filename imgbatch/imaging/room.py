"""Whether the system has memory available.

Codecs in C report any failure as broken data, and those in Rust end the process when memory is
short. So they are called only for what there is, or judged afterwards.
"""

from __future__ import annotations

import mmap
from typing import Final

_MIN: Final = 1 << 20


def is_there(length: int) -> bool:
    """Whether this many bytes can be allocated now; nothing reserves them."""
    if length < _MIN:
        return True
    try:
        mmap.mmap(-1, length).close()
    except (OSError, ValueError, OverflowError, MemoryError):
        return False
    return True
