"""From the paths a user gives to Sources: streamed, sorted per folder, no file opened."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import Final

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import Source
from imgbatch.store import local_files

BACKUP_MARK: Final = os.path.join(".imgbatch", "originals")
"""A file in every folder of originals that were replaced."""

Identity = tuple[int, int]
"""Device and inode: two paths to the same file or folder have the same."""


class Selection(Struct, frozen=True):
    """Which files below the given paths are selected.

    Patterns are shell globs on the path relative to the folder, with `*` also matching "/" and
    case ignored. A file must match one pattern of `include`, if there are any, and none of
    `exclude`.
    """

    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def compiled(self) -> _Patterns:
        """The patterns, ready for many files."""
        if not self.include and not self.exclude:
            return _ALL
        return _Patterns(_any_of(self.include), _any_of(self.exclude))


class _Patterns(Struct, frozen=True):
    include: re.Pattern[str] | None
    exclude: re.Pattern[str] | None

    def allow(self, relative: str) -> bool:
        if self.include is not None and not self.include.match(relative):
            return False
        return self.exclude is None or not self.exclude.match(relative)


_ALL: Final = _Patterns(None, None)


def _any_of(globs: Sequence[str]) -> re.Pattern[str] | None:
    if not globs:
        return None
    return re.compile("|".join(translate(glob) for glob in globs), re.IGNORECASE)


def scan(
    paths: Sequence[str],
    selection: Selection,
    *,
    output: str | None = None,
    listed: Sequence[str] = (),
    in_place: bool = False,
) -> Iterator[Source]:
    """Yield the sources below `paths`, and the files `listed` by name elsewhere.

    A folder is walked, without hidden files, and without the folder `output` if that is below it;
    its files are selected by the suffixes of the format table. A file named explicitly is taken
    whatever its suffix; a listed one even if it is missing, so that its row can say so.
    `in_place` also skips subfolders that keep originals of such runs, and visits linked folders
    last: what is below the folder anyway is found there, and not through a link.
    With several paths each folder's tree goes below the folder's own name, and named files
    below the deepest folder that holds them all.

    Raises UsageError for a path that does not exist.
    """
    patterns = selection.compiled()
    avoid = _identity(output) if output else None
    folders = [path for path in (*paths, *listed) if os.path.isdir(path)]
    files = [path for path in paths if not os.path.isdir(path)]
    for path in files:
        if not os.path.exists(path):
            raise UsageError(f"there is no file or folder {path!r}")
        if not os.path.isfile(path):
            raise UsageError(f"{path!r} is neither a file nor a folder")
    alone = len(folders) == 1 and len(paths) + len(listed) == 1
    for folder in folders:
        name = "" if alone else os.path.basename(os.path.abspath(folder))
        yield from _walk(folder, name, selection.recursive, patterns, avoid, in_place)
    listed_files = [path for path in listed if not os.path.isdir(path)]
    yield from _named([*files, *listed_files], patterns)


def _walk(
    folder: str,
    name: str,
    recursive: bool,
    patterns: _Patterns,
    avoid: Identity | None,
    in_place: bool,
) -> Iterator[Source]:
    """Depth first, each folder's own files before those of its subfolders."""
    seen: set[Identity] = set()
    pending = [""]
    linked: deque[str] = deque()
    while pending or linked:
        below = pending.pop() if pending else linked.popleft()
        path = os.path.join(folder, *below.split("/")) if below else folder
        identity = _identity(path)
        # The given folder itself may be the output folder: different names make that possible.
        if identity in seen or (below and identity == avoid):
            continue
        if identity is not None:
            seen.add(identity)
        if below and in_place and os.path.exists(os.path.join(path, BACKUP_MARK)):
            continue
        subfolders = []
        try:
            entries = _entries(path)
        except OSError:
            # Its row will say that it cannot be read: nothing is skipped in silence.
            yield Source(folder, below or ".", 0, 0, name)
            continue
        for entry in entries:
            relative = f"{below}/{entry.name}" if below else entry.name
            if _is_folder(entry):
                if not in_place or not entry.is_symlink():
                    subfolders.append(relative)
                elif recursive:
                    linked.append(relative)
            elif formats.of_suffix(_suffix(entry.name)) is not None:
                source = _source(folder, relative, name, entry)
                if source and (patterns is _ALL or patterns.allow(relative)):
                    yield source
        if recursive:
            pending.extend(reversed(subfolders))


def _suffix(name: str) -> str:
    # The same as os.path.splitext for names without a folder that are not hidden, but faster.
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(visible, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _source(root: str, relative: str, name: str, entry: os.DirEntry[str]) -> Source | None:
    try:
        found = entry.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    size, mtime_ns, ctime_ns, inode = local_files.state_of(found)
    return Source(root, relative, size, mtime_ns, name, ctime_ns, inode)


def _named(files: Sequence[str], patterns: _Patterns) -> Iterator[Source]:
    root = shared_folder(files) if files else None
    for path in files:
        if root is None:
            folder, relative = os.path.split(path)
        else:
            folder, relative = root, os.path.relpath(path, root or os.curdir)
        relative = relative.replace(os.sep, "/")
        if patterns.allow(relative):
            yield _source_named(folder, relative, path)


def _source_named(folder: str, relative: str, path: str) -> Source:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        # Missing, or not a name at all: a list without its --null option contains NUL bytes.
        return Source(folder, relative, 0, 0)
    _, mtime_ns, ctime_ns, inode = local_files.state_of(found)
    return Source(folder, relative, found.st_size, mtime_ns, "", ctime_ns, inode)


def shared_folder(paths: Sequence[str]) -> str | None:
    """The deepest folder above all of them, as the user writes it; None if there is none."""
    if any(os.pardir in path.split(os.sep) for path in paths):
        return None
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:
        return None


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
