"""Turns: of several runs that wait for one folder, only one at a time tries to have it.

While SQLite tries, it keeps others from succeeding, so with some more nobody ever would.
"""

from __future__ import annotations

import os
from contextlib import suppress

try:
    import fcntl
except ImportError:
    # Windows has none; there all try.
    fcntl = None  # type: ignore[assignment]


class Turn:
    """The turn of this process at a folder, whose lock goes with the process; no file is left."""

    def __init__(self, folder: str) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            if fcntl is not None:
                self._descriptor = os.open(folder, os.O_RDONLY)

    def has_come(self) -> bool:
        """Whether it is this process's turn; from then on it is until `close`."""
        if self._descriptor is None:
            return True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some file systems have no locks.
            return True
        return True

    def close(self) -> None:
        """Let another process have its turn."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
