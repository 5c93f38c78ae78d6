"""What the command prints, also where nobody is listening."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
from pathlib import Path
from typing import Final

import pytest
from toolkit import programs
from toolkit.commands import COMMAND, imgbatch
from toolkit.folders import plant, tree
from toolkit.pictures import opened, saved, scene
from toolkit.reports import AWKWARD, ONE, awkward_folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closing", "jobs"),
    [("2>&-", "1"), ("2>&-", "2"), (">&-", "2"), ("<&-", "2"), ("<&- >&- 2>&-", "2")],
)
def test_closed_streams_are_not_an_error(tmp_path: Path, closing: str, jobs: str) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg")
    closed = ("sh", "-c", f'exec "$@" {closing}', "sh")

    run = imgbatch(
        *("resize", "photos", "-s", "30", "-v", "--report", "-", "--jobs", jobs),
        cwd=tmp_path,
        before=closed,
    )

    assert run.returncode == 0
    made = tree(tmp_path / "photos-resized")
    assert {name: opened(data).size for name, data in made.items()} == {
        "a.jpg": (30, 20),
        "b.jpg": (30, 20),
    }


@pytest.mark.slow
@pytest.mark.external("sh")
@pytest.mark.parametrize("words", ["formats", "resize photos --report - -j 1"])
def test_unwritable_output_is_an_error_without_traceback(tmp_path: Path, words: str) -> None:
    plant(tmp_path, "photos/a.jpg")
    full = (programs.path_of("sh"), "-c", 'exec "$@" >/dev/full', "sh")

    run = imgbatch(*words.split(), cwd=tmp_path, before=full)

    assert run.returncode == 1
    assert b"No space left on device" in run.stderr


@pytest.mark.slow
def test_empty_environment_is_enough(tmp_path: Path) -> None:
    awkward_folder(tmp_path)

    run = imgbatch("resize", "photos", "-o", "out", "--jobs", "2", "-v", cwd=tmp_path, env={})

    assert run.returncode == 0
    assert set(os.listdir(os.fsencode(tmp_path / "out"))) == {*AWKWARD, b".imgbatch"}


@pytest.mark.slow
def test_no_bar_without_a_terminal(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg")

    (line,) = imgbatch("resize", "photos", *ONE, cwd=tmp_path).stderr.splitlines()

    assert line.startswith(b"1 done in photos-resized")


@pytest.mark.slow
def test_quiet_prints_only_failures(tmp_path: Path, photos: Path) -> None:
    failing = imgbatch("resize", "photos", "--quiet", "-o", "one", *ONE, cwd=tmp_path)
    (photos / "broken.jpg").unlink()
    working = imgbatch("resize", "photos", "--quiet", "-o", "two", *ONE, cwd=tmp_path)

    assert (working.returncode, working.stdout, working.stderr) == (0, b"", b"")
    assert (failing.returncode, failing.stdout) == (1, b"")
    (line,) = failing.stderr.splitlines()
    assert line.startswith(b"failed: photos/broken.jpg: ")


@pytest.mark.slow
def test_verbose_prints_a_line_per_file(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "-v", *ONE, cwd=tmp_path)

    lines = run.stderr.decode().splitlines()
    beginnings = (
        "photos/broken.jpg failed: ",
        "photos/large.jpg -> photos-resized/large.jpg (30 x 12, ",
        "photos/sub/small.png -> photos-resized/sub/small.png (30 x 20, ",
        "2 done, 1 failed in photos-resized",
        "failed: photos/broken.jpg: ",
    )
    assert sorted(sum(line.startswith(one) for line in lines) for one in beginnings) == [1] * 5
    assert len(lines) == 5


RED: Final = b"\x1b[31m"


def _on_terminal(cwd: Path, *words: str, **env: str) -> bytes:
    """What a terminal of 24 rows and 100 columns receives."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(
        [*COMMAND, *words], cwd=cwd, stdout=theirs, stderr=theirs, env={**clean, **env}
    ) as run:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 300)[0]:
            try:
                seen += os.read(ours, 65_536)
            except OSError:
                # EIO is how a pty reports that its other end is closed.
                break
        os.close(ours)
        run.wait(300)
    return seen


@pytest.mark.slow
@pytest.mark.terminal
@pytest.mark.parametrize("no_color", [False, True])
def test_terminal_gets_bar_and_red_failures_unless_colour_is_disabled(
    tmp_path: Path, no_color: bool
) -> None:
    picture = saved(scene(900, 600), "JPEG", quality=95)
    plant(tmp_path, *(f"photos/{number:02}.jpg" for number in range(8)), data=picture)
    # The largest files go first, so the failure is known when the bar is drawn.
    plant(tmp_path, "photos/broken.jpg", data=b"nothing" + picture)

    env = {"NO_COLOR": "1"} if no_color else {}
    seen = _on_terminal(tmp_path, "convert", "photos", "-f", "png", *ONE, **env)

    assert b"%" in seen
    assert b"/9 " in seen
    assert b"\r" in seen
    assert b"1 failed" in seen
    assert (RED in seen) is not no_color
    assert b"8 done, 1 failed in photos-converted" in seen


@pytest.mark.slow
@pytest.mark.terminal
def test_quiet_run_shows_no_bar_on_a_terminal(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg")

    assert _on_terminal(tmp_path, "resize", "photos", "--quiet", *ONE) == b""
