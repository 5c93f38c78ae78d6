"""The command line as its users run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pictures import saved, scene

COMMAND: Final = (sys.executable, "-m", "imgbatch")
SMALL: Final = saved(scene(60, 40), "JPEG")
Word = str | bytes | Path
Completed = subprocess.CompletedProcess[bytes]
Told = subprocess.CompletedProcess[str]


def imgbatch(
    *words: Word,
    cwd: Path,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
) -> Completed:
    """Run the command; whatever it says is no traceback."""
    run = subprocess.run(
        [*before, *COMMAND, *words],
        cwd=cwd,
        input=stdin,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in run.stderr, run.stderr.decode()
    return run


def told(*words: Word, cwd: Path) -> Told:
    """The same, with what it says as text."""
    run = imgbatch(*words, cwd=cwd)
    return Told(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


def plant(folder: Path, *names: str, data: bytes = SMALL) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder
