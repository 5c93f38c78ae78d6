"""How the command ends: at once, but not before everything registered for that has run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from toolkit.folders import plant

REGISTERED: Final = """
import atexit, sys
atexit.register(print, "registered first")
atexit.register(print, "registered last")
from imgbatch.__main__ import command
sys.argv[:] = ["imgbatch", *{words!r}]
command()
"""

CODES: Final = [(("--version",), 0), (("resize",), 2), (("resize", "photos", "-o", "out"), 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code"), CODES, ids=["0", "2", "1"])
def test_what_was_registered_runs_after_the_output(
    tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    plant(tmp_path / "photos", "broken.jpg", data=b"\xff\xd8\xff")
    run = subprocess.run(
        [sys.executable, "-c", REGISTERED.format(words=words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert run.stdout.splitlines()[-2:] == ["registered last", "registered first"]
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_profiler_has_the_last_word() -> None:
    words = [sys.executable, "-m", "cProfile", "-m", "imgbatch", "--version"]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("imgbatch")
    assert "function calls" in run.stdout
