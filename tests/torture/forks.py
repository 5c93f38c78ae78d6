"""Runs the command in forks of a process that has loaded it already.

Loading takes ten times as long as what a small job takes, and is the same every time. Each fork
becomes a session of its own, and then the command, by the front door: `python -m imgbatch`.

This module is the script of that process, and its client (`Forks`).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from torture import holding

PATIENCE_SECONDS: Final = 60.0
_LOADED: Final = (
    *(
        "cli.commands",
        "cli.resize",
        "cli.session",
        "running.worker",
        "executors.pool",
        "executors.serial",
    ),
    *("running.batch", "running.report", "store.journal", "cli.progress"),
)


class HangsError(Exception):
    """A command did not end in time."""


class Forks:
    """A process that forks commands, one at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # What is read ahead would not wake who waits for it.
            bufsize=0,
        )
        atexit.register(self.close)

    def run(
        self,
        words: Sequence[str],
        place: Path,
        told: Path,
        *,
        environment: Mapping[str, str] | None = None,
        begun: Callable[[int], None] = lambda pid: None,
    ) -> tuple[int, int]:
        """Run the command in the folder `place`; return its process id and its exit code.

        What it says goes to the files `<told>.out` and `<told>.err`. `begun` is called with its
        process id. Raises HangsError, when it is killed.
        """
        order = {
            "words": [*words],
            "place": str(place),
            "told": str(told),
            "environment": dict(environment or {}),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = self._answer()
        try:
            begun(pid)
            return pid, self._answer()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            self._answer()
            raise

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
        if not ready:
            raise HangsError(f"it did not end in {PATIENCE_SECONDS:.0f} s")
        return int(self._process.stdout.readline())


def _serve() -> None:
    """Fork commands as the lines of standard input say, until there are no more."""
    for name in _LOADED:
        importlib.import_module(f"imgbatch.{name}")
    # What is shared with forks would be copied for their collectors to look through.
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    """Be the command from now on. This does not return."""
    os.setsid()
    os.chdir(order["place"])
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, f"{order['told']}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, f"{order['told']}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o666)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.update(order["environment"])
    role = os.environ.get(holding.ROLE)
    if role == "main":
        holding.hold()
    elif role == "job":
        holding.hold_the_first_thread()
    sys.argv = ["imgbatch", *order["words"]]
    runpy.run_module("imgbatch", run_name="__main__", alter_sys=True)
    raise SystemExit


if __name__ == "__main__":
    _serve()
