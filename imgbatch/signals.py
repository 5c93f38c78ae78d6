"""How signals end the command: silently, leaving nothing behind, and visibly to the caller.

This module loads next to nothing, since a Ctrl-C before `take_over` shows a traceback.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_clean_ups: list[Callable[[], object]] = []


class Interrupted(BaseException):
    """A signal, raised where nothing is disturbed by that; click does not know it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heeded() -> tuple[signal.Signals, ...]:
    """Those that end the command. Signals ignored at the start (nohup, `&`) stay ignored."""
    ending = (signal.SIGINT, signal.SIGTERM)
    return tuple(number for number in ending if signal.getsignal(number) is not signal.SIG_IGN)


def take_over() -> None:
    """Let them end this process at once, wherever it is.

    Nothing is raised: an exception in the middle of an import would be printed by whatever cannot
    pass it on.
    """
    for number in heeded():
        signal.signal(number, _end)


def before_death(clean_up: Callable[[], object]) -> None:
    """Call this before a signal ends the process. It must not raise."""
    _clean_ups.append(clean_up)


def die_by(number: int) -> int:
    """End this process by a signal, so that a calling shell or script sees what happened.

    Returns the corresponding exit code where a process cannot die that way (Windows).
    """
    for clean_up in _clean_ups:
        clean_up()
    if os.name == "posix":
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + number


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(die_by(number))
