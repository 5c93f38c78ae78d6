"""`--wait`: another run has the output folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import COMMAND, imgbatch_here
from toolkit.folders import plant

from imgbatch.store.journal import Journal

WORDS: Final = ("resize", "in", "-o", "out", "--no-config")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return plant(tmp_path, "in/a.jpg")


@contextmanager
def held(output: Path) -> Iterator[Journal]:
    """The lock on an output folder, which this process has."""
    journal = Journal.open(str(output))
    journal.begin("0123456789abcdef", [])
    try:
        yield journal
    finally:
        journal.finish()


@contextmanager
def waiting(
    place: Path, *words: str, usual: tuple[str, ...] = WORDS, seconds: int = 300
) -> Iterator[subprocess.Popen[str]]:
    """A command that has said that it waits."""
    with subprocess.Popen(
        [*COMMAND, *usual, *words], cwd=place, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(f"imgbatch: waiting up to {seconds} s: another run (process ")
        assert f"(process {os.getpid()}) is writing into out" in said
        yield process


def test_command_waits_and_goes_on_when_the_other_run_ends(place: Path) -> None:
    with held(place / "out") as journal, waiting(place, "--wait", "5m") as process:
        journal.finish()
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert said.startswith("1 done in out")
    assert (place / "out/a.jpg").is_file()


@pytest.mark.skipif(os.name != "posix", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_waiting_is_in_report_and_log(place: Path, number: int) -> None:
    words = ("--wait", "300", "--report", "r.jsonl", "--log", "log")
    with held(place / "out"), waiting(place, *words) as process:
        time.sleep(1)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode == -number
    assert not said
    summary = json.loads((place / "r.jsonl").read_text().splitlines()[-1])["summary"]
    assert (summary["exit_code"], summary["error"]["kind"]) == (128 + number, "interrupted")
    assert (place / "log").read_text().endswith(" WARNING ended by a signal\n")


@pytest.mark.skipif(os.name != "posix", reason="there are no such signals")
def test_ctrl_c_ends_the_waiting_at_once(place: Path) -> None:
    with held(place / "out"), waiting(place, "--wait", "300") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert not (place / "out/a.jpg").exists()


def test_waiting_ends_as_without_it(place: Path) -> None:
    with held(place / "out"):
        plain = imgbatch_here(*WORDS, cwd=place)
        waited = imgbatch_here(*WORDS, "--wait", "0.1", cwd=place)
        quiet = imgbatch_here(*WORDS, "--wait", "0.1", "--quiet", cwd=place)
    assert plain.returncode == waited.returncode == quiet.returncode == 2
    assert b"is writing into out: wait until it has finished (--wait 10m does)" in plain.stderr
    assert waited.stderr.splitlines()[1:] == quiet.stderr.splitlines() == plain.stderr.splitlines()
    assert waited.stderr.count(b"waiting up to 0.1 s") == 1


def test_run_in_place_waits_for_one_below(place: Path) -> None:
    plant(place / "in", "sub/b.jpg")
    words = ["resize", "in", "--in-place", "--no-backup", "--wait", "0.1"]
    with held(place / "in/sub"):
        run = imgbatch_here(*words, cwd=place)
    assert run.returncode == 2
    first, last = run.stderr.decode().splitlines()
    assert "waiting up to 0.1 s: another run" in first
    assert f"is active in {place}/in/sub" in last


def test_run_in_place_that_waits_writes_one_report(place: Path) -> None:
    plant(place / "in", "sub/b.jpg")
    words = ["resize", "in", "--in-place", "--no-backup", "--wait", "0.5", "--report", "r.jsonl"]
    with held(place / "in/sub"):
        run = imgbatch_here(*words, cwd=place)
    assert run.returncode == 2
    header, summary = map(json.loads, (place / "r.jsonl").read_text().splitlines())
    assert header["header"]["recipe"]
    assert "is active in" in summary["summary"]["error"]["message"]


@pytest.mark.parametrize("output", ["out/a.jpg", "out"])
def test_run_of_a_single_file_waits_unasked(place: Path, output: str) -> None:
    usual = ("resize", "in/a.jpg", "--no-config", "-o", output)
    with held(place / "out") as journal, waiting(place, usual=usual, seconds=60) as process:
        journal.finish()
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert (place / "out/a.jpg").is_file()


def test_single_files_in_parallel_take_turns(place: Path) -> None:
    names = [f"{number}.jpg" for number in range(6)]
    plant(place, *(f"in/{name}" for name in names))
    commands = [
        subprocess.Popen(
            [*COMMAND, "resize", f"in/{name}", "-o", f"out/{name}"],
            cwd=place,
            stderr=subprocess.PIPE,
        )
        for name in names
    ]
    ended = [(command.communicate()[1], command.returncode) for command in commands]
    assert [code for _, code in ended] == [0] * len(names), ended
    assert all((place / "out" / name).is_file() for name in names)


@pytest.mark.parametrize("word", ["0", "-1", "soon", ""])
def test_time_that_makes_no_sense_is_refused(place: Path, word: str) -> None:
    run = imgbatch_here(*WORDS, f"--wait={word}", cwd=place)
    assert run.returncode == 2
    assert b"wait" in run.stderr
    assert b"expected" in run.stderr
