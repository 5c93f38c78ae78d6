"""`--log`: what is said, and each file's outcome, in a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import COMMAND, imgbatch, imgbatch_here
from toolkit.folders import plant

LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (INFO|WARNING|ERROR) (.*)")


def lines(path: Path) -> list[tuple[str, str]]:
    """The level and the text of each line, whose times must make sense."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        age = datetime.now(UTC) - datetime.fromisoformat(match[1])
        assert timedelta(0) <= age < timedelta(hours=1)
        found.append((match[2], match[3]))
    return found


def test_log_has_outcomes_messages_and_the_end(photos: Path) -> None:
    place = photos.parent
    words = ("resize", photos.name, "-o", "out", "-s", "64", "-j", "1", "--log", "logs/für/run.log")
    run = imgbatch(*words, cwd=place)
    log = place / "logs/für/run.log"
    found = lines(log)

    assert found[0][1].startswith("imgbatch ")
    assert "-s 64" in found[0][1]
    by_file = {text.split()[0]: level for level, text in found if text.startswith("photos/")}
    assert by_file == {
        "photos/broken.jpg": "ERROR",
        "photos/large.jpg": "INFO",
        "photos/sub/small.png": "INFO",
    }
    said = [text for _, text in found]
    for line in run.stderr.decode().splitlines():
        assert line in said
    assert found[-1] == ("INFO", "ended with exit code 1")

    again = imgbatch(*words, "--quiet", cwd=place)
    more = lines(log)
    assert more[: len(found)] == found
    assert ("INFO", "photos/large.jpg skipped: up to date") in more[len(found) :]
    assert any(text.startswith("2 up to date, 1 failed in out") for _, text in more[len(found) :])
    assert again.stderr.decode().count("\n") == 1


def test_log_has_what_is_pruned(tmp_path: Path) -> None:
    shoot = plant(tmp_path / "shoot", "a.jpg", "b.jpg")
    words = ("resize", "shoot", "-o", "out", "-s", "20", "-j", "1")
    assert imgbatch(*words, cwd=tmp_path).returncode == 0
    (shoot / "b.jpg").unlink()
    assert imgbatch(*words, "--prune", "--log", "run.log", cwd=tmp_path).returncode == 0

    assert not (tmp_path / "out/b.jpg").exists()
    (removed,) = (text for _, text in lines(tmp_path / "run.log") if " removed: " in text)
    assert removed.startswith("out/b.jpg removed: ")


def test_log_has_errors_of_usage_and_the_dry_run(tmp_path: Path) -> None:
    plant(tmp_path, "in/a.jpg")
    log = tmp_path / "run.log"
    log.write_text("somebody's line\n")
    imgbatch_here("resize", "in", "-n", "--log", "run.log", cwd=tmp_path)
    imgbatch_here("resize", "gone", "--log", "run.log", cwd=tmp_path)
    imgbatch_here("resize", "in", "-f", "wepb", "--log", "run.log", cwd=tmp_path)

    kept, text = log.read_text().split("\n", 1)
    assert kept == "somebody's line"
    assert "INFO 1 file: 1 to do (dry run: nothing was written)\n" in text
    assert re.search(r"ERROR imgbatch: .*gone", text)
    assert "ERROR imgbatch: unknown format 'wepb'" in text
    assert text.count("INFO ended with exit code 2\n") == 2
    assert text.count("INFO ended with exit code 0\n") == 1


def test_log_has_what_is_wrong_with_the_command_line_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "in/a.jpg")
    log = "--log=logs/run.log"
    imgbatch_here("resize", "in", "--sise", "9", log, cwd=tmp_path)
    imgbatch_here("resize", log, cwd=tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("IMGBATCH_JOBS", "many")
        imgbatch_here("resize", "in", log, cwd=tmp_path)
    both = ("--log", "other.log", "--report", "./other.log")
    imgbatch_here("resize", "--sise", *both, cwd=tmp_path)
    assert all(json.loads(line) for line in (tmp_path / "other.log").read_text().splitlines())
    (tmp_path / "other.log").unlink()
    imgbatch_here("formats", "--log", "other.log", cwd=tmp_path)
    imgbatch_here("resize", "--sise", "--", "--log", "other.log", cwd=tmp_path)

    found = lines(tmp_path / "logs/run.log")
    assert [level for level, _ in found] == ["INFO", "ERROR", "INFO"] * 3
    said = [text for _, text in found]
    assert "No such option '--sise': did you mean --size?" in said[1]
    assert "Missing argument" in said[4]
    assert said[7] == "imgbatch: IMGBATCH_JOBS: found 'many', expected a whole number"
    assert said[2::3] == ["ended with exit code 2"] * 3
    assert not (tmp_path / "other.log").exists()


def test_names_cannot_forge_lines(tmp_path: Path) -> None:
    name = b"a\n2026-01-01T00:00:00.000Z INFO b\xff.jpg"
    plant(tmp_path, "in/x.jpg")
    os.rename(tmp_path / "in/x.jpg", os.path.join(os.fsencode(tmp_path / "in"), name))
    imgbatch("resize", "in", "-s", "9", "--log", "run.log", cwd=tmp_path)
    assert len([text for _, text in lines(tmp_path / "run.log") if "in/a" in text]) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "cannot write the log folder: found a folder, expected a file"),
        ("pipe", "cannot write the log pipe: found a pipe, expected a file"),
        ("in/a.jpg", "--log in/a.jpg names a picture"),
        ("picture", "--log picture is not a text file"),
        ("binary", "--log binary is not a text file"),
        (".imgbatch/x.log", "in a folder where imgbatch keeps its journal"),
        ("in/a.jpg/x.log", "cannot write the log in/a.jpg/x.log: "),
        ("-", "--log needs a file"),
        ("", "found nothing, expected a value"),
    ],
)
def test_what_is_no_log_is_refused_and_left_alone(tmp_path: Path, name: str, message: str) -> None:
    plant(tmp_path, "in/a.jpg")
    (tmp_path / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    (tmp_path / "picture").write_bytes((tmp_path / "in/a.jpg").read_bytes())
    (tmp_path / "binary").write_bytes(b"text\0")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    run = imgbatch_here("resize", "in", "--log", name, cwd=tmp_path)

    assert run.returncode == 2
    assert message in run.stderr.decode()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


_LIMITED: Final = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no such limits")
def test_log_that_cannot_grow_costs_a_notice_and_nothing_else(tmp_path: Path) -> None:
    plant(tmp_path, "in/a.jpg")
    (tmp_path / "run.log").write_bytes(b"x" * 999_990)
    words = [*COMMAND, "resize", "in", "-s", "9", "--log", "run.log"]
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert run.stderr.count("imgbatch: the log run.log is incomplete: File too large") == 1
    assert "1 done in in-resized" in run.stderr
