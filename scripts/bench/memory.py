"""How much memory the processes of a command take together. Linux only."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

INTERVAL_SECONDS = 0.02

_SESSION = 3
"""The index of the session in /proc/PID/stat, counted after the name (proc(5): field 6)."""


def peak(session: int, ended: threading.Event) -> int:
    """The most bytes that the processes of a session took at once, until `ended` is set.

    Shared pages count in part (PSS): what several processes share counts once.
    """
    most = 0
    while not ended.wait(INTERVAL_SECONDS):
        most = max(most, sum(proportional_set(process) for process in processes(session)))
    return most


def processes(session: int) -> list[int]:
    """All processes of a session; a measured command starts one that no tool leaves."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            # Many are gone before they can be read.
            with suppress(OSError):
                fields = Path("/proc", name, "stat").read_bytes()
                # The name of the program is in parentheses, and may contain any character.
                if int(fields[fields.rindex(b")") + 1 :].split()[_SESSION]) == session:
                    found.append(int(name))
    return found


def proportional_set(process: int) -> int:
    """Its share of memory in bytes; 0 if it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        words = next(line for line in lines if line.startswith("Pss:")).split()
        return 1024 * int(words[1])
    return 0
