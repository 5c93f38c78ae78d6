"""A file appears whole or not at all.

Data are written to a file without any name where the system has such files (Linux's O_TMPFILE),
otherwise under a hidden temporary name in the target's own folder, then published in one step.
Without `replace` publishing never overwrites: `link` fails if the name exists, however late it was
created. Only what takes an original's place is fsynced (`durable`): an output can be made again.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from msgspec import Struct

from imgbatch.model import LATEST_NS, FileState

_PREFIX = ".imgbatch-"
_SUFFIX = ".tmp"
_NAMELESS = hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd")
# EISDIR comes from kernels that do not know them.
_NO_NAMELESS = frozenset({errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
# File systems write in pieces no smaller than this, so zeros never appear in the middle of one.
_BLOCK = 512
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


def new_run() -> str:
    """A word that marks the temporary files of one run: `.imgbatch-<run>-<random>.tmp`."""
    return os.urandom(4).hex()


def state(path: str) -> FileState | None:
    """The state of the file at `path` (of a link itself), None if there is none."""
    try:
        return state_of(os.lstat(path))
    except (OSError, ValueError):
        return None


def state_of(found: os.stat_result) -> FileState:
    """The state in a stat result."""
    return FileState(
        found.st_size if stat.S_ISREG(found.st_mode) else -1,
        min(found.st_mtime_ns, LATEST_NS),
        min(found.st_ctime_ns, LATEST_NS),
        # Some systems have numbers that are too large for databases.
        found.st_ino & LATEST_NS,
    )


class Staged(Struct):
    """A file that is written, but not yet visible under its name.

    `temporary` is the path by which it can be read. For a file without a name that goes through its
    `descriptor`: nothing of it is left when its process dies, and it gets a temporary name of
    `run`, too, only if nothing else works (`has_name`). Every Staged must be discarded in the end.
    `state` is what it has under either name, and will have once published: without ctime, which
    publishing changes. A copy, if only a copy works, is a different file (`inode`).
    """

    temporary: str
    target: str
    run: str
    state: FileState
    durable: bool = False
    descriptor: int | None = None
    has_name: bool = True
    on_copy: Callable[[FileState], None] | None = None

    def publish(
        self,
        *,
        replace: bool = False,
        known: FileState | None = None,
        on_copy: Callable[[FileState], None] | None = None,
    ) -> bool:
        """Give the file its name; return whether it replaced another file.

        If that takes a copy, or a rename, `on_copy` is told beforehand which state that will have.

        An existing file is overwritten with `replace`, or if it is in the state `known`. Otherwise
        raises FileExistsError, whatever is there; the file stays staged, so that the two can be
        compared. After any other OSError it is gone. An existing file is untouched in both cases.
        """
        self.on_copy = on_copy
        try:
            replaced = replace and os.path.lexists(self.target)
            if replace:
                self._take_the_place()
            else:
                replaced = self._publish_checked(known)
            self.has_name = False
            if self.durable:
                # It has its name: no loss if a power cut gives that back to the old file.
                with suppress(OSError):
                    sync_folder(os.path.dirname(self.target))
        except FileExistsError:
            raise
        except BaseException:
            self.discard()
            raise
        self._close()
        return replaced

    def _publish_checked(self, known: FileState | None) -> bool:
        try:
            self._publish_exclusively()
        except FileExistsError:
            if known is None or not known.equals(state(self.target)):
                raise
            self._take_the_place()
            return True
        return False

    def is_at_target(self) -> bool:
        """Whether the file at the target has the very same bytes."""
        try:
            return filecmp.cmp(self.temporary, self.target, shallow=False)
        except OSError:
            return False

    def is_torn_at_target(self) -> bool:
        """Whether the file at the target is what a power cut left of the very same bytes.

        It is shorter, and has zeros where it differs: so nothing in it belongs to anybody else.
        """
        there = state(self.target)
        if there is None or not 0 <= there.size < self.state.size:
            return False
        try:
            with open(self.temporary, "rb") as whole, open(self.target, "rb") as torn:
                while piece := torn.read(_BLOCK):
                    if piece != whole.read(_BLOCK)[: len(piece)] and piece.strip(b"\0"):
                        return False
        except OSError:
            return False
        return True

    def _publish_exclusively(self) -> None:
        if self.descriptor is not None and self._link(self.target):
            return
        if not _link_exclusively(self.temporary, self.target):
            # File systems without links invent inode numbers, and different ones after a while.
            self._notify(self.state._replace(inode=0))
            _move_exclusively(self.temporary, self.target)

    def _notify(self, state: FileState) -> None:
        self.state = state
        if self.on_copy is not None:
            self.on_copy(state)

    def _take_the_place(self) -> None:
        # A file without a name cannot replace anything.
        if self.descriptor is not None:
            name = _temporary_name(self.target, self.run)
            if self._link(name):
                self._close()
                self.temporary, self.has_name = name, True
        os.replace(self.temporary, self.target)

    def _link(self, path: str) -> bool:
        """Name a file that has no name; False if only a copy with a name of its own works."""
        assert self.descriptor is not None
        try:
            # With a descriptor (any one, for an absolute path) Python follows the link.
            os.link(self.temporary, path, src_dir_fd=self.descriptor, follow_symlinks=True)
            return True
        except OSError as error:
            if error.errno not in _NO_LINKS | {errno.EXDEV, errno.ENOENT}:
                raise
        name = _temporary_name(self.target, self.run)
        with open(self.descriptor, "rb", closefd=False) as file, open(name, "xb") as copy:
            self.temporary, self.has_name = name, True
            shutil.copyfileobj(file, copy)
        self._close()
        os.utime(name, ns=(self.state.mtime_ns, self.state.mtime_ns))
        self._notify(_staged_state(os.stat(name)))
        return False

    def _close(self) -> None:
        # From now on its number may belong to another file.
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def discard(self) -> None:
        """Remove the temporary file. A published one stays."""
        self._close()
        if self.has_name:
            self.has_name = False
            _remove(self.temporary)


def stage(
    target: str,
    data: bytes,
    run: str,
    *,
    like: str | None = None,
    durable: bool = False,
    mtime_ns: int | None = None,
) -> Staged:
    """Write `data` next to `target` under a temporary name of `run`; make the folders above it.

    Permissions follow the umask or, with extended attributes, the file `like`. With `durable` the
    data are on the disk when this returns, and the name will be when it is published. `mtime_ns`
    is its time, by default the current one. Raises OSError, and then leaves nothing behind.
    """
    if _NAMELESS and like is None and not durable:
        nameless = _stage_nameless(target, data, run, mtime_ns)
        if nameless is not None:
            return nameless
    temporary, descriptor = _create(target, run, private=like is not None)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if like is not None:
                _copy_attributes(temporary, like)
            if durable:
                file.flush()
                os.fsync(descriptor)
        if mtime_ns is not None:
            os.utime(temporary, ns=(mtime_ns, mtime_ns))
        elif like is not None:
            os.utime(temporary)
        found = os.stat(temporary)
    except BaseException:
        _remove(temporary)
        raise
    return Staged(temporary, target, run, _staged_state(found), durable)


def _staged_state(found: os.stat_result) -> FileState:
    """Without ctime, which publishing changes."""
    return FileState(found.st_size, min(found.st_mtime_ns, LATEST_NS), 0, found.st_ino & LATEST_NS)


def _copy_attributes(path: str, like: str) -> None:
    """Give a file the owner, permissions, times and extended attributes of another.

    This process may not be able to set the group. Then no other group may get the permissions
    meant for that one, nor another owner's programs their setuid bit.
    """
    wanted = os.stat(like)
    if hasattr(os, "chown"):
        # One by one: whoever may not give a file away may still choose among their own groups.
        for owner, group in ((-1, wanted.st_gid), (wanted.st_uid, -1)):
            with suppress(OSError):
                os.chown(path, owner, group)
    made = os.stat(path)
    if (made.st_uid, made.st_gid) == (wanted.st_uid, wanted.st_gid):
        shutil.copystat(like, path)
        return
    mode = stat.S_IMODE(wanted.st_mode) & ~(stat.S_ISUID | stat.S_ISGID)
    if made.st_gid != wanted.st_gid:
        mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    for name in os.listxattr(like) if hasattr(os, "listxattr") else ():
        if not name.startswith("system."):
            with suppress(OSError):
                os.setxattr(path, name, os.getxattr(like, name))
    os.utime(path, ns=(wanted.st_atime_ns, wanted.st_mtime_ns))
    os.chmod(path, mode)


def take_back(path: str, published: FileState) -> None:
    """Remove a published file, if it is still there unchanged."""
    if published.equals(state(path)):
        _remove(path)


def keep_copy(original: str, copy: str, run: str) -> None:
    """Give `original` a second, durable place at `copy`: a link, or else a copy of its bytes.

    The original may then be replaced (not written to). Raises FileExistsError if another file
    is at `copy` already, and OSError, also if `copy` is not a second place at all.
    """
    make_folders(os.path.dirname(copy), durable=True)
    try:
        os.link(original, copy, follow_symlinks=False)
    except FileExistsError:
        if os.path.islink(copy) or _is_one_place(original, copy):
            raise OSError(errno.EINVAL, "that is where the original itself is") from None
        if not _same_bytes(original, copy):
            raise
    except OSError:
        # Another file system, or one without links.
        temporary, descriptor = _create(copy, run, private=True)
        try:
            with open(descriptor, "wb") as file, open(original, "rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                _copy_attributes(temporary, original)
                os.fsync(descriptor)
            if not _link_exclusively(temporary, copy):
                _move_exclusively(temporary, copy)
        finally:
            _remove(temporary)
    sync_folder(os.path.dirname(copy))


def make_folders(folder: str, *, durable: bool = False) -> None:
    """Make a folder and its missing parents; with `durable` on the disk."""
    if not durable:
        os.makedirs(folder or ".", exist_ok=True)
        return
    missing = []
    while folder and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(os.path.dirname(path))


def sync_folder(folder: str) -> None:
    """Wait until the names in a folder are on the disk, if the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(tops: Iterable[str], runs: Collection[str]) -> bool:
    """Remove what killed workers of `runs` left below `tops`. None of them may still be alive.

    Returns whether nothing is left, as far as one can see.
    """
    beginnings = tuple(f"{_PREFIX}{run}-" for run in runs)
    hidden: list[OSError] = []
    removed = True
    for top in tops:
        for folder, _, names in os.walk(top or os.curdir, onerror=hidden.append):
            for name in names:
                if name.startswith(beginnings) and name.endswith(_SUFFIX):
                    removed &= _remove(os.path.join(folder, name))
    return removed and all(isinstance(error, FileNotFoundError) for error in hidden)


def _stage_nameless(target: str, data: bytes, run: str, mtime_ns: int | None) -> Staged | None:
    """The same without a name; None if the file system has no such files."""
    folder = os.path.dirname(target) or "."
    try:
        descriptor = _opened(folder, os.O_TMPFILE | os.O_RDWR, folder)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        if mtime_ns is not None:
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        found = os.fstat(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return Staged(
        f"/proc/self/fd/{descriptor}",
        target,
        run,
        _staged_state(found),
        descriptor=descriptor,
        has_name=False,
    )


def _temporary_name(target: str, run: str) -> str:
    folder = os.path.dirname(target) or "."
    return os.path.join(folder, f"{_PREFIX}{run}-{os.urandom(6).hex()}{_SUFFIX}")


def _create(target: str, run: str, *, private: bool = False) -> tuple[str, int]:
    """A new temporary file next to `target`: its path, and a descriptor to write to.

    A `private` one cannot be read by others until it is given other permissions.
    """
    temporary = _temporary_name(target, run)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return temporary, _opened(
        temporary, flags, os.path.dirname(temporary), 0o600 if private else 0o666
    )


def _opened(path: str, flags: int, folder: str, mode: int = 0o666) -> int:
    """A descriptor to write to; `folder` and its parents are made if they are missing."""
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        return os.open(path, flags, mode)


def _is_one_place(one: str, other: str) -> bool:
    """Whether two paths lead to the same entry of a folder, perhaps through a link above it."""
    if not os.path.samefile(one, other):
        return False
    if os.stat(one).st_nlink < 2:
        return True
    folders = os.path.dirname(one) or ".", os.path.dirname(other) or "."
    names = os.path.basename(one), os.path.basename(other)
    return os.path.samefile(*folders) and names[0].casefold() == names[1].casefold()


def _same_bytes(one: str, other: str) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _link_exclusively(temporary: str, target: str) -> bool:
    """Give a file its name, and remove the other; False where there are no links."""
    try:
        os.link(temporary, target)
    except OSError as error:
        # FAT, some network shares and Android have no hard links, and say so in many ways.
        if error.errno not in _NO_LINKS:
            raise
        return False
    # It has its name: nothing after this may look like a failure.
    _remove(temporary)
    return True


def _move_exclusively(temporary: str, target: str) -> None:
    if _rename_exclusively(temporary, target):
        return
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        os.replace(temporary, target)
    except OSError:
        os.unlink(target)
        raise


def _rename_exclusively(temporary: str, target: str) -> bool:
    """Rename a file unless the other name exists; False if there is no such call.

    Raises OSError: FileExistsError if it exists.
    """
    if os.name == "nt":
        os.rename(temporary, target)
        return True
    # Loaded here, because hardly anybody gets here.
    import ctypes

    # renameat2(2) of Linux, which FAT and exFAT support.
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(temporary), os.fsencode(target)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), temporary, None, target)


def _remove(path: str) -> bool:
    """Remove a file of ours, and return whether it is gone; the sweep removes what is left."""
    for _ in range(2):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return True
        except OSError:
            # Once more: a disk that failed once may not fail twice.
            continue
        return True
    return False
