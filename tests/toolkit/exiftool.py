"""exiftool, started once in each process of the tests: most calls take less time than its start."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

from toolkit import programs

# exiftool itself would wait for ever; cat ends with the tests, even if they are killed.
_UNTIL_THE_END: Final = r'{ cat; printf "%s\n" -stay_open False; } | "$0" -stay_open True -@ -'


class _Exiftool:
    """One that stays open, in UTC; it takes the words of each call line by line."""

    def __init__(self) -> None:
        # It writes there while its output is read.
        self._said = tempfile.TemporaryFile()
        self._numbers = count(1)
        self._process = subprocess.Popen(
            [programs.path_of("sh"), "-c", _UNTIL_THE_END, programs.path_of("exiftool")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            # A relative path would mean something else here than in the tests.
            cwd="/",
            env={**os.environ, "TZ": "UTC"},
        )
        atexit.register(self._close, os.getpid())

    def run(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        assert not any(word.startswith((" ", "#")) or "\n" in word for word in words), words
        assert self._process.stdin
        assert self._process.stdout
        number = next(self._numbers)
        self._said.seek(0)
        self._said.truncate()
        lines = [*words, "-echo4", "${status}", f"-execute{number}", ""]
        self._process.stdin.write(os.fsencode("\n".join(lines)))
        self._process.stdin.flush()
        out, end = b"", b"{ready%d}\n" % number
        while not out.endswith(end):
            line = self._process.stdout.readline()
            assert line, f"exiftool ended: {words}"
            out += line
        self._said.seek(0)
        said, _, status = self._said.read().rstrip(b"\n").rpartition(b"\n")
        return subprocess.CompletedProcess(words, int(status), out.removesuffix(end), said)

    def _close(self, owner: int) -> None:
        if os.getpid() == owner:
            self._process.communicate()
            self._said.close()


@functools.cache
def _in(_pid: int) -> _Exiftool:
    return _Exiftool()


def exiftool(*words: str | Path, check: bool = True) -> bytes:
    """What `exiftool WORDS` prints; paths are absolute.

    Raises CalledProcessError if it fails, unless `check` is false.
    """
    done = _in(os.getpid()).run([str(word) for word in words])
    if check:
        done.check_returncode()
    return done.stdout
