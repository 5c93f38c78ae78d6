"""What the hidden operation `fault` does to the worker process it runs in.

It goes by the width of the picture, so that each file of a run has its own deed, and the command
under test needs to know nothing: see `injected/sitecustomize.py`. Whatever must survive a process
is a mark, a file in the folder that the environment names.
"""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NoReturn

from imgbatch.imaging.picture import Picture

MARKS: Final = "IMGBATCH_TORTURE_MARKS"
"""Names the folder of marks."""
HASTE: Final = "IMGBATCH_TORTURE_HASTE"
"""Set where nothing should sleep or wait."""
BROKEN: Final = "IMGBATCH_TORTURE_BROKEN"
"""How the plugin fails in every process but the command's own; see `injected/sitecustomize.py`."""

REST_SECONDS: Final = 0.1


class Deed(IntEnum):
    """Widths of pictures, in pixels."""

    KILL_ITSELF = 101
    CRASH = 102
    END_WELL = 103
    END_BADLY = 104
    HANG_HOLDING_THE_GIL = 105
    HANG_BUSILY = 106
    RUN_OUT_OF_MEMORY = 107
    RAISE_WHAT_CANNOT_BE_PICKLED = 108
    RAISE_WHAT_CANNOT_BE_LOADED = 109
    NOTE_WHAT_CANNOT_BE_PICKLED = 110
    LEAVE = 111
    INTERRUPT = 112
    STOP_ITSELF = 113
    KILL_IDLE_NEIGHBOURS = 114
    DIE_ONCE = 115
    REST = 116
    WAIT = 117


class UnpicklableError(Exception):
    def __reduce__(self) -> NoReturn:
        raise TypeError("this cannot be pickled")


class UnloadableError(Exception):
    """The most common mistake: it pickles well, but is rebuilt with too few arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


class UnpicklableText(str):
    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("this cannot be pickled")


def carry_out(picture: Picture) -> Picture:
    """Do what the picture's width says; a picture of any other width is left alone."""
    width, height = picture.full_size
    if width in DEEDS:
        DEEDS[Deed(width)](height)
    if width == Deed.NOTE_WHAT_CANNOT_BE_PICKLED:
        return picture.with_notice("truncated", UnpicklableText("a note"))
    return picture


def mark(name: str) -> Path:
    return Path(os.environ[MARKS], name)


def _kill_itself(height: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crash(height: int) -> None:
    ctypes.string_at(0)


def _end_well(height: int) -> None:
    os._exit(0)


def _end_badly(height: int) -> None:
    os._exit(3)


def _hang_holding_the_gil(height: int) -> None:
    mark("hanging").touch()
    while True:
        ctypes.PyDLL(None).pause()


def _hang_busily(height: int) -> None:
    # An endless loop inside a C function: no Python signal handler ever runs.
    collections.deque(itertools.repeat(0), maxlen=0)


def _run_out_of_memory(height: int) -> None:
    bytearray(1 << 60)


def _raise_what_cannot_be_pickled(height: int) -> None:
    raise UnpicklableError("no")


def _raise_what_cannot_be_loaded(height: int) -> None:
    raise UnloadableError("no", "never")


def _note_what_cannot_be_pickled(height: int) -> None:
    """The note travels with the picture."""


def _leave(height: int) -> None:
    sys.exit(5)


def _interrupt(height: int) -> None:
    raise KeyboardInterrupt


def _stop_itself(height: int) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _kill_idle_neighbours(height: int) -> None:
    """By then a neighbour waits for work and holds the lock of the pool's queue."""
    if _first_time(f"killed-{height}"):
        time.sleep(0.5)
        for pid in _neighbours():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)


def _die_once(height: int) -> None:
    if _first_time(f"died-{height}"):
        os.kill(os.getpid(), signal.SIGKILL)


def _rest(height: int) -> None:
    if HASTE not in os.environ:
        time.sleep(REST_SECONDS)


def _wait(height: int) -> None:
    """Wait until the test has done its own deed and says "go"."""
    mark("waiting").touch()
    while HASTE not in os.environ and not mark("go").exists():
        time.sleep(0.01)


def _first_time(name: str) -> bool:
    first = not mark(name).exists()
    mark(name).touch()
    return first


def _neighbours() -> list[int]:
    """The other workers: processes with the same parent."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getppid() and int(stat.parent.name) != os.getpid():
            found.append(int(stat.parent.name))
    return found


DEEDS: Final[dict[Deed, Callable[[int], Any]]] = {
    deed: globals()[f"_{deed.name.lower()}"] for deed in Deed
}
