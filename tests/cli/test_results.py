"""The summary tells what was done, which warnings there were, and what failed with its remedy."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from toolkit.commands import COMMAND, imgbatch_here, imgbatch_text
from toolkit.folders import SMALL, plant

from imgbatch.cli.results import rate, short


def test_second_run_is_up_to_date(tmp_path: Path) -> None:
    plant(tmp_path, "s/a.jpg", "s/b.jpg")
    words = ("resize", "s", "-s", "20")
    imgbatch_text(*words, cwd=tmp_path)

    assert imgbatch_text(*words, cwd=tmp_path).stderr == "2 up to date in s-resized\n"


def test_warnings_are_told_by_kind_with_the_first_file(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for name in "abc":
        Image.new("RGBA", (8, 8)).save(tmp_path / f"s/{name}.png")
    run = imgbatch_text("convert", "s", "-f", "jpeg", "-j", "1", cwd=tmp_path)

    first, second = run.stderr.splitlines()
    assert first.startswith("3 done, 3 warnings in s-converted")
    assert second.startswith("warning: 3 × alpha-flattened: first s/a.png: ")


def test_each_failure_has_a_line_with_its_remedy(tmp_path: Path) -> None:
    plant(tmp_path, "s/a.jpg", "s/b.jpg", data=SMALL[:-100])
    run = imgbatch_text("resize", tmp_path / "s", "-s", "20", "-o", "out", cwd=tmp_path)

    first, *failures = run.stderr.splitlines()
    assert first == "0 done, 2 failed in out"
    assert sorted(line.split(": ")[1] for line in failures) == ["s/a.jpg", "s/b.jpg"]
    assert all(line.endswith("(--salvage keeps the part that is there)") for line in failures)


def test_dry_run_ends_with_totals(tmp_path: Path) -> None:
    plant(tmp_path, "s/a.jpg", "s/b.jpg", "s/c.jpg")
    imgbatch_text("resize", "s", "-s", "20", "--exclude", "[bc].jpg", "-o", "out", cwd=tmp_path)
    plant(tmp_path, "out/c.jpg", data=b"somebody's")
    run = imgbatch_here("resize", "s", "-s", "20", "-n", "-o", "out", cwd=tmp_path)

    said = run.stderr.decode().splitlines()
    assert said[0] == "3 files: 1 to do, 1 up to date, 1 refused (dry run: nothing was written)"
    assert b"3 files" not in run.stdout


@pytest.mark.parametrize(
    ("number", "seconds", "shown"),
    [
        (20, 2.0, "10.0 images/s"),
        (2, 2.0, "1.0 images/s"),
        (2, 5.0, "2.5 s/image"),
        (0, 5.0, "0 images/s"),
    ],
)
def test_slow_runs_are_told_in_seconds_an_image(number: int, seconds: float, shown: str) -> None:
    assert rate(number, seconds) == shown


def test_paths_below_the_working_folder_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert short(str(tmp_path / "s/a.jpg")) == "s/a.jpg"
    assert short("s/a.jpg") == "s/a.jpg"
    assert short("/elsewhere/a.jpg") == "/elsewhere/a.jpg"


@pytest.mark.parametrize("no_colour", [False, True])
def test_failures_are_red_on_a_terminal_unless_refused(tmp_path: Path, no_colour: bool) -> None:
    plant(tmp_path, "s/a.jpg", data=SMALL[:-100])
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal: {error}")
    env = {**os.environ, "TERM": "xterm"} | ({"NO_COLOR": "1"} if no_colour else {})
    words = (*COMMAND, "resize", "s", "-s", "20")
    run = subprocess.run(words, cwd=tmp_path, stderr=theirs, env=env, check=False, timeout=300)
    os.close(theirs)
    said = b""
    while piece := _read(ours):
        said += piece
    os.close(ours)

    assert run.returncode == 1
    assert (b"\x1b[31mfailed: " in said) is not no_colour


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # The other end is closed.
        return b""
