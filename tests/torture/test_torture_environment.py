"""Restricted systems: no temporary folder, few processes, no shared memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from toolkit import programs, reports
from toolkit.commands import COMMAND, imgbatch
from toolkit.folders import plant
from torture.ordeals import why_not_mount

ALONE: Final = b"imgbatch: no worker process can be started ("
PHOTOS: Final = tuple(f"photos/{number}.jpg" for number in range(6))
WORDS: Final = ("resize", "photos", "-o", "out", "-s", "20", "--jobs", "2", "--report", "report")


def made(folder: Path) -> int:
    """Check that there are this many pictures, each with its row in the report."""
    count = len(list(folder.glob("out/*.jpg")))
    assert (folder / "report").read_text().count('"status": "done"') == count
    return count


def limited(*options: str) -> Sequence[str]:
    """A shell that sets limits first."""
    return ("bash", "-c", f'ulimit {" ".join(options)} && exec "$@"', "bash")


@pytest.mark.parametrize("name", ["x" * 100, "gone", "a file"])
def test_unusable_temporary_folder(tmp_path: Path, name: str) -> None:
    plant(tmp_path, *PHOTOS)
    (tmp_path / "a file").touch()
    (tmp_path / ("x" * 100)).mkdir()

    run = imgbatch(*WORDS, cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path / name)})

    assert run.returncode == 0
    assert made(tmp_path) == 6
    # There are other ways to start workers.
    assert run.stderr.startswith(b"6 done in out")
    assert list((tmp_path / ("x" * 100)).iterdir()) == []


def test_temporary_files_removed_by_somebody_else(tmp_path: Path) -> None:
    plant(tmp_path, *PHOTOS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # After the run is over, and before the interpreter exits.
    code = (
        "import sys, shutil, pathlib\n"
        "from imgbatch import __main__\n"
        "from imgbatch.cli import commands\n"
        "done = commands.run_command\n"
        "def tidied():\n"
        "    code = done()\n"
        f"    for one in pathlib.Path({str(temporary)!r}).iterdir(): shutil.rmtree(one)\n"
        "    return code\n"
        "commands.run_command = tidied; __main__.main()"
    )

    run = subprocess.run(
        [sys.executable, "-c", code, *WORDS],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0
    assert len(reports.told(run.stderr)) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("files", [16, 20, 24, 30, 50])
def test_few_open_files(tmp_path: Path, files: int) -> None:
    plant(tmp_path, *PHOTOS)

    run = imgbatch(*WORDS, cwd=tmp_path, before=limited("-n", str(files)))

    assert run.returncode == 0
    assert made(tmp_path) == 6
    *told, summary = reports.told(run.stderr)
    assert all(line.startswith(ALONE) for line in told)
    assert len(told) <= 1
    assert summary.startswith(b"6 done in out")


SOMEBODY: Final = 54321


def as_somebody(folder: Path) -> Sequence[str]:
    """Run as the owner of the folder, since root is not limited; let it read this program."""
    if os.getuid() != 0:
        return ()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, SOMEBODY, -1)
    words = (
        *(programs.path_of("setpriv"), "--reuid", str(SOMEBODY), "--clear-groups"),
        *("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"),
    )
    if subprocess.run([*words, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("setpriv cannot start a program as another user here")
    return words


@pytest.mark.external("setpriv")
@pytest.mark.parametrize("processes", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16])
def test_few_processes(tmp_path: Path, processes: int) -> None:
    plant(tmp_path, *PHOTOS)
    before = (*as_somebody(tmp_path), *limited("-u", str(processes)))

    run = imgbatch(*WORDS, cwd=tmp_path, before=before)

    assert run.returncode == 0, run.stderr
    assert made(tmp_path) == 6
    *told, summary = reports.told(run.stderr)
    assert all(line.startswith(ALONE) for line in told)
    # As root, for another user: these are all that user has.
    assert len(told) == 1 or processes > 1 or os.getuid() != 0
    assert summary.startswith(b"6 done in out")


@pytest.mark.external("mount", "sh", "unshare")
@pytest.mark.parametrize("mount", ["/dev/shm -o ro", "/dev/shm -o size=4k", "/dev"])
def test_no_shared_memory(tmp_path: Path, mount: str) -> None:
    problem = why_not_mount(tmp_path / "probe")
    if problem:
        pytest.skip(problem)
    unshare, sh, mounting = map(programs.path_of, ("unshare", "sh", "mount"))
    # In a changed root that is no mount point it may not, though it may mount.
    apart = subprocess.run([unshare, "-m", sh, "-c", "true"], capture_output=True, check=False)
    if apart.returncode:
        pytest.skip(f"no mounts of its own here: {apart.stderr.decode(errors='replace').strip()}")
    plant(tmp_path, *PHOTOS)
    before = (unshare, "-m", sh, "-c", f'{mounting} -t tmpfs none {mount} && exec "$@"', "sh")

    run = imgbatch(*WORDS, cwd=tmp_path, before=before)

    assert run.returncode == 0
    assert made(tmp_path) == 6
    told, summary = reports.told(run.stderr)
    assert told.startswith(ALONE)
    assert summary.startswith(b"6 done in out")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("resize {}/photos -o {}/out --jobs 2", 0, "6 done in {}/out"),
        ("resize {}/photos --name {{parent}}-{{stem}}{{ext}}", 0, "6 done in {}/photos-resized"),
        ("resize photos -o {}/out", 2, "there is no file or folder 'photos'"),
        ("resize {}/photos -o out", 2, "cannot write into the output folder out"),
        ("resize . -s 20", 1, "the folder that this was started in no longer exists"),
        ("formats", 0, ""),
    ],
)
def test_deleted_working_directory(tmp_path: Path, words: str, code: int, said: str) -> None:
    plant(tmp_path, *PHOTOS)
    gone = tmp_path / "gone"
    gone.mkdir()

    run = subprocess.run(
        [
            "sh",
            "-c",
            'rmdir "$0" && exec "$@"',
            gone,
            *COMMAND,
            *words.format(*[tmp_path] * 2).split(),
        ],
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    assert said.format(tmp_path) in run.stderr


def test_fewer_workers_where_processes_are_limited(tmp_path: Path) -> None:
    plant(tmp_path, *(f"photos/{number}.jpg" for number in range(40)))

    run = imgbatch(*WORDS, "--jobs", "40", cwd=tmp_path, before=limited("-n", "60"))

    assert run.returncode == 0
    assert made(tmp_path) == 40
    assert len(reports.told(run.stderr)) == 1
