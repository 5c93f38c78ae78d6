"""The progress of a run: a bar on a terminal, a plain line now and then elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Final, Protocol, TextIO

from imgbatch.cli import safe_streams
from imgbatch.cli.results import rate
from imgbatch.plurals import counted
from imgbatch.printable import shown

LINE_SECONDS: Final = 30.0
_RED: Final = "\x1b[31m"
_PLAIN: Final = "\x1b[0m"


class Progress(Protocol):
    """How a run shows its progress."""

    def advance(self, size: int, failed: bool) -> None:
        """One source of `size` bytes is finished."""

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar; control characters in it are escaped."""

    def cut_in(self, text: str) -> None:
        """The same from a signal handler: at once, or not at all."""

    def close(self) -> None:
        """The run is over."""


class Silence:
    """Shows nothing."""

    def advance(self, size: int, failed: bool) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def cut_in(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Bar:
    """A tqdm bar: files, share, images and megabytes a second, time left, failures."""

    def __init__(self, total: int, stream: TextIO) -> None:
        from tqdm import tqdm

        # One process draws. By default tqdm takes a system semaphore for others, and starts a
        # thread that checks whether to draw more often.
        tqdm.set_lock(threading.RLock())
        tqdm.monitor_interval = 0
        self._stream = stream
        self._bytes = 0
        self._failures = 0
        self._coloured = not os.environ.get("NO_COLOR")
        self._bar: tqdm[Any] = tqdm(
            total=total,
            file=stream,
            unit=" images",
            dynamic_ncols=True,
            miniters=1,
            smoothing=0.1,
            leave=False,
            bar_format="{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} · {rate_fmt}{postfix}"
            " · {remaining} left",
        )

    def advance(self, size: int, failed: bool) -> None:
        """Move on by one, and show the new figures when the bar is due."""
        self._bytes += size
        self._failures += failed
        elapsed = self._bar.format_dict["elapsed"]
        if elapsed:
            self._bar.set_postfix_str(self._figures(elapsed), refresh=False)
        self._bar.update()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.write(shown(text), file=self._stream)

    def cut_in(self, text: str) -> None:
        """Print a line below the bar, which is redrawn below that."""
        safe_streams.offer(self._stream, f"\n{shown(text)}\n")

    def close(self) -> None:
        """Remove the bar; the summary takes its place."""
        self._bar.close()

    def _figures(self, elapsed: float) -> str:
        figures = f"{self._bytes / elapsed / 1e6:.1f} MB/s"
        if self._failures:
            failures = f"{self._failures} failed"
            figures += " · " + (f"{_RED}{failures}{_PLAIN}" if self._coloured else failures)
        return figures


class Lines:
    """A line every half minute, for logs."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._finished = 0
        self._failures = 0
        self._begun = self._last = time.monotonic()

    def advance(self, size: int, failed: bool) -> None:
        """Count, and print a line if one is due."""
        self._finished += 1
        self._failures += failed
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            speed = rate(self._finished, now - self._begun)
            self.say(
                f"{self._finished} of {counted(self._total, 'image')}, {speed}, "
                f"{self._failures} failed"
            )

    def say(self, text: str) -> None:
        self._stream.write(f"{shown(text)}\n")
        self._stream.flush()

    def cut_in(self, text: str) -> None:
        safe_streams.offer(self._stream, f"{shown(text)}\n")

    def close(self) -> None:
        pass


def choose(total: int, *, quiet: bool) -> Progress:
    """The bar if standard error is a terminal, lines if not, nothing if `quiet` or closed."""
    stream = sys.stderr
    if quiet or stream is None:
        return Silence()
    return Bar(total, stream) if total and stream.isatty() else Lines(total, stream)
