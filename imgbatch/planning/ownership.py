"""Whose a file is: what is remembered about a target, compared with the file there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from imgbatch.model import FileState, Made, Source
from imgbatch.store.recorded import IN_PLACE_MARK

FROM_STREAM: Final = b"-"
"""Stands for the path of what comes from a stream."""


def is_ours(made: Made, state: FileState) -> bool:
    """Whether a file in this state is what was made, and has not been changed since.

    An empty one was emptied by a power cut, and holds nothing that could be lost. A power cut can
    also leave a file shorter and otherwise as it was: a program that shortens it may preserve its
    time, but not its ctime. Where nothing differs but what a copy changes, too, the bytes have to
    decide.
    """
    if state.size == 0 or state.equals(made.state):
        return True
    if made.size is not None and 0 < state.size < made.size and made.ctime_ns:
        return state._replace(size=made.size) == made.state
    return state.resembles(made.state) and made.hash is not None


def is_whole(made: Made, state: FileState | None) -> bool:
    """Whether a file is up to date, provided that its source and recipe are.

    A copy's times do not matter; but a run that did not end may have remade it.
    """
    if state is None or state.size != made.size:
        return False
    return made.next_recipe is None or state.resembles(made.state)


def is_from(made: Made, source: Source, absolute: bytes) -> bool:
    """Whether a target was, or was to be, made from this source, whose path is `absolute`.

    A source that is no longer at its old path may have been moved here, if size and time agree;
    if there is still a file at the old path, this is another one, even then.
    """
    recorded = made.source or made.next_source or b""
    if recorded == absolute:
        return True
    if not os.path.lexists(recorded):
        return (made.source_size, made.source_mtime_ns) == (source.size, source.mtime_ns)
    try:
        return os.path.samefile(recorded, os.fsencode(source.file))
    except (OSError, ValueError):
        return False


def may_be_in_place(folder: str) -> bool:
    """Whether pictures below a folder were changed in place, and so are originals."""
    return os.path.exists(os.path.join(folder, IN_PLACE_MARK))


def is_named_alike(source: bytes, target: str) -> bool:
    """Whether a target has the name of its source, as all have that were made in place.

    Their folder may have been renamed since, so there may be another file at the source's path.
    """
    return source.endswith(os.fsencode(os.path.join(os.sep, *target.split("/"))))


def identity(path: str) -> tuple[int, int] | None:
    """The device and inode of a file, which links share; None if there is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def absolute_paths() -> Callable[[Source], bytes]:
    """A function that gives the absolute path of a source, as the system has it.

    What comes from a stream has none: all of that counts as one file, which changes.
    """
    roots: dict[str, str] = {}

    def absolute(source: Source) -> bytes:
        if source.copy:
            return FROM_STREAM
        root = roots.get(source.root)
        if root is None:
            root = roots[source.root] = os.path.join(os.path.abspath(source.root), "")
        return os.fsencode(root + source.relative)

    return absolute
