"""External programs, each asked once what it is: a name on the PATH proves nothing.

The genuine one may come after another of its name, so the whole PATH is searched, and callers use
the path that is found here. This module needs only the standard library, because it also reports
what a machine lacks before anything is set up:

    programs.py            a line for each program: where it is, or what is wrong
    programs.py --lacking  the Debian packages of those that are missing
"""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

PATIENCE_SECONDS: Final = 10.0
"""How long a program may take to say what it is; a busy machine is slow."""


class LackingError(Exception):
    """No genuine program was found. The message says what was found, and which package has it."""


@dataclass(frozen=True)
class Program:
    """What a program is called, how to ask it what it is, and what the genuine one answers.

    `answer` is a regular expression that is searched for in everything it prints, line by line.
    `commands` are the names to look for, the best first, where `name` is not the only one. Without
    a `package` it cannot simply be installed: what needs it is left out where it is lacking.
    """

    name: str
    package: str
    question: tuple[str, ...]
    answer: str
    commands: tuple[str, ...] = ()

    @property
    def called(self) -> tuple[str, ...]:
        """The names of its command."""
        return self.commands or (self.name,)

    def find(self, path: str | None = None, patience: float = PATIENCE_SECONDS) -> str:
        """The full path of the genuine program on a PATH; raises LackingError if there is none."""
        found = []
        for candidate in self._candidates(os.environ.get("PATH", "") if path is None else path):
            problem = self._problem_of(candidate, patience)
            if problem is None:
                return candidate
            found.append(f"{candidate} {problem}")
        seen = "; ".join(found) or f"no {' or '.join(self.called)} on the PATH"
        package = f" (Debian: {self.package})" if self.package else ""
        raise LackingError(f"{self.name}{package} is lacking: {seen}")

    def _candidates(self, path: str) -> Iterator[str]:
        seen = set()
        for command in self.called:
            # Programs in the working folder are not used.
            for folder in filter(os.path.isabs, path.split(os.pathsep)):
                candidate = os.path.join(folder, command)
                real = os.path.realpath(candidate)
                if os.path.isfile(real) and real not in seen:
                    seen.add(real)
                    yield candidate

    def _problem_of(self, candidate: str, patience: float) -> str | None:
        """What shows that this is not the program; None if it is."""
        if not os.access(candidate, os.X_OK):
            return "is not executable"
        try:
            code, answer = _answer(candidate, self.question, patience)
        except subprocess.TimeoutExpired:
            return f"did not answer within {patience:g} s"
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        if code == 0 and re.search(self.answer, answer, re.MULTILINE):
            return None
        said = answer.strip().partition("\n")[0][:60]
        return f"ended with code {code} and said {said!r}, so it is another program"


def _answer(command: str, question: tuple[str, ...], patience: float) -> tuple[int, str]:
    """The exit code of a program, and what it prints on both streams."""
    # A file: a child that the program started and left behind would keep a pipe open.
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [command, *question],
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            # In English.
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        try:
            code = process.wait(patience)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        told.seek(0)
        return code, told.read(100_000).decode(errors="replace")


NEEDED: Final = {
    program.name: program
    for program in (
        # Version 7 is called magick, and accepts the arguments of version 6's convert.
        Program(
            *("imagemagick", "imagemagick"),
            *(("-version",), r"^Version: ImageMagick "),
            commands=("magick", "convert"),
        ),
        Program("avifdec", "libavif-bin", ("--version",), r"^Version: \d.*(aom|dav1d)"),
        Program("bash", "bash", ("--version",), r"^GNU bash, version \d"),
        Program(
            *("djpeg", "libjpeg-turbo-progs"),
            *(("-version",), r"^libjpeg-turbo version \d"),
        ),
        # The first version that builds the native decoder (imgbatch/native/Cargo.toml). Debian's
        # is older.
        Program("cargo", "", ("--version",), r"^cargo 1\.(89|9\d|\d{3})\."),
        Program("djxl", "libjxl-tools", ("--version",), r"^djxl v\d"),
        Program("exiftool", "libimage-exiftool-perl", ("-ver",), r"^\d+\.\d+$"),
        Program("fish", "fish", ("--version",), r"^fish, version \d"),
        Program("gifsicle", "gifsicle", ("--version",), r"^LCDF Gifsicle "),
        Program("groff", "groff", ("--version",), r"^GNU groff version \d"),
        # Newer versions call it heif-dec.
        Program(
            *("heif-convert", "libheif-examples"),
            *(("--help",), r"^ heif-\w+  libheif version: \d"),
            commands=("heif-convert", "heif-dec"),
        ),
        Program(
            *("jpegtran", "libjpeg-turbo-progs"),
            *(("-version",), r"^libjpeg-turbo version \d"),
        ),
        Program("mount", "mount", ("--version",), r"^mount from util-linux "),
        Program("setpriv", "util-linux", ("--version",), r"^setpriv from util-linux "),
        Program("sh", "dash", ("-c", "echo $((6 * 7))"), r"^42$"),
        Program("strace", "strace", ("-V",), r"^strace -- version "),
        Program("tiffinfo", "libtiff-tools", ("-h",), r"^LIBTIFF, Version \d"),
        Program("tificc", "liblcms2-utils", (), r"^Little ?CMS ICC profile applier for TIFF "),
        Program("umount", "mount", ("--version",), r"^umount from util-linux "),
        Program("unshare", "util-linux", ("--version",), r"^unshare from util-linux "),
        Program("webpmux", "webp", ("-version",), r"^\d+\.\d+\.\d+$"),
        Program("zsh", "zsh", ("--version",), r"^zsh \d"),
    )
}
"""Programs that tests call in addition to this project's own command."""


@functools.cache
def _sought(name: str) -> str | LackingError:
    try:
        return NEEDED[name].find()
    except LackingError as error:
        return error


def path_of(name: str) -> str:
    """The full path of a required program, which is asked once; raises LackingError without it."""
    found = _sought(name)
    if isinstance(found, LackingError):
        raise found
    return found


def why_lacking(name: str) -> str | None:
    """What was found instead of a required program; None if it is here."""
    found = _sought(name)
    return str(found) if isinstance(found, LackingError) else None


def may_be_lacking(name: str) -> bool:
    """Whether a required program is lacking, and cannot simply be installed."""
    return not NEEDED[name].package and why_lacking(name) is not None


def main(words: list[str]) -> int:
    """Print where the required programs are, or the packages of those that are missing."""
    found = {program: _sought(name) for name, program in NEEDED.items()}
    without = [
        program
        for program, path in found.items()
        if isinstance(path, LackingError) and program.package
    ]
    if words == ["--lacking"]:
        print(*sorted({program.package for program in without}))
        return 0
    for program, path in found.items():
        print(path if isinstance(path, LackingError) else f"{program.name}: {path}")
    return 1 if without else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
