"""Whose a file is: what is remembered of a target against what stands there."""

from __future__ import annotations

import os
from collections.abc import Callable

from imgbatch.model import FileState, Made, Source


def is_ours(made: Made, state: FileState) -> bool:
    """Whether a file in this state is what was made, and nobody changed it since.

    One that is empty was emptied by a power cut, and holds nothing that could be lost. The same
    cut can leave one shorter than it was, and all else as it was: a program that shortens it may
    keep its time, but cannot keep its ctime. Where only what a copy changes, too, is different,
    the bytes have to decide.
    """
    if state.size == 0 or state.equals(made.state):
        return True
    if made.size is not None and 0 < state.size < made.size and made.ctime_ns:
        return state._replace(size=made.size) == made.state
    return state.resembles(made.state) and made.hash is not None


def is_whole(made: Made, state: FileState | None) -> bool:
    """Whether a file is up to date, if its source and recipe are.

    The time of a copy does not matter; but a run that did not end may have remade it.
    """
    if state is None or state.size != made.size:
        return False
    return made.next_recipe is None or state.resembles(made.state)


def is_from(made: Made, source: Source, absolute: bytes) -> bool:
    """Whether a target was, or was to be, made from this source, whose path is `absolute`.

    One that is not where it was may have been moved here, if size and time are the same;
    another that is still there is another, even then.
    """
    recorded = made.source or made.next_source or b""
    if recorded == absolute:
        return True
    if not os.path.lexists(recorded):
        return (made.source_size, made.source_mtime_ns) == (source.size, source.mtime_ns)
    try:
        return os.path.samefile(recorded, os.fsencode(source.path))
    except (OSError, ValueError):
        return False


def identity(path: str) -> tuple[int, int] | None:
    """The device and the inode of a file, which links share; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def absolute_paths() -> Callable[[Source], bytes]:
    """A function that gives the absolute path of a source, as the system has it."""
    roots: dict[str, str] = {}

    def absolute(source: Source) -> bytes:
        root = roots.get(source.root)
        if root is None:
            root = roots[source.root] = os.path.join(os.path.abspath(source.root), "")
        return os.fsencode(root + source.relative)

    return absolute
