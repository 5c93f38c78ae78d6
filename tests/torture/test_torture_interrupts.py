"""Signals at unexpected moments, to commands that cannot report them."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit.commands import COMMAND
from toolkit.folders import plant
from torture.arena import alive_after, wait_until

ENDING: Final = (signal.SIGINT, signal.SIGTERM)
INSTALLED: Final = (str(Path(sys.executable).with_name("imgbatch")),)
WORDS: Final = ("resize", "photos", "-o", "out", "-s", "30", "--jobs", "2")


@contextmanager
def begun(
    *words: str, cwd: Path, temporary: Path | None = None, **streams: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in its own session; nothing of it is left on exit."""
    env = {**os.environ, "TMPDIR": str(temporary)} if temporary else None
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    with subprocess.Popen(words, cwd=cwd, env=env, start_new_session=True, **streams) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def has(process: subprocess.Popen[bytes], field: str, number: int) -> bool:
    """Whether a signal is in one of the sets of /proc/PID/status."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def send(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal; return when it has arrived."""
    process.send_signal(number)
    wait_until(lambda: not has(process, "ShdPnd:", number), process)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("command", [COMMAND, INSTALLED], ids=["module", "installed"])
def test_signal_at_any_moment_ends_the_command_silently(
    tmp_path: Path, command: tuple[str, ...], number: signal.Signals
) -> None:
    plant(tmp_path, *(f"photos/{one:02}.jpg" for one in range(60)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    chance = random.Random(f"{number} {command[0]}")

    for _ in range(6):
        with begun(*command, *WORDS, "--force", cwd=tmp_path, temporary=temporary) as process:
            # Before that, the interpreter itself has not yet reached our first line.
            wait_until(lambda: has(process, "SigCgt:", signal.SIGTERM), process)
            time.sleep(chance.uniform(0, 0.5))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            said, told = process.communicate(timeout=300)
            left = alive_after(process.pid)

        # It may have been faster.
        assert process.returncode in (0, -number), told.decode()
        assert said == b""
        assert b"Traceback" not in told
        assert b"Exception" not in told
        assert left == []
        assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", ENDING)
def test_interrupted_run_leaves_no_temporary_folder(tmp_path: Path, number: signal.Signals) -> None:
    plant(tmp_path, *(f"photos/{one:03}.jpg" for one in range(300)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with begun(*COMMAND, *WORDS, cwd=tmp_path, temporary=temporary) as process:
        wait_until(lambda: list(tmp_path.glob("out/*.jpg")), process)
        assert list(temporary.iterdir()) != []
        process.send_signal(number)
        process.communicate(timeout=300)

    assert process.returncode == -number
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", ENDING)
def test_signal_ignored_at_the_start_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    plant(tmp_path, *(f"photos/{one:03}.jpg" for one in range(40)))
    ignoring = ("sh", "-c", f'trap "" {number.name[3:]}; exec "$@"', "sh")

    with begun(*ignoring, *COMMAND, *WORDS, cwd=tmp_path) as process:
        wait_until(lambda: has(process, "SigIgn:", number), process)
        while process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        _, told = process.communicate(timeout=300)

    assert process.returncode == 0
    (line,) = told.splitlines()
    assert line.startswith(b"40 done in out")


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe that takes no more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, bytes(fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)))
    os.set_blocking(writing, True)
    return reading, writing


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_two_signals_end_a_run_whose_output_nobody_reads(
    tmp_path: Path, stream: str, jobs: str
) -> None:
    plant(tmp_path, *(f"photos/{one:03}.jpg" for one in range(300)))
    reading, writing = full_pipe()
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams[stream] = writing
    words = (*COMMAND, *WORDS[:-1], jobs, "-v", "--report", "-")

    try:
        with begun(*words, cwd=tmp_path, **streams) as process:
            wait_until(lambda: list(tmp_path.glob("out/*.jpg")), process)
            send(process, signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == -signal.SIGTERM
            assert alive_after(process.pid) == []
    finally:
        os.close(reading)
        os.close(writing)
