"""Runs a command and measures its wall time and the CPU time of all processes it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_SECONDS = 1800.0
"""A command that takes longer is stopped and counts as failed."""

ORPHAN_SECONDS = 10.0
"""How long processes may outlive the command that started them."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class Command:
    """A command line with its environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    stdin: bytes = b""


@dataclass(frozen=True)
class Run:
    """One measured run; `problem` is empty if the command ended with exit code 0.

    `foreign` is the CPU time that everything else on the machine took meanwhile; `peak` is the most
    memory in bytes, if requested.
    """

    wall: float
    cpu: float
    problem: str = ""
    foreign: float = 0.0
    peak: int = 0


Watch = Callable[[int, threading.Event], int]
"""From a session's id, and an event set at its end, to a number measured meanwhile."""


def adopt_orphans() -> bool:
    """Adopt orphaned grandchildren, so that their CPU time is counted; return whether it worked.

    Without this, a tool that works in a fork server, which outlives it for a moment, would seem to
    need no CPU time at all.
    """
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def run(command: Command, watch: Watch | None = None) -> Run:
    """Run `command` to its end. Wall time ends with the command, CPU time with its last orphan.

    `watch` runs in a thread meanwhile; what it returns is the run's `peak`.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as complaints:
        stdin.write(command.stdin)
        stdin.seek(0)
        before = _children_cpu()
        busy_before = _machine_cpu()
        begun = time.perf_counter()
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd=command.folder,
                env=environment(command.environment),
                start_new_session=True,
            )
        except OSError as error:
            return Run(0.0, 0.0, f"cannot be started: {error}")
        # Not Popen.wait(timeout), which sleeps for up to 50 ms at a time.
        alarm = threading.Timer(LIMIT_SECONDS, _kill_group, [process.pid])
        alarm.start()
        ended = threading.Event()
        peaks: list[int] = []
        watcher = threading.Thread(
            target=lambda: peaks.append(watch(process.pid, ended) if watch else 0)
        )
        if watch:
            watcher.start()
        try:
            code = process.wait()
            wall = time.perf_counter() - begun
        finally:
            alarm.cancel()
            ended.set()
            if process.returncode is None:
                # On interruption: what is killed must not write any more.
                _kill_group(process.pid)
                process.wait()
                _reap_orphans(process.pid)
        if watch:
            watcher.join()
        _reap_orphans(process.pid)
        cpu = _children_cpu() - before
        foreign = max(0.0, _machine_cpu() - busy_before - cpu)
        if code == 0:
            return Run(wall, cpu, foreign=foreign, peak=max(peaks, default=0))
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip().splitlines()
        why = f"exit code {code}" if wall < LIMIT_SECONDS else f"stopped after {wall:.0f} s"
        return Run(wall, cpu, f"{why}: {said[-1][:120]}" if said else why, foreign)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a measured command, without what `scripts/tool` sets for this process."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**ours, **(more or {})}


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _machine_cpu() -> float:
    """CPU seconds of all processes since boot, and those stolen by a host."""
    try:
        ticks = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
    except OSError:
        return 0.0
    # proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
    busy = sum(int(one) for number, one in enumerate(ticks) if number not in (3, 4))
    return busy / os.sysconf("SC_CLK_TCK")


def _reap_orphans(group: int) -> None:
    deadline = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > deadline:
            _kill_group(group)
            deadline = float("inf")
        time.sleep(0.002)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
