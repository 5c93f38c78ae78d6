"""Waiting for another run to end, as `--wait` asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from imgbatch.cli.output import note, tell
from imgbatch.store.journal import LockedError

_FIRST_SECONDS: Final = 0.25
_LONGEST_SECONDS: Final = 2.0


def patient(attempt: Callable[[], int], seconds: float | None, *, quiet: bool) -> int:
    """What `attempt` returns as soon as no other run holds its folder.

    Raises LockedError if one still does after so many seconds. What is waited for is told once,
    unless `quiet`.
    """
    pause = _FIRST_SECONDS
    until = None
    while True:
        try:
            return attempt()
        except LockedError as error:
            if seconds is None:
                raise
            if until is None:
                until = time.monotonic() + seconds
                line = f"imgbatch: waiting up to {seconds:g} s: {error.found}"
                note(line) if quiet else tell(line, err=True)
            if (left := until - time.monotonic()) <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_SECONDS)
