"""Holds a thread of the command until a tracer is attached.

It works inside the command under test: in the fork that becomes it (`toolkit.forked`), and through
`injected/sitecustomize.py` in its workers. Only the first to arrive is traced; the others wait
until they are let go, too.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "IMGBATCH_TORTURE_HOLD"
"""Names the folder of the two marks; without it no thread is held."""
ROLE: Final = "IMGBATCH_TORTURE_ROLE"
"""What is held: "main", the thread of a "job", or a "worker"."""

_WHO: Final = "who"
_GO: Final = "go"
_ALL: Final = "all"
_PR_SET_PTRACER: Final = 0x59616D61
_ANYBODY: Final = ctypes.c_ulong(-1)


def hold() -> None:
    """Wait here until the tracer says "go"."""
    folder = os.environ[FOLDER]
    # With Yama, only ancestors may trace without this.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY)
    try:
        mark = os.open(os.path.join(folder, _WHO), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        go = os.path.join(folder, _ALL)
    else:
        os.write(mark, b"%d %d\n" % (os.getpid(), threading.get_native_id()))
        os.close(mark)
        go = os.path.join(folder, _GO)
    while not os.path.exists(go):
        time.sleep(0.001)


def hold_the_first_thread() -> None:
    """Hold the next thread that starts, before it does anything."""

    def begin(*event: Any) -> None:
        threading.setprofile(None)
        sys.setprofile(None)
        hold()

    threading.setprofile(begin)


def hold_by_role() -> None:
    """Hold the thread that the environment names, if it is in the command's own process."""
    role = os.environ.get(ROLE)
    if role == "main":
        hold()
    elif role == "job":
        hold_the_first_thread()


def hold_workers() -> None:
    """Hold every process forked from this one."""
    os.register_at_fork(after_in_child=hold)


def held(folder: Path) -> tuple[int, int] | None:
    """The process and the thread that wait in this folder, once there are any."""
    try:
        process, thread = (folder / _WHO).read_text().splitlines(keepends=False)[0].split()
    except (FileNotFoundError, IndexError):
        return None
    return int(process), int(thread)


def let_go(folder: Path, *, everybody: bool) -> None:
    """Let the traced one go on, or all the others, too."""
    (folder / (_ALL if everybody else _GO)).touch()


if __name__ == "__main__":
    hold()
