"""From the paths a user gives to Sources: streamed, sorted per folder, no picture opened."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Final

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import LeftOut, Source
from imgbatch.planning.missing_paths import missing
from imgbatch.planning.own_outputs import Ledger, OwnOutputs, check_is_idle
from imgbatch.store import local_files, worker_log
from imgbatch.store.recorded import Recorded, UnreadableError

BACKUP_MARK: Final = os.path.join(worker_log.FOLDER, "originals")
"""A file in every folder of originals that were replaced."""

SYSTEM_FOLDERS: Final = frozenset(
    {"@eadir", "#recycle", "@recycle", "$recycle.bin", "lost+found", ".thumbnails"}
)
"""Folders where Synology, QNAP, Windows and Linux keep thumbnails and what was deleted."""

_DIGITS: Final = re.compile(r"[0-9]+")
_NO_DIGITS: Final = str.maketrans(dict.fromkeys("0123456789", "0"))
_LONGEST_NUMBER: Final = 32

Identity = tuple[int, int]
"""Device and inode: two paths to the same file or folder have the same."""


class Selection(Struct, frozen=True):
    """Which files below the given paths are selected.

    Patterns are shell globs on the path relative to the folder, with `*` also matching "/" and
    case ignored. A file must match one pattern of `include`, if there are any, and none of
    `exclude`. With `outputs` outputs of earlier runs are taken, too. Without `links` those that are
    found in folders are passed over, to folders as well as to files.
    """

    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    outputs: bool = False
    links: bool = True

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
    own: tuple[str, Recorded] | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Source]:
    """Yield the sources below `paths`, and the files `listed` by name elsewhere.

    A folder is walked, without hidden files, without the system's own folders, without outputs of
    earlier runs, and without the folder `output` if that is below it; its files are selected by the
    suffixes of the format table. A file named explicitly is taken whatever its suffix; a listed one
    even if it is missing, so that its row can say so. `in_place` visits linked folders last: what
    is below the folder anyway is found there, and not through a link. `own` is the journal of this
    run. What is not taken is counted in `left_out`.
    With several paths each folder's tree goes below the folder's own name, and named files
    below the deepest folder that holds them all.

    Raises UsageError for a path that does not exist, and LockedError for a folder of originals
    into which another run is writing.
    """
    folders = [path for path in (*paths, *listed) if os.path.isdir(path)]
    files = [path for path in paths if not os.path.isdir(path)]
    for path in files:
        if not os.path.exists(path):
            raise missing(path, paths)
        if not os.path.isfile(path):
            raise UsageError(f"{path!r} is neither a file nor a folder")
    files.extend(path for path in listed if not os.path.isdir(path))
    alone = len(folders) == 1 and len(paths) + len(listed) == 1
    outputs = None if selection.outputs else OwnOutputs(folders, files, own)
    walk = _Walk(
        selection.recursive,
        selection.compiled(),
        selection.links,
        _identity(output) if output else None,
        in_place,
        outputs,
        left_out or LeftOut(),
    )
    try:
        for folder in folders:
            name = "" if alone else os.path.basename(os.path.abspath(folder))
            yield from walk.below(folder, name)
        yield from walk.named(files)
    finally:
        if outputs is not None:
            outputs.close()


class _Walk(Struct, frozen=True):
    """How folders are walked; what is not taken is counted in `left_out`."""

    recursive: bool
    patterns: _Patterns
    links: bool
    avoid: Identity | None
    in_place: bool
    outputs: OwnOutputs | None
    left_out: LeftOut

    def below(self, folder: str, name: str) -> Iterator[Source]:
        """Depth first, each folder's own files before those of its subfolders."""
        seen: set[Identity] = set()
        ledgers = self.outputs.above(folder, walked=not self.in_place) if self.outputs else []
        pending = [("", ledgers)]
        linked: deque[tuple[str, list[Ledger]]] = deque()
        while pending or linked:
            below, ledgers = pending.pop() if pending else linked.popleft()
            path = os.path.join(folder, *below.split("/")) if below else folder
            identity = _identity(path)
            # The given folder itself may be the output folder: different names make that possible.
            if identity in seen or (below and identity == self.avoid):
                continue
            if identity is not None:
                seen.add(identity)
            try:
                entries, is_own = _entries(path)
            except OSError:
                # Its row will say that it cannot be read: nothing is skipped in silence.
                yield Source(folder, below or ".", 0, 0, name)
                continue
            if below and is_own:
                inner = self._ledgers(path, below)
                if inner is None:
                    self._leave_out(path, below)
                    continue
                ledgers = [*ledgers, *inner]
            subfolders = []
            takes_all = self.patterns is _ALL and not ledgers
            for entry in entries:
                relative = f"{below}/{entry.name}" if below else entry.name
                if not self.links and entry.is_symlink():
                    self.left_out.links += 1
                elif _is_folder(entry):
                    if not self.recursive:
                        continue
                    if entry.name.lower() in SYSTEM_FOLDERS:
                        _count(self.left_out.folders, entry.name)
                    elif not self.in_place or not entry.is_symlink():
                        subfolders.append((relative, ledgers))
                    else:
                        linked.append((relative, ledgers))
                elif formats.of_suffix(suffix := _suffix(entry.name)) is None:
                    _count(self.left_out.others, suffix)
                elif (takes_all or self._takes(relative, ledgers)) and (
                    source := _source(folder, relative, name, entry)
                ):
                    yield source
            pending.extend(reversed(subfolders))

    def named(self, files: Sequence[str]) -> Iterator[Source]:
        """The files named one by one, seen from the deepest folder that holds them all."""
        root = shared_folder(files) if files else None
        for path in files:
            if root is None:
                folder, relative = os.path.split(path)
            else:
                folder, relative = root, os.path.relpath(path, root or os.curdir)
            relative = relative.replace(os.sep, "/")
            if not self.patterns.allow(relative):
                self.left_out.unselected += 1
            elif self.outputs is not None and self.outputs.include_named(path):
                self.left_out.outputs += 1
            else:
                yield _source_named(folder, relative, path)

    def _takes(self, relative: str, ledgers: Iterable[Ledger]) -> bool:
        """Whether a picture is one to work on; otherwise it is counted."""
        if not self.patterns.allow(relative):
            self.left_out.unselected += 1
        elif self.outputs and self.outputs.include(relative, ledgers):
            self.left_out.outputs += 1
        else:
            return True
        return False

    def _ledgers(self, path: str, below: str) -> list[Ledger] | None:
        """The journal of a subfolder, if it has one; None if it is to be left out."""
        is_backup = os.path.exists(os.path.join(path, BACKUP_MARK))
        if self.outputs is None:
            return None if is_backup and self.in_place else []
        try:
            return None if is_backup else self.outputs.within(path, below)
        except UnreadableError as error:
            if not self.in_place:
                check_is_idle(path, error)
            # Beside a run that is at work a run in place must not go on, and will be refused. One
            # that is damaged cannot tell: what it may know is taken.
            return None if error.in_use and not self.in_place else []

    def _leave_out(self, path: str, below: str) -> None:
        """Count the pictures in a folder of outputs."""
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            above = below + folder[len(path) :].replace(os.sep, "/")
            self.left_out.outputs += sum(
                not name.startswith(".")
                and formats.of_suffix(_suffix(name)) is not None
                and self.patterns.allow(f"{above}/{name}")
                for name in names
            )


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _suffix(name: str) -> str:
    # The same as os.path.splitext for names without a folder that are not hidden, but faster.
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _entries(path: str) -> tuple[list[os.DirEntry[str]], bool]:
    """What is visible in a folder, by name, and whether imgbatch keeps something there."""
    with os.scandir(path) as scanned:
        entries = list(scanned)
    visible = [
        entry for entry in entries if not entry.name.startswith(".") or entry.name in SYSTEM_FOLDERS
    ]
    is_own = len(visible) < len(entries) and any(
        entry.name == worker_log.FOLDER for entry in entries
    )
    return _naturally_sorted(visible), is_own


def _naturally_sorted(entries: list[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """IMG_2 comes before IMG_10."""
    entries.sort(key=lambda entry: entry.name)
    if len({entry.name.translate(_NO_DIGITS) for entry in entries}) > 1:
        # Otherwise all have their digits at the same places, as cameras number their files.
        entries.sort(key=lambda entry: _DIGITS.sub(_padded, entry.name))
    return entries


def _padded(digits: re.Match[str]) -> str:
    return digits[0].zfill(_LONGEST_NUMBER)


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
