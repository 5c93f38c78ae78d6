"""A folder of photos, and the rows of its report."""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Any, Final

from toolkit.folders import SMALL
from toolkit.pictures import saved, scene

ONE: Final = ("--jobs", "1")


@functools.cache
def large() -> bytes:
    """A JPEG of 2500 x 1000 pixels, which takes a while to resize."""
    return saved(scene(2500, 1000), "JPEG")


def rows(text: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """A report's rows by source, and its summary."""
    header, *lines, last = map(json.loads, text.splitlines())
    assert header["header"]["schema"] == 1
    found = [line for line in lines if "source" in line]
    rows = {line["source"]: line for line in found}
    assert len(found) == len(rows), "a source has two rows"
    return rows, last["summary"]


_PROGRESS: Final = re.compile(rb"\d+ of \d+ images?, [\d.]+ (?:images/s|s/image), \d+ failed")


def told(stderr: bytes) -> list[bytes]:
    """The lines of a run, without those of its progress: on a slow machine there are some."""
    return [line for line in stderr.splitlines() if not _PROGRESS.fullmatch(line)]


AWKWARD: Final = (
    b"plain.jpg",
    b"two\nlines.jpg",
    b"\"quoted\" 'twice'.jpg",
    b"-dash.jpg",
    b"--report.jpg",
    "🏔 été.jpg".encode(),
    b"latin-\xe9\xff.jpg",
    b" spaces .jpg",
    b"back\\slash\t{stem}%d.jpg",
    b"$(touch x);*?.jpg",
    b"L" * 251 + b".jpg",
)


def awkward_folder(tmp_path: Path) -> bytes:
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    for name in AWKWARD:
        with open(folder + b"/" + name, "wb") as file:
            file.write(SMALL)
    return folder
