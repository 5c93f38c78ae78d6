"""The command line as its users run it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn
from unittest.mock import patch

from imgbatch.cli.commands import run_command
from imgbatch.running.batch import Batch
from toolkit import ROOT, forked

COMMAND: Final = (sys.executable, "-m", "imgbatch")
Word = str | bytes | Path
Completed = subprocess.CompletedProcess[bytes]
CompletedText = subprocess.CompletedProcess[str]


def imgbatch(
    *words: Word,
    cwd: Path,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
) -> Completed:
    """Run the command and check that it prints no traceback."""
    forkable = sys.platform == "linux" and env is None and not before
    run = forked.run([os.fsencode(word) for word in words], cwd, stdin, 300) if forkable else None
    run = run or subprocess.run(
        [*before, *COMMAND, *words],
        cwd=cwd,
        input=stdin,
        env=env,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert b"Traceback" not in run.stderr, run.stderr.decode()
    return run


def imgbatch_here(*words: Word, cwd: Path, stdin: bytes = b"") -> Completed:
    """Run the command in this process, ten times as fast: for output before any work begins.

    Nothing that it raises is caught.
    """

    def results(*words: object, **more: object) -> NoReturn:
        raise AssertionError("what makes pictures needs a process of its own")

    arguments = [os.fsdecode(word) for word in words]
    before = sys.stdin, sys.stdout, sys.stderr
    given, out, error = io.BytesIO(stdin), io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(one, "utf-8", write_through=True) for one in (given, out, error)]
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        with contextlib.chdir(cwd), patch.object(Batch, "results", results):
            code = run_command(arguments)
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        said, complained = out.getvalue(), error.getvalue()
        for stream in streams:
            stream.close()
    return Completed(arguments, code, said, complained)


def imgbatch_text(*words: Word, cwd: Path) -> CompletedText:
    """The same, with its output as text."""
    run = imgbatch(*words, cwd=cwd)
    return CompletedText(run.args, run.returncode, run.stdout.decode(), run.stderr.decode())


def tool(*words: Word, env: Mapping[str, str] | None = None) -> CompletedText:
    """Run `python -m WORDS` with the packages below scripts/, as `scripts/tool` does."""
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env=tool_environment(env),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def tool_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("scripts", "tests", "."))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONUTF8": "1", **(more or {})}
