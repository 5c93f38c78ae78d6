"""Signals: the first lets files in progress finish, the second stops at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import COMMAND
from toolkit.folders import plant, tree
from toolkit.pictures import opened
from toolkit.pool_tasks import still_alive
from toolkit.reports import large, rows

SLOW: Final = (
    "resize",
    "photos",
    "-s",
    "1200",
    "-f",
    "png",
    "-o",
    "out",
    "--report",
    "report.jsonl",
)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a long run in its own session; return once its first file exists."""
    photos = plant(tmp_path / "photos", "000.jpg", data=large())
    for number in range(1, 80):
        os.link(photos / "000.jpg", photos / f"{number:03}.jpg")
    begun: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *SLOW, *words], cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
        )
        begun.append(process)
        patience = time.monotonic() + 300
        while not list(tmp_path.glob("out/*.png")):
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.01)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_lets_files_in_progress_finish(
    tmp_path: Path,
    begin: Callable[..., subprocess.Popen[bytes]],
    number: signal.Signals,
    jobs: str,
) -> None:
    run = begin("--jobs", jobs)

    # A terminal signals the whole foreground process group, a supervisor only the process it knows.
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    _, said = run.communicate(timeout=300)

    assert run.returncode == -number
    by_source, summary = rows((tmp_path / "report.jsonl").read_bytes())
    made = tree(tmp_path / "out")
    assert all(opened(data).size == (1200, 480) for data in made.values())
    assert set(made) == {f"{Path(source).stem}.png" for source in by_source}
    assert 0 < len(made) == summary["done"] < 80
    assert summary["exit_code"] == 128 + number
    assert f"{len(made)} done in out" in said.decode()
    assert f"interrupted: {80 - len(made)} not done" in said.decode()
    assert b"Traceback" not in said
    assert still_alive(run.pid) == []


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_second_signal_stops_at_once_and_leaves_only_whole_files(
    tmp_path: Path, begin: Callable[..., subprocess.Popen[bytes]], jobs: str
) -> None:
    run = begin("--jobs", jobs)
    assert run.stderr is not None

    os.killpg(run.pid, signal.SIGINT)
    first = run.stderr.readline()
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=300)

    assert b"interrupt again to stop at once" in first
    assert run.returncode == -signal.SIGINT
    assert b"interrupted: " in said
    assert b"Traceback" not in said
    made = tree(tmp_path / "out")
    assert all(name.endswith(".png") for name in made)
    assert all(opened(data).size == (1200, 480) for data in made.values())
    assert len(made) < 80
    assert still_alive(run.pid) == []
