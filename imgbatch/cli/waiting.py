"""Waiting for another run to end: as `--wait` asks, or unasked for a single file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import Final

from imgbatch import signals
from imgbatch.cli.output import note, tell
from imgbatch.store.journal import LockedError

_OF_ONE_FILE: Final = 60.0
"""How many seconds a run of a single file waits unasked: several at once take turns."""
_UNTOLD_SECONDS: Final = 2.0
_SHORTEST_SECONDS: Final = 0.05
_LONGEST_SECONDS: Final = 2.0
_SHARE: Final = 0.05
"""Who waits for a long run pauses for this part of the time that has passed."""


def patient(
    attempt: Callable[[], int], seconds: float | None, *, quiet: bool, alone: bool = False
) -> int:
    """What `attempt` returns as soon as no other run holds its folder.

    Raises LockedError if one still does after so many seconds; unless they are given, a run of a
    single file (`alone`) waits for a minute, and any other not at all. What is waited for is told
    once: at once if seconds are given, otherwise only if it takes long; and not if `quiet`.
    """
    limit = _OF_ONE_FILE if seconds is None and alone else seconds
    try:
        return attempt()
    except LockedError as error:
        if limit is None:
            raise
        locked = error
    untold = _UNTOLD_SECONDS if seconds is None else 0.0
    return _in_turn(attempt, locked, limit, untold, quiet=quiet)


def _in_turn(
    attempt: Callable[[], int], locked: LockedError, limit: float, untold: float, *, quiet: bool
) -> int:
    # Loaded for few.
    from imgbatch.store.turns import Turn

    begun = time.monotonic()
    told = False
    with closing(Turn(locked.folder)) as turn, _raising():
        while True:
            waited = time.monotonic() - begun
            if not told and waited >= untold:
                told = True
                line = f"imgbatch: waiting up to {limit:g} s: {locked.found}"
                note(line) if quiet else tell(line, err=True)
            # Of several, those look more often that have waited longer.
            pause = 1 / (2 + waited)
            if turn.has_come():
                pause = _SHARE * waited
                try:
                    return attempt()
                except LockedError as error:
                    locked = error
            if waited >= limit:
                raise locked
            time.sleep(min(max(_SHORTEST_SECONDS, pause), _LONGEST_SECONDS, limit - waited))


@contextmanager
def _raising() -> Iterator[None]:
    """Let signals raise Interrupted, after which a report can still be written.

    By now everything is loaded, so no import is disturbed; a run sets its own once it begins.
    """
    before = {number: signal.signal(number, _interrupt) for number in signals.heeded()}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise signals.Interrupted(number)
